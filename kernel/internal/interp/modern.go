package interp

import (
	"go/ast"
	"go/printer"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// The interpreter knows the Go of 2018. The functions below rewrite cells in today's Go into it. Names with a dot in
// the middle cannot be written in a cell.
const (
	beginName = "goroutine·begin"
	endName   = "goroutine·end"
)

func call(f ast.Expr, args ...ast.Expr) *ast.CallExpr { return &ast.CallExpr{Fun: f, Args: args} }

func ident(name string, at token.Pos) *ast.Ident { return &ast.Ident{Name: name, NamePos: at} }

func define(names []ast.Expr, values []ast.Expr, at token.Pos) *ast.AssignStmt {
	return &ast.AssignStmt{Lhs: names, Tok: token.DEFINE, TokPos: at, Rhs: values}
}

// modernize rewrites the nodes of a cell; guard says whether goroutines are guarded.
func modernize(nodes []ast.Node, guard bool) {
	for i, n := range nodes {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ForStmt:
				freshFor(n)
			case *ast.RangeStmt:
				freshRange(n)
			case *ast.ValueSpec:
				blankValue(n)
			}
			if list := statements(n); list != nil {
				for k, s := range *list {
					(*list)[k] = statement(s, guard)
				}
			}
			return true
		})
		if s, ok := n.(ast.Stmt); ok {
			nodes[i] = statement(s, guard)
		}
	}
}

// blankValue gives var _ T a value: the interpreter has no place where a blank struct could begin.
func blankValue(n *ast.ValueSpec) {
	if len(n.Names) == 1 && n.Names[0].Name == "_" && n.Type != nil && len(n.Values) == 0 {
		n.Values = []ast.Expr{&ast.StarExpr{Star: n.Pos(), X: call(ident("new", n.Pos()), n.Type)}}
		n.Type = nil
	}
}

// statement rewrites one statement.
func statement(s ast.Stmt, guard bool) ast.Stmt {
	switch s := s.(type) {
	case *ast.GoStmt:
		if guard {
			return guarded(s)
		}
	case *ast.SelectStmt: // the interpreter passes through an empty one: wait on a channel of our own
		if len(s.Body.List) == 0 {
			at := s.Pos()
			channel := call(ident("make", at), &ast.ChanType{Begin: at, Dir: ast.SEND | ast.RECV, Value: ident("bool", at)})
			return &ast.ExprStmt{X: &ast.UnaryExpr{OpPos: at, Op: token.ARROW, X: channel}}
		}
	}
	return s
}

// statements is the list of statements in a node, if it has one.
func statements(n ast.Node) *[]ast.Stmt {
	switch n := n.(type) {
	case *ast.BlockStmt:
		return &n.List
	case *ast.CaseClause:
		return &n.Body
	case *ast.CommClause:
		return &n.Body
	}
	return nil
}

// guarded makes a go statement report a panic instead of ending the process. Function and arguments are evaluated
// at once, as the language wants it.
func guarded(g *ast.GoStmt) ast.Stmt {
	at := g.Pos()
	if f, ok := g.Call.Fun.(*ast.FuncLit); ok {
		f.Body.List = append(guards(at), f.Body.List...)
		return g
	}
	var names, values []ast.Expr
	capture := func(x ast.Expr) ast.Expr {
		name := "captured·" + strconv.Itoa(len(names))
		names, values = append(names, ident(name, at)), append(values, x)
		return ident(name, at)
	}
	inner := *g.Call
	inner.Args = nil
	if f, ok := inner.Fun.(*ast.Ident); !ok || !builtins[f.Name] {
		inner.Fun = capture(inner.Fun)
	}
	for _, a := range g.Call.Args {
		switch x := a.(type) {
		case *ast.BasicLit, *ast.FuncLit:
		case *ast.Ident:
			if x.Name != "nil" && x.Name != "true" && x.Name != "false" {
				a = capture(a)
			}
		default:
			a = capture(a)
		}
		inner.Args = append(inner.Args, a)
	}
	body := &ast.BlockStmt{List: append(guards(at), &ast.ExprStmt{X: &inner}), Lbrace: at, Rbrace: at}
	start := &ast.GoStmt{Go: at, Call: call(&ast.FuncLit{Type: &ast.FuncType{Func: at, Params: &ast.FieldList{}}, Body: body})}
	if len(names) == 0 {
		return start
	}
	return &ast.BlockStmt{List: []ast.Stmt{define(names, values, at), start}, Lbrace: at, Rbrace: at}
}

var builtins = map[string]bool{"close": true, "copy": true, "delete": true, "panic": true, "print": true, "println": true}

// guards are the first statements of a goroutine: defer func() { end(recover()) }(); begin().
func guards(at token.Pos) []ast.Stmt {
	end := &ast.ExprStmt{X: call(ident(endName, at), call(ident("recover", at)))}
	return []ast.Stmt{
		&ast.DeferStmt{Defer: at, Call: call(&ast.FuncLit{
			Type: &ast.FuncType{Func: at, Params: &ast.FieldList{}}, Body: &ast.BlockStmt{List: []ast.Stmt{end}, Lbrace: at, Rbrace: at},
		})},
		&ast.ExprStmt{X: call(ident(beginName, at))},
	}
}

// freshRange gives each round of a loop its own variables, where something may hold on to them.
func freshRange(n *ast.RangeStmt) {
	if n.Tok != token.DEFINE || !captures(n.Body) {
		return
	}
	fresh(n.Body, n.Key, n.Value)
}

// freshFor is freshRange for loops with three clauses. A body that changes the variable is left as it is: the change
// would have to be carried back.
func freshFor(n *ast.ForStmt) {
	init, ok := n.Init.(*ast.AssignStmt)
	if !ok || init.Tok != token.DEFINE || !captures(n.Body) {
		return
	}
	changed := map[string]bool{}
	ast.Inspect(n.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, x := range n.Lhs {
				if id, ok := x.(*ast.Ident); ok {
					changed[id.Name] = true
				}
			}
		case *ast.IncDecStmt:
			if id, ok := n.X.(*ast.Ident); ok {
				changed[id.Name] = true
			}
		}
		return true
	})
	var vars []ast.Expr
	for _, x := range init.Lhs {
		if id, ok := x.(*ast.Ident); ok && !changed[id.Name] {
			vars = append(vars, x)
		}
	}
	fresh(n.Body, vars...)
}

// fresh copies variables at the begin of a body.
func fresh(body *ast.BlockStmt, vars ...ast.Expr) {
	var names, values []ast.Expr
	for _, x := range vars {
		if id, ok := x.(*ast.Ident); ok && id.Name != "_" {
			names, values = append(names, ident(id.Name, body.Lbrace)), append(values, ident(id.Name, body.Lbrace))
		}
	}
	if len(names) > 0 {
		body.List = append([]ast.Stmt{define(names, values, body.Lbrace)}, body.List...)
	}
}

// captures tells whether a body has a function literal or takes an address.
func captures(body *ast.BlockStmt) (yes bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			yes = true
		case *ast.UnaryExpr:
			yes = yes || n.Op == token.AND
		}
		return !yes
	})
	return yes
}

// overInteger is how the interpreter says that it cannot range over a number: the expression and its type.
var overInteger = regexp.MustCompile(`cannot range over (.+) <(u?int\d*|uintptr)>`)

// countLoops rewrites loops over the number that an error of the interpreter names: for i := range n becomes
// for i, end := 0, n; i < end; i++. It reports whether there was one.
func countLoops(nodes []ast.Node, err error) (found bool) {
	m := overInteger.FindStringSubmatch(err.Error())
	if m == nil {
		return false
	}
	replace := func(s ast.Stmt) ast.Stmt {
		r, ok := s.(*ast.RangeStmt)
		if !ok || r.Value != nil || r.Tok == token.ASSIGN || spelled(r.X) != m[1] {
			return s
		}
		found = true
		at := r.Pos()
		index := "index·"
		if id, ok := r.Key.(*ast.Ident); ok && id.Name != "_" {
			index = id.Name
		}
		zero := call(ident(m[2], at), &ast.BasicLit{Kind: token.INT, Value: "0", ValuePos: at})
		end := "end·" + strconv.Itoa(int(at))
		return &ast.ForStmt{
			For:  at,
			Init: define([]ast.Expr{ident(index, at), ident(end, at)}, []ast.Expr{zero, call(ident(m[2], at), r.X)}, at),
			Cond: &ast.BinaryExpr{X: ident(index, at), OpPos: at, Op: token.LSS, Y: ident(end, at)},
			Post: &ast.IncDecStmt{X: ident(index, at), TokPos: at, Tok: token.INC},
			Body: r.Body,
		}
	}
	for i, n := range nodes {
		ast.Inspect(n, func(n ast.Node) bool {
			if list := statements(n); list != nil {
				for k, s := range *list {
					(*list)[k] = replace(s)
				}
			}
			if l, ok := n.(*ast.LabeledStmt); ok {
				l.Stmt = replace(l.Stmt)
			}
			return true
		})
		if s, ok := n.(ast.Stmt); ok {
			nodes[i] = replace(s)
		}
	}
	return found
}

func spelled(x ast.Expr) string {
	var b strings.Builder
	if err := printer.Fprint(&b, token.NewFileSet(), x); err != nil {
		return ""
	}
	return b.String()
}
