// Package interp runs the Go of notebook cells with the gomacro interpreter. Variables, functions and types live
// from cell to cell; packages are those compiled into the binary. No compiler is ever started.
package interp

import (
	"context"
	"fmt"
	"go/ast"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

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

	cell    sync.Mutex // guards running
	running context.Context
}

// displayPath is where gophernotes' notebooks import their display functions from.
const displayPath = "display"

// New makes an interpreter. Package display, ctx and Display are there from the start.
func New() (*Interp, error) {
	in := &Interp{running: context.Background()}
	if p, ok := imports.Packages["github.com/kvnotes/kvnotes/kernel/display"]; ok {
		imports.Packages[displayPath] = p
	}
	in.interruptibleSleep()
	if err := in.Reset(); err != nil {
		return nil, err
	}
	return in, nil
}

// Reset forgets everything that cells declared.
func (in *Interp) Reset() (err error) {
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
	in.eval(`import "context"; var ctx = context.Background()`)
	if _, ok := imports.Packages[displayPath]; ok {
		in.eval(`import "display"`)
		in.shown = map[string]xreflect.Type{}
		for name, t := range g.ImportPackage("display", displayPath).Types {
			if t.Kind() == reflect.Interface && strings.HasSuffix(name, "er") {
				in.shown[name] = t
			}
		}
	}
	g.DeclVar("Display", nil, func(d display.Data) error { return display.Show(d) })
	return nil
}

func (in *Interp) eval(code string) { in.gomacro.Eval(code) }

// interruptibleSleep gives cells a time.Sleep that ends when the cell is interrupted.
func (in *Interp) interruptibleSleep() {
	imports.Packages["time"].Binds["Sleep"] = reflect.ValueOf(func(d time.Duration) {
		in.cell.Lock()
		ctx := in.running
		in.cell.Unlock()
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			panic(base.SigInterrupt)
		}
	})
}

// Eval runs a cell. The values of its last expression come back ready to be shown; ok is false when there is nothing
// to show. Cancelling ctx stops the cell; the error is then ErrInterrupted, and all variables keep their values.
func (in *Interp) Eval(ctx context.Context, code string) (d display.Data, ok bool, err error) {
	code, err = in.magics(ctx, code)
	if err != nil {
		return d, false, err
	}
	in.setContext(ctx)
	defer in.setContext(context.Background())
	stop := in.watch(ctx)
	defer stop()

	nodes, err := in.parse(code)
	if err != nil {
		return d, false, in.explain(ctx, code, 0, err)
	}
	var values []xreflect.Value
	var types []xreflect.Type
	for _, unit := range units(nodes) {
		if err := ctx.Err(); err != nil {
			return d, false, ErrInterrupted
		}
		values, types, err = in.run(unit)
		if err != nil {
			return d, false, in.explain(ctx, code, in.lineOf(unit[0]), err)
		}
	}
	if len(nodes) == 0 || !isExpression(nodes[len(nodes)-1]) || prints(nodes[len(nodes)-1]) {
		return d, false, nil
	}
	return in.show(values, types)
}

// watch interrupts the interpreter when ctx ends, again and again until the returned function is called: the
// interpreter forgets an interrupt that comes between two statements of the cell.
func (in *Interp) watch(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		for {
			in.gomacro.Interrupt(os.Interrupt)
			select {
			case <-done:
				return
			case <-again.C:
			}
		}
	}()
	return func() { close(done); <-finished }
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

// parse reads a cell.
func (in *Interp) parse(code string) (nodes []ast.Node, err error) {
	in.compile.Lock()
	defer in.compile.Unlock()
	defer recovered(&err)
	c := in.gomacro.Comp
	c.Line = 0
	c.Filepath = cellName
	return c.ParseBytes([]byte(code)), nil
}

// units groups the nodes of a cell: neighbouring declarations are compiled together, so that functions and types may
// refer to each other; every other statement alone, so that an error can name its line.
func units(nodes []ast.Node) [][]ast.Node {
	var all [][]ast.Node
	for i, n := range nodes {
		_, declares := n.(ast.Decl)
		if i > 0 && declares {
			if _, before := nodes[i-1].(ast.Decl); before {
				all[len(all)-1] = append(all[len(all)-1], n)
				continue
			}
		}
		all = append(all, []ast.Node{n})
	}
	return all
}

func isExpression(n ast.Node) bool {
	if s, ok := n.(*ast.ExprStmt); ok {
		return isExpression(s.X)
	}
	_, ok := n.(ast.Expr)
	return ok
}

// prints tells whether an expression is a call of fmt's printing functions, whose results nobody wants to see.
func prints(n ast.Node) bool {
	if s, ok := n.(*ast.ExprStmt); ok {
		n = s.X
	}
	call, ok := n.(*ast.CallExpr)
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

// run compiles and runs some nodes.
func (in *Interp) run(nodes []ast.Node) (values []xreflect.Value, types []xreflect.Type, err error) {
	defer recovered(&err)
	expr, err := in.compileNodes(nodes)
	if err != nil || expr == nil {
		return nil, nil, err
	}
	values, types = in.gomacro.RunExpr(expr)
	return values, types, nil
}

func (in *Interp) compileNodes(nodes []ast.Node) (expr *fast.Expr, err error) {
	in.compile.Lock()
	defer in.compile.Unlock()
	if err := checkImports(nodes); err != nil {
		return nil, err
	}
	return in.gomacro.CompileAst(ast2.AnyToAst(nodes, cellName)), nil
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

// show turns the values of an expression into what is shown.
func (in *Interp) show(values []xreflect.Value, types []xreflect.Type) (display.Data, bool, error) {
	var texts []string
	var only display.Data
	rich := false
	for i, v := range values {
		if !v.IsValid() {
			continue
		}
		x := basereflect.ValueInterface(v)
		if x == nil {
			continue
		}
		d, ok, err := in.render(x, types[i])
		if err != nil {
			return d, false, err
		}
		if ok {
			only, rich = d, true
		}
		texts = append(texts, display.Text(x))
	}
	switch {
	case len(texts) == 0:
		return display.Data{}, false, nil
	case rich && len(texts) == 1:
		return only, true, nil
	}
	return display.Data{Data: display.MIMEMap{display.MIMETypeText: strings.Join(texts, " ")}}, true, nil
}

// render asks a value how it wants to be shown. Methods of types declared in cells are emulated by the interpreter:
// the value is converted to each display interface that its type pretends to implement.
func (in *Interp) render(x interface{}, t xreflect.Type) (d display.Data, ok bool, err error) {
	defer recovered(&err)
	if d, ok := display.Render(x); ok {
		return d, true, nil
	}
	if t == nil || !t.Named() {
		return d, false, nil
	}
	d.Data = display.MIMEMap{}
	for _, face := range in.shown {
		if !t.Implements(face) {
			continue
		}
		convert := in.gomacro.Comp.Converter(t, face)
		if convert == nil {
			continue
		}
		if more, ok := display.Render(basereflect.ValueInterface(convert(xreflect.ValueOf(x)))); ok {
			for format, content := range more.Data {
				d.Data[format] = content
			}
		}
	}
	if len(d.Data) == 0 {
		return d, false, nil
	}
	d.Data[display.MIMETypeText] = display.Text(x)
	return d, true, nil
}
