// Gen writes the bindings by which notebook cells reach the packages of this project: for each package one file of
// package bind with its functions, variables, constants and types, proxies by which types of cells implement its
// interfaces, and the documentation of its names.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/format"
	"go/printer"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	out := flag.String("out", ".", "folder to write to")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(out string, paths []string) error {
	config := &packages.Config{Mode: packages.NeedName | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps}
	loaded, err := packages.Load(config, paths...)
	if err != nil {
		return err
	}
	for _, p := range loaded {
		if len(p.Errors) > 0 {
			return fmt.Errorf("%s: %w", p.PkgPath, p.Errors[0])
		}
		text, err := bind(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.PkgPath, err)
		}
		name := filepath.Join(out, fileName(p.PkgPath)+".go")
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fileName is the end of a path as the name of a file.
func fileName(path string) string {
	path = strings.TrimPrefix(path, "github.com/kvnotes/kvnotes/")
	return strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace(path) + "_bind"
}

// A binding collects what is written about one package.
type binding struct {
	pkg      *packages.Package
	imports  map[string]string // path to name
	binds    []string
	untypeds []string
	types    []string
	proxies  []string
	wrappers []string
	docs     []string
	code     bytes.Buffer // of the proxies
}

func bind(p *packages.Package) ([]byte, error) {
	b := &binding{pkg: p, imports: map[string]string{"reflect": "reflect", "github.com/gopherdata/gophernotes/imports": "imports", p.PkgPath: p.Name}}
	scope := p.Types.Scope()
	for _, name := range scope.Names() {
		if token.IsExported(name) {
			b.add(scope.Lookup(name))
		}
	}
	b.documentation()
	return b.print()
}

// add writes one exported name.
func (b *binding) add(o types.Object) {
	name := b.pkg.Name + "." + o.Name()
	switch o := o.(type) {
	case *types.Func:
		if o.Signature().TypeParams().Len() == 0 { // cells cannot call generic functions
			b.binds = append(b.binds, fmt.Sprintf("%q: reflect.ValueOf(%s),", o.Name(), name))
		}
	case *types.Var:
		b.binds = append(b.binds, fmt.Sprintf("%q: reflect.ValueOf(&%s).Elem(),", o.Name(), name))
	case *types.Const:
		b.constant(o, name)
	case *types.TypeName:
		b.typeName(o, name)
	}
}

func (b *binding) constant(o *types.Const, name string) {
	value := name
	if t, ok := o.Type().(*types.Basic); ok && t.Info()&types.IsUntyped != 0 {
		kind := map[types.BasicKind]string{types.UntypedInt: "int", types.UntypedFloat: "float", types.UntypedString: "string", types.UntypedBool: "bool", types.UntypedRune: "rune"}[t.Kind()]
		if kind == "int" {
			if _, fits := constant.Int64Val(o.Val()); !fits {
				value = "uint64(" + name + ")"
			}
		}
		text := o.Val().ExactString()
		if kind == "string" {
			text = constant.StringVal(o.Val())
		}
		b.untypeds = append(b.untypeds, fmt.Sprintf("%q: %q,", o.Name(), kind+":"+text))
	}
	b.binds = append(b.binds, fmt.Sprintf("%q: reflect.ValueOf(%s),", o.Name(), value))
}

func (b *binding) typeName(o *types.TypeName, name string) {
	if named, ok := types.Unalias(o.Type()).(*types.Named); ok {
		if named.TypeParams().Len() > 0 {
			return
		}
		b.promoted(o.Name(), named)
	}
	b.types = append(b.types, fmt.Sprintf("%q: reflect.TypeOf((*%s)(nil)).Elem(),", o.Name(), name))
	if face, ok := o.Type().Underlying().(*types.Interface); ok && face.IsMethodSet() && face.NumMethods() > 0 {
		b.proxy(o.Name(), name, face)
	}
}

// promoted lists methods that a struct has from what it embeds: reflection cannot tell them from its own.
func (b *binding) promoted(name string, t *types.Named) {
	own := map[string]bool{}
	for m := range t.Methods() {
		own[m.Name()] = true
	}
	var names []string
	set := types.NewMethodSet(types.NewPointer(t))
	for m := range set.Methods() {
		if n := m.Obj().Name(); token.IsExported(n) && !own[n] {
			names = append(names, strconv.Quote(n))
		}
	}
	if len(names) > 0 && !types.IsInterface(t) {
		b.wrappers = append(b.wrappers, fmt.Sprintf("%q: {%s},", name, strings.Join(names, ", ")))
	}
}

// proxy writes a struct that implements an interface by calling functions: the interpreter fills them with the
// methods of a type declared in a cell.
func (b *binding) proxy(short, full string, face *types.Interface) {
	for m := range face.Methods() {
		if !m.Exported() {
			return
		}
	}
	kind := "P_" + b.pkg.Name + "_" + short
	fmt.Fprintf(&b.code, "\n// %s lets a type of a cell be a %s.\ntype %s struct {\n\tObject interface{}\n", kind, full, kind)
	var methods bytes.Buffer
	for m := range face.Methods() {
		s := m.Signature()
		var params, names []string
		for i := range s.Params().Len() {
			v := s.Params().At(i)
			arg := "a" + strconv.Itoa(i)
			t := b.typeOf(v.Type())
			if s.Variadic() && i == s.Params().Len()-1 {
				t = "..." + strings.TrimPrefix(t, "[]")
				names = append(names, arg+"...")
			} else {
				names = append(names, arg)
			}
			params = append(params, arg+" "+t)
		}
		var results []string
		for v := range s.Results().Variables() {
			results = append(results, b.typeOf(v.Type()))
		}
		result := strings.Join(results, ", ")
		if len(results) > 1 {
			result = "(" + result + ")"
		}
		fmt.Fprintf(&b.code, "\t%s_ func(%s) %s\n", m.Name(), strings.Join(append([]string{"_ interface{}"}, params...), ", "), result)
		back := ""
		if len(results) > 0 {
			back = "return "
		}
		fmt.Fprintf(&methods, "\n// %s calls the method of the cell's type.\nfunc (p *%s) %s(%s) %s {\n\t%sp.%s_(%s)\n}\n", m.Name(), kind, m.Name(), strings.Join(params, ", "), result,
			back, m.Name(), strings.Join(append([]string{"p.Object"}, names...), ", "))
	}
	b.code.WriteString("}\n")
	b.code.Write(methods.Bytes())
	b.proxies = append(b.proxies, fmt.Sprintf("%q: reflect.TypeOf((*%s)(nil)).Elem(),", short, kind))
}

// typeOf writes a type and remembers the packages that it names.
func (b *binding) typeOf(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		b.imports[p.Path()] = p.Name()
		return p.Name()
	})
}

// documentation collects signatures and doc comments.
func (b *binding) documentation() {
	add := func(name string, signature ast.Node, doc *ast.CommentGroup) {
		var text bytes.Buffer
		// A node that was parsed can be printed.
		_ = printer.Fprint(&text, b.pkg.Fset, signature)
		if doc.Text() != "" {
			text.WriteString("\n\n" + doc.Text())
		}
		b.docs = append(b.docs, fmt.Sprintf("%q: %q,", b.pkg.PkgPath+"."+name, strings.TrimSpace(text.String())))
	}
	for _, file := range b.pkg.Syntax {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name, ok := exported(d); ok {
					add(name, &ast.FuncDecl{Recv: d.Recv, Name: d.Name, Type: d.Type}, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					t, ok := s.(*ast.TypeSpec)
					if !ok || !t.Name.IsExported() {
						continue
					}
					doc := t.Doc
					if doc == nil {
						doc = d.Doc
					}
					add(t.Name.Name, &ast.GenDecl{Tok: token.TYPE, Specs: []ast.Spec{t}}, doc)
				}
			}
		}
	}
	slices.Sort(b.docs)
}

// exported is the name of a function or method that cells can reach.
func exported(d *ast.FuncDecl) (string, bool) {
	if d.Recv == nil {
		return d.Name.Name, d.Name.IsExported()
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	id, ok := t.(*ast.Ident)
	if !ok {
		return "", false
	}
	return id.Name + "." + d.Name.Name, d.Name.IsExported() && id.IsExported()
}

func (b *binding) print() ([]byte, error) {
	var w bytes.Buffer
	w.WriteString("// Code generated by go generate; DO NOT EDIT.\n\npackage bind\n\nimport (\n")
	var paths []string
	for p := range b.imports {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		fmt.Fprintf(&w, "\t%s %q\n", b.imports[p], p)
	}
	w.WriteString(")\n\nfunc init() {\n")
	fmt.Fprintf(&w, "imports.Packages[%q] = imports.Package{\nName: %q,\n", b.pkg.PkgPath, b.pkg.Name)
	for _, part := range []struct {
		name, kind string
		lines      []string
	}{
		{"Binds", "map[string]reflect.Value", b.binds},
		{"Types", "map[string]reflect.Type", b.types},
		{"Proxies", "map[string]reflect.Type", b.proxies},
		{"Untypeds", "map[string]string", b.untypeds},
		{"Wrappers", "map[string][]string", b.wrappers},
	} {
		fmt.Fprintf(&w, "%s: %s{\n%s\n},\n", part.name, part.kind, strings.Join(part.lines, "\n"))
	}
	fmt.Fprintf(&w, "}\ndocument(map[string]string{\n%s\n})\n}\n", strings.Join(b.docs, "\n"))
	w.Write(b.code.Bytes())
	return format.Source(w.Bytes())
}
