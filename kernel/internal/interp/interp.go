// Package interp runs the Go of notebook cells with the gomacro interpreter. Variables, functions and types live
// from cell to cell; packages are those compiled into the binary. No compiler is ever started.
package interp

import (
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/token"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/cosmos72/gomacro/ast2"
	"github.com/cosmos72/gomacro/base"
	basereflect "github.com/cosmos72/gomacro/base/reflect"
	"github.com/cosmos72/gomacro/fast"
	"github.com/cosmos72/gomacro/imports"
	"github.com/cosmos72/gomacro/xreflect"

	"github.com/kvnotes/kvnotes/kernel/display"
)

// An Interp holds what the cells of one notebook have declared. Eval runs one cell at a time; Complete, Inspect and
// IsComplete may be called beside it and never wait for a running cell.
type Interp struct {
	// compile guards the tables of names. It is held while code is compiled, not while it runs.
	compile sync.Mutex
	gomacro *fast.Interp
	shown   map[string]xreflect.Type // the display interfaces, by name
	own     map[string]bool          // names that are there before any cell
	enter   func()                   // an interpreted function that does nothing
	settled int                      // how many compiled types were there when settle last looked

	runner     *runner
	goroutines goroutines

	cell    sync.Mutex // guards the fields below
	running context.Context
	cells   int
	sources map[string][]string // lines of cells by the file name that the interpreter knows them by
	unit    string              // what runs now, for messages
}

// Package display is there by its own path, and by that of gophernotes' notebooks.
const (
	displayPath = "display"
	displayFull = "github.com/kvnotes/kvnotes/kernel/display"
)

// New makes an interpreter. Package display, ctx and Display are there from the start.
func New() (*Interp, error) {
	// The interpreter would ask the Go command for the export data of packages. It knows enough by reflection.
	build.Default.GOROOT, build.Default.GOPATH = "", ""
	in := &Interp{running: context.Background(), sources: map[string][]string{}, runner: newRunner()}
	if p, ok := imports.Packages[displayFull]; ok {
		imports.Packages[displayPath] = p
	}
	in.tame()
	return in, in.Reset()
}

// Reset forgets everything that cells declared.
func (in *Interp) Reset() (err error) {
	in.runner.do(func() { err = in.reset() })
	return err
}

func (in *Interp) reset() (err error) {
	in.compile.Lock()
	defer in.compile.Unlock()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("starting the interpreter: %v", r)
		}
	}()
	g := fast.New()
	g.Comp.Stdout, g.Comp.Stderr = io.Discard, io.Discard
	g.Comp.Options &^= base.OptShowPrompt | base.OptTrapPanic | base.OptModuleImport
	in.gomacro = g
	in.runner.state = g.PrepareEnv().Run
	in.goroutines.watch(g.Comp.IrGlobals)
	g.DeclTypeAlias("any", g.Comp.TypeOfInterface())
	declareGenerics(g)
	g.DeclFunc(beginName, in.goroutines.begin)
	g.DeclFunc(endName, in.goroutines.end)
	enter, _ := g.Eval1("(func() int { n := 1; n++; return n })")
	in.enter = func() { enter.Interface().(func() int)() }
	g.Eval(`import "context"; var ctx = context.Background()`)
	if _, ok := imports.Packages[displayPath]; ok {
		g.Eval(`import "display"`)
		in.shown = map[string]xreflect.Type{}
		for name, t := range g.ImportPackage("display", displayPath).Types {
			if t.Kind() == reflect.Interface && strings.HasSuffix(name, "er") {
				in.shown[name] = t
			}
		}
	}
	g.DeclVar("Display", nil, func(d display.Data) error { return display.Show(d) })
	in.settled = 0
	in.settle(g)
	in.noteOwn()
	return nil
}

// A result is what a cell ends with.
type result struct {
	data display.Data
	ok   bool
	err  error
}

// Eval runs a cell. The values of its last expression come back ready to be shown; ok is false when there is nothing
// to show. Cancelling ctx stops the cell; the error is then ErrInterrupted, and all variables keep their values.
func (in *Interp) Eval(ctx context.Context, code string) (d display.Data, ok bool, err error) {
	code, err = in.magics(ctx, code)
	if err != nil || strings.TrimSpace(code) == "" {
		return d, false, err
	}
	ended := make(chan result, 1)
	err = in.onRunner(ctx, func() {
		var r result
		r.data, r.ok, r.err = in.eval(ctx, code)
		ended <- r
	})
	if err != nil {
		return d, false, err
	}
	r := <-ended
	return r.data, r.ok, r.err
}

// Call runs a function, such as one that a cell made to hear of a slider, as if it were a cell.
func (in *Interp) Call(ctx context.Context, f func()) error {
	ended := make(chan error, 1)
	err := in.onRunner(ctx, func() {
		in.setContext(ctx)
		defer in.setContext(context.Background())
		ended <- in.catch(f)
	})
	if err != nil {
		return err
	}
	return <-ended
}

// catch runs f and returns a panic in it as an error.
func (in *Interp) catch(f func()) (err error) {
	state := in.runner.state
	state.CurrEnv = nil
	defer func() {
		if err != nil {
			err = in.explain("", token.NoPos, state.CurrEnv, err)
		}
	}()
	defer recovered(&err)
	f()
	return nil
}

// eval is Eval on the runner's goroutine.
func (in *Interp) eval(ctx context.Context, code string) (d display.Data, ok bool, err error) {
	in.setContext(ctx)
	defer in.setContext(context.Background())
	g := in.gomacro
	file := in.remember(code)
	nodes, err := in.parse(g, file, code)
	if err != nil {
		return d, false, in.explain(file, token.NoPos, nil, err)
	}
	spare := nodes // for code that is refused when it is guarded
	if hasGo(nodes) {
		if spare, err = in.parse(g, file, code); err != nil {
			return d, false, err
		}
	}
	in.modernize(nodes, true)
	in.modernize(spare, false)
	var values []xreflect.Value
	var types []xreflect.Type
	at := 0
	for _, unit := range units(nodes) {
		if ctx.Err() != nil {
			return d, false, ErrInterrupted
		}
		plain := spare[at : at+len(unit)]
		at += len(unit)
		var where *fast.Env
		values, types, where, err = in.run(g, unit, plain)
		if err != nil {
			return d, false, in.explain(file, unit[0].Pos(), where, err)
		}
	}
	if len(nodes) == 0 {
		return d, false, nil
	}
	last := expression(nodes[len(nodes)-1])
	if last == nil || prints(last) {
		return d, false, nil
	}
	if len(values) == 2 && commaOK(last) {
		values = values[:1]
	}
	return in.show(values, types)
}

// remember keeps the text of a cell, for messages, and returns its file name.
func (in *Interp) remember(code string) string {
	in.cell.Lock()
	defer in.cell.Unlock()
	in.cells++
	file := cellName + strconv.Itoa(in.cells)
	in.sources[file] = strings.Split(code, "\n")
	delete(in.sources, cellName+strconv.Itoa(in.cells-mostSources))
	return file
}

// mostSources is how many cells are remembered for messages.
const mostSources = 1000

// doing names what runs now.
func (in *Interp) doing() string {
	in.cell.Lock()
	defer in.cell.Unlock()
	return in.unit
}

// setContext gives cells their ctx variable.
func (in *Interp) setContext(ctx context.Context) {
	in.cell.Lock()
	in.running = ctx
	in.cell.Unlock()
	in.compile.Lock()
	defer in.compile.Unlock()
	defer func() { _ = recover() }() // a cell may have declared ctx anew with another type: it is the cell's then
	if v := in.gomacro.ValueOf("ctx"); v.IsValid() && v.CanSet() {
		v.Set(xreflect.ValueOf(ctx))
	}
}

// scope is the interpreter of the present scope: an interrupted cell that was left behind keeps its own.
func (in *Interp) scope() *fast.Interp {
	in.compile.Lock()
	defer in.compile.Unlock()
	return in.gomacro
}

// parse reads a cell.
func (in *Interp) parse(g *fast.Interp, file, code string) (nodes []ast.Node, err error) {
	in.compile.Lock()
	defer in.compile.Unlock()
	defer recovered(&err)
	g.Comp.Line, g.Comp.Filepath = 0, file
	return g.Comp.ParseBytes([]byte(code)), nil
}

// modernize rewrites nodes into what the interpreter knows.
func (in *Interp) modernize(nodes []ast.Node, guard bool) {
	modernize(nodes, guard)
	own := map[string]string{}
	for _, spec := range importSpecs(nodes) {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil {
			name := path
			if spec.Name != nil {
				name = spec.Name.Name
			}
			own[name] = path
		}
	}
	in.compile.Lock()
	defer in.compile.Unlock()
	nameGenerics(nodes, func(name string) string {
		if path, ok := own[name]; ok {
			return path
		}
		if sym := in.gomacro.Comp.TryResolve(name); sym != nil {
			if imp, ok := sym.Value.(*fast.Import); ok {
				return imp.Path
			}
		}
		return ""
	})
}

func hasGo(nodes []ast.Node) (yes bool) {
	for _, n := range nodes {
		ast.Inspect(n, func(n ast.Node) bool {
			_, is := n.(*ast.GoStmt)
			yes = yes || is
			return !yes
		})
	}
	return yes
}

// units groups the nodes of a cell: neighbouring declarations are compiled together, so that functions and types may
// refer to each other; imports before them, whose types are finished before they are used; every other statement alone,
// so that an error can name its line.
func units(nodes []ast.Node) [][]ast.Node {
	var all [][]ast.Node
	for i, n := range nodes {
		_, declares := n.(ast.Decl)
		if i > 0 && declares {
			if _, before := nodes[i-1].(ast.Decl); before && imported(nodes[i-1]) == imported(n) {
				all[len(all)-1] = append(all[len(all)-1], n)
				continue
			}
		}
		all = append(all, []ast.Node{n})
	}
	return all
}

// imported tells whether a node is an import.
func imported(n ast.Node) bool {
	d, ok := n.(*ast.GenDecl)
	return ok && d.Tok == token.IMPORT
}

// expression is the expression that a node is, nil for other nodes.
func expression(n ast.Node) ast.Expr {
	if s, ok := n.(*ast.ExprStmt); ok {
		return s.X
	}
	x, _ := n.(ast.Expr)
	return x
}

// commaOK tells whether an expression may have a second value, which says if the first is there.
func commaOK(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.TypeAssertExpr, *ast.IndexExpr:
		return true
	case *ast.UnaryExpr:
		return x.Op == token.ARROW
	}
	return false
}

// prints tells whether an expression is a call of fmt's printing functions, whose results nobody wants to see.
func prints(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := name.X.(*ast.Ident)
	return ok && pkg.Name == "fmt" && (strings.HasPrefix(name.Sel.Name, "Print") || strings.HasPrefix(name.Sel.Name, "Fprint"))
}

// run compiles and runs some nodes. Plain are the same nodes without guards. Where is the innermost function that ran
// when an error came.
func (in *Interp) run(g *fast.Interp, nodes, plain []ast.Node) (values []xreflect.Value, types []xreflect.Type, where *fast.Env, err error) {
	defer recovered(&err)
	expr, err := in.compileNodes(g, nodes)
	if err != nil && len(plain) > 0 && plain[0] != nodes[0] {
		if e, second := in.compileNodes(g, plain); second == nil {
			expr, err = e, nil
		}
	}
	if err != nil || expr == nil {
		return nil, nil, nil, err
	}
	in.cell.Lock()
	at := g.Comp.Fileset.Position(nodes[0].Pos())
	in.unit = fmt.Sprintf("line %d", at.Line)
	if lines := in.sources[at.Filename]; at.Line >= 1 && at.Line <= len(lines) {
		in.unit += " (" + strings.TrimSpace(lines[at.Line-1]) + ")"
	}
	in.cell.Unlock()
	// As fast.Interp.RunExpr does it, but the function that panicked stays known.
	env := g.PrepareEnv()
	env.Run.CurrEnv = env
	defer func() { where = env.Run.CurrEnv }()
	defer in.limitDepth(env.Run)()
	v, vs := expr.AsXV(fast.COptKeepUntyped)(env)
	return basereflect.PackValues(v, vs), basereflect.PackTypes(expr.Type, expr.Types), nil, nil
}

// compileNodes compiles nodes, after rewriting loops over numbers if there are any.
func (in *Interp) compileNodes(g *fast.Interp, nodes []ast.Node) (*fast.Expr, error) {
	in.compile.Lock()
	defer in.compile.Unlock()
	if err := checkImports(nodes); err != nil {
		return nil, err
	}
	defer in.settle(g)
	for {
		expr, err := compile(g, nodes)
		if err == nil || !countLoops(nodes, err) {
			return expr, err
		}
	}
}

func compile(g *fast.Interp, nodes []ast.Node) (expr *fast.Expr, err error) {
	defer recovered(&err)
	return g.CompileAst(ast2.AnyToAst(nodes, cellName)), nil
}

// recovered turns a panic of the interpreter, or of the cell, into an error.
func recovered(err *error) {
	switch r := recover().(type) {
	case nil:
	case base.Signal:
		*err = ErrInterrupted
	case error:
		*err = r
	default:
		*err = panicked{r}
	}
}
