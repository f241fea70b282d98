package main

import (
	"bytes"
	"fmt"
	"go/constant"
	"go/format"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// A binding collects what is written about one package.
type binding struct {
	pkg      *packages.Package
	imports  map[string]bool // paths
	binds    []string
	untypeds []string
	types    []string
	proxies  []string
	wrappers []string
	code     bytes.Buffer // of the proxies
}

// bind collects the exported names of a package but those that are known already.
func bind(p *packages.Package, known map[string]bool) *binding {
	b := &binding{pkg: p, imports: map[string]bool{}}
	scope := p.Types.Scope()
	for _, name := range scope.Names() {
		if token.IsExported(name) && !known[name] {
			b.add(scope.Lookup(name))
		}
	}
	if !b.empty() {
		b.imports[p.PkgPath] = true
	}
	return b
}

func (b *binding) empty() bool { return len(b.binds)+len(b.types) == 0 }

// alias is the name by which a package is imported: some have the same name.
func alias(path string) string {
	path = strings.TrimPrefix(path, module)
	return strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace(path)
}

// add writes one exported name.
func (b *binding) add(o types.Object) {
	name := alias(b.pkg.PkgPath) + "." + o.Name()
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
	kind := "P_" + alias(b.pkg.PkgPath) + "_" + short
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
		b.imports[p.Path()] = true
		return alias(p.Path())
	})
}

// file is the Go file that adds some packages, and the documentation of their names, to the tables of the interpreter.
func file(all []*binding, docs map[string]string) ([]byte, error) {
	paths := []string{"reflect", "github.com/gopherdata/gophernotes/imports"}
	for _, b := range all {
		for p := range b.imports {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	var w bytes.Buffer
	w.WriteString("// Code generated by go generate; DO NOT EDIT.\n\npackage bind\n\nimport (\n")
	for _, p := range slices.Compact(paths) {
		name := alias(p)
		if strings.HasSuffix(p, "gophernotes/imports") {
			name = "imports"
		}
		fmt.Fprintf(&w, "\t%s %q\n", name, p)
	}
	w.WriteString(")\n\nfunc init() {\n")
	for _, b := range all {
		fmt.Fprintf(&w, "extend(%q, imports.Package{\nName: %q,\n", b.pkg.PkgPath, b.pkg.Name)
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
			if len(part.lines) > 0 {
				fmt.Fprintf(&w, "%s: %s{\n%s\n},\n", part.name, part.kind, strings.Join(part.lines, "\n"))
			}
		}
		w.WriteString("})\n")
	}
	if len(docs) > 0 {
		w.WriteString("document(map[string]string{\n")
		for _, name := range slices.Sorted(maps.Keys(docs)) {
			fmt.Fprintf(&w, "%q: %q,\n", name, docs[name])
		}
		w.WriteString("})\n")
	}
	w.WriteString("}\n")
	for _, b := range all {
		w.Write(b.code.Bytes())
	}
	return format.Source(w.Bytes())
}
