package interp

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"math"
	"reflect"
	"sort"
	"strings"

	"github.com/cosmos72/gomacro/fast"
	"github.com/cosmos72/gomacro/imports"
	"github.com/cosmos72/gomacro/xreflect"
)

// Interpreted code cannot call generic functions. Those of slices, maps and cmp that cells use most, and the builtins
// min, max and clear, are therefore known to the interpreter as builtins: their types are worked out for each call.
// What returns an iterator in Go returns a slice here.

type (
	types  = []xreflect.Type
	values = []reflect.Value
)

// A generic is such a function.
type generic struct {
	least, most int // arguments
	// sign makes the signature of a call from the types of its arguments.
	sign func(c *fast.Comp, in types) (params, results types, err error)
	run  func(in values) values
	doc  string
}

const many = math.MaxUint16

// generics are by name, with a dot in the middle that cells cannot write.
var generics = map[string]generic{
	"min":   {1, many, ordered, func(in values) values { return best(in, -1) }, "min(x, y...): the smallest value"},
	"max":   {1, many, ordered, func(in values) values { return best(in, +1) }, "max(x, y...): the largest value"},
	"clear": {1, 1, clearable, func(in values) values { in[0].Clear(); return nil }, "clear(m): empties a map, or zeroes a slice"},

	"cmp·Compare": {2, 2, twoOrdered(integer), func(in values) values { return one(compare(in[0], in[1])) }, "Compare(x, y) int: -1, 0 or +1"},
	"cmp·Less":    {2, 2, twoOrdered(boolean), func(in values) values { return one(compare(in[0], in[1]) < 0) }, "Less(x, y) bool"},

	"slices·Sort":           {1, 1, slice(nothing), func(in values) values { sortBy(in[0], compare); return nil }, "Sort(s)"},
	"slices·SortFunc":       {2, 2, slice(nothing, comparer), func(in values) values { sortBy(in[0], by(in[1])); return nil }, "SortFunc(s, func(a, b E) int)"},
	"slices·SortStableFunc": {2, 2, slice(nothing, comparer), func(in values) values { sortBy(in[0], by(in[1])); return nil }, "SortStableFunc(s, func(a, b E) int)"},
	"slices·IsSorted":       {1, 1, slice(boolean), isSorted, "IsSorted(s) bool"},
	"slices·Reverse":        {1, 1, slice(nothing), reverse, "Reverse(s)"},
	"slices·Contains":       {2, 2, slice(boolean, element), func(in values) values { return one(index(in[0], in[1]) >= 0) }, "Contains(s, v) bool"},
	"slices·ContainsFunc":   {2, 2, slice(boolean, tester), func(in values) values { return one(indexFunc(in[0], in[1]) >= 0) }, "ContainsFunc(s, func(E) bool) bool"},
	"slices·Index":          {2, 2, slice(integer, element), func(in values) values { return one(index(in[0], in[1])) }, "Index(s, v) int: -1 if it is not there"},
	"slices·IndexFunc":      {2, 2, slice(integer, tester), func(in values) values { return one(indexFunc(in[0], in[1])) }, "IndexFunc(s, func(E) bool) int"},
	"slices·Max":            {1, 1, slice(element), func(in values) values { return best(elements(in[0]), +1) }, "Max(s) E"},
	"slices·Min":            {1, 1, slice(element), func(in values) values { return best(elements(in[0]), -1) }, "Min(s) E"},
	"slices·Clone":          {1, 1, slice(itself), func(in values) values { return values{concat(in...)} }, "Clone(s) S"},
	"slices·Collect":        {1, 1, slice(itself), func(in values) values { return values{concat(in...)} }, "Collect(s) S"},
	"slices·Values":         {1, 1, slice(itself), func(in values) values { return in }, "Values(s) S"},
	"slices·Sorted":         {1, 1, slice(itself), sorted, "Sorted(s) S: a sorted copy"},
	"slices·Concat":         {1, many, sameSlices, func(in values) values { return values{concat(in...)} }, "Concat(s...) S"},
	"slices·Equal":          {2, 2, slice(boolean, itself), equalSlices, "Equal(a, b) bool"},
	"slices·Compact":        {1, 1, slice(itself), compact, "Compact(s) S: runs of equal values become one"},
	"slices·BinarySearch":   {2, 2, search, binarySearch, "BinarySearch(s, v) (int, bool)"},
	"slices·Delete":         {3, 3, slice(itself, integer, integer), remove, "Delete(s, i, j) S"},
	"slices·Insert":         {3, 3, slice(itself, integer, element), insert, "Insert(s, i, v) S"},
	"slices·Repeat":         {2, 2, slice(itself, integer), repeated, "Repeat(s, n) S"},

	"maps·Keys":       {1, 1, mapping(keys), func(in values) values { return values{gather(in[0], true)} }, "Keys(m) []K, in no order"},
	"maps·Values":     {1, 1, mapping(elems), func(in values) values { return values{gather(in[0], false)} }, "Values(m) []V, in no order"},
	"maps·Clone":      {1, 1, mapping(itself), cloneMap, "Clone(m) M"},
	"maps·Copy":       {2, 2, mapping(nothing, itself), func(in values) values { copyMap(in[0], in[1]); return nil }, "Copy(dst, src)"},
	"maps·Equal":      {2, 2, mapping(boolean, itself), equalMaps, "Equal(a, b) bool"},
	"maps·DeleteFunc": {2, 2, mapping(nothing, pairTester), deleteFunc, "DeleteFunc(m, func(K, V) bool)"},
}

// lists are the generics that return an iterator in Go: a loop over one has one variable.
var lists = map[string]bool{"maps·Keys": true, "maps·Values": true, "slices·Values": true}

// A placeholder stands for a generic function in the tables of its package. It says how the function is called.
type placeholder struct{ Call string }

func init() {
	for name, g := range generics {
		pkg, function, ok := strings.Cut(name, "·")
		if !ok {
			continue
		}
		if _, there := imports.Packages[pkg]; !there {
			imports.Packages[pkg] = imports.Package{Name: pkg, Binds: map[string]reflect.Value{}}
		}
		imports.Packages[pkg].Binds[function] = reflect.ValueOf(placeholder{g.doc})
	}
}

// declareGenerics makes the interpreter know them.
func declareGenerics(g *fast.Interp) {
	for name, f := range generics {
		g.DeclBuiltin(name, fast.Builtin{ArgMin: uint16(f.least), ArgMax: uint16(f.most), Compile: f.compile})
	}
}

// nameGenerics rewrites slices.Sort(x) to the builtin's name, where slices is an imported package.
func nameGenerics(nodes []ast.Node, imported func(name string) (path string)) {
	name := func(x ast.Expr) string {
		sel, ok := x.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		pkg, ok := sel.X.(*ast.Ident)
		if !ok {
			return ""
		}
		full := imported(pkg.Name) + "·" + sel.Sel.Name
		if _, ok := generics[full]; !ok {
			return ""
		}
		return full
	}
	for _, n := range nodes {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if full := name(n.Fun); full != "" {
					n.Fun = ident(full, n.Fun.Pos())
				}
			case *ast.RangeStmt:
				if c, ok := n.X.(*ast.CallExpr); ok && lists[name(c.Fun)] && n.Value == nil && n.Key != nil {
					n.Key, n.Value = ident("_", n.Key.Pos()), n.Key
				}
			}
			return true
		})
	}
}

// compile makes the call of a generic function.
func (g generic) compile(c *fast.Comp, sym fast.Symbol, node *ast.CallExpr) *fast.Call {
	name := strings.Replace(sym.Name, "·", ".", 1)
	args := make([]*fast.Expr, len(node.Args))
	in := make(types, len(args))
	for i, a := range node.Args {
		args[i] = c.Expr1(a, nil)
		in[i] = args[i].Type
		if args[i].Const() {
			in[i] = args[i].DefaultType()
		}
		if in[i] == nil {
			c.Errorf("%s: nil has no type", name)
		}
	}
	for i, a := range args { // untyped constants take the type of the others
		if i > 0 && a.Untyped() && !args[0].Untyped() || i == 0 && a.Untyped() && len(args) > 1 && !args[1].Untyped() && g.least == 1 {
			in[i] = nil
		}
	}
	params, results, err := g.sign(c, in)
	if err != nil {
		c.Errorf("%s: %v", name, err)
	}
	for i, a := range args {
		if !a.Const() && (a.Type == nil || !a.Type.AssignableTo(params[i])) {
			c.Errorf("%s: cannot use <%v> as <%v>", name, a.Type, params[i])
		}
		a.To(c, params[i])
	}
	if node.Ellipsis != token.NoPos {
		c.Errorf("%s: ... is not supported here", name)
	}
	t := c.Universe.FuncOf(params, results, false)
	f := xreflect.MakeValue(reflect.MakeFunc(t.ReflectType(), g.run))
	return &fast.Call{Fun: &fast.Expr{Lit: fast.Lit{Type: t}, Fun: func(*fast.Env) xreflect.Value { return f }}, Args: args, OutTypes: results}
}

// A role is the type of a parameter or result as a function of that of the slice or map.
type role func(c *fast.Comp, slice xreflect.Type) xreflect.Type

func integer(c *fast.Comp, _ xreflect.Type) xreflect.Type { return c.TypeOf(0) }
func boolean(c *fast.Comp, _ xreflect.Type) xreflect.Type { return c.TypeOf(false) }
func nothing(*fast.Comp, xreflect.Type) xreflect.Type     { return nil }
func itself(_ *fast.Comp, s xreflect.Type) xreflect.Type  { return s }
func element(_ *fast.Comp, s xreflect.Type) xreflect.Type { return s.Elem() }
func tester(c *fast.Comp, s xreflect.Type) xreflect.Type {
	return c.Universe.FuncOf(types{s.Elem()}, types{c.TypeOf(false)}, false)
}

func comparer(c *fast.Comp, s xreflect.Type) xreflect.Type {
	return c.Universe.FuncOf(types{s.Elem(), s.Elem()}, types{c.TypeOf(0)}, false)
}

func keys(c *fast.Comp, m xreflect.Type) xreflect.Type  { return c.Universe.SliceOf(m.Key()) }
func elems(c *fast.Comp, m xreflect.Type) xreflect.Type { return c.Universe.SliceOf(m.Elem()) }
func pairTester(c *fast.Comp, m xreflect.Type) xreflect.Type {
	return c.Universe.FuncOf(types{m.Key(), m.Elem()}, types{c.TypeOf(false)}, false)
}

// over is a signature whose first parameter is of a kind.
func over(kind reflect.Kind, result role, rest []role) func(*fast.Comp, types) (types, types, error) {
	return func(c *fast.Comp, in types) (params, results types, err error) {
		if in[0].Kind() != kind {
			return nil, nil, fmt.Errorf("<%v> is not a %v", in[0], kind)
		}
		params = types{in[0]}
		for _, r := range rest {
			params = append(params, r(c, in[0]))
		}
		if t := result(c, in[0]); t != nil {
			results = types{t}
		}
		return params, results, nil
	}
}

func slice(result role, rest ...role) func(*fast.Comp, types) (types, types, error) {
	return over(reflect.Slice, result, rest)
}

func mapping(result role, rest ...role) func(*fast.Comp, types) (types, types, error) {
	return over(reflect.Map, result, rest)
}

// search is the signature of BinarySearch.
func search(c *fast.Comp, in types) (types, types, error) {
	params, results, err := slice(integer, element)(c, in)
	return params, append(results, c.TypeOf(false)), err
}

// clearable takes a map or a slice and returns nothing.
func clearable(_ *fast.Comp, in types) (types, types, error) {
	if k := in[0].Kind(); k != reflect.Map && k != reflect.Slice {
		return nil, nil, fmt.Errorf("<%v> is not a map or slice", in[0])
	}
	return in, nil, nil
}

// sameSlices takes slices of one type and returns another one.
func sameSlices(_ *fast.Comp, in types) (types, types, error) {
	if in[0].Kind() != reflect.Slice {
		return nil, nil, fmt.Errorf("<%v> is not a slice", in[0])
	}
	return all(in[0], len(in)), types{in[0]}, nil
}

func all(t xreflect.Type, n int) types {
	ts := make(types, n)
	for i := range ts {
		ts[i] = t
	}
	return ts
}

// ordered takes values of one ordered type and returns one of them. Untyped constants have type nil beside others.
func ordered(_ *fast.Comp, in types) (types, types, error) {
	var t xreflect.Type
	for _, x := range in {
		if x != nil && (t == nil || t.Kind() == reflect.Int && x.Kind() == reflect.Float64) {
			t = x
		}
	}
	if !isOrdered(t) {
		return nil, nil, fmt.Errorf("<%v> has no order", t)
	}
	return all(t, len(in)), types{t}, nil
}

func twoOrdered(result role) func(*fast.Comp, types) (types, types, error) {
	return func(c *fast.Comp, in types) (types, types, error) {
		params, _, err := ordered(c, in)
		return params, types{result(c, nil)}, err
	}
}

func isOrdered(t xreflect.Type) bool {
	switch k := t.Kind(); k {
	case reflect.Float32, reflect.Float64, reflect.String:
		return true
	default:
		return k >= reflect.Int && k <= reflect.Uintptr
	}
}

func one(x interface{}) values { return values{reflect.ValueOf(x)} }

// compare orders two values of one ordered type.
func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.CanFloat():
		return cmp.Compare(a.Float(), b.Float())
	case a.Kind() == reflect.String:
		return cmp.Compare(a.String(), b.String())
	}
	panic(fmt.Sprintf("values of type %v have no order", a.Type()))
}

// by is a comparison that a cell made.
func by(f reflect.Value) func(a, b reflect.Value) int {
	return func(a, b reflect.Value) int { return int(f.Call(values{a, b})[0].Int()) }
}

func sortBy(s reflect.Value, order func(a, b reflect.Value) int) {
	sort.SliceStable(s.Interface(), func(i, j int) bool { return order(s.Index(i), s.Index(j)) < 0 })
}

func elements(s reflect.Value) values {
	vs := make(values, s.Len())
	for i := range vs {
		vs[i] = s.Index(i)
	}
	return vs
}

// best is the value that compares as sign with all others.
func best(vs values, sign int) values {
	if len(vs) == 0 {
		panic("the slice is empty")
	}
	b := vs[0]
	for _, v := range vs[1:] {
		if v.CanFloat() && v.Float() != v.Float() { // NaN wins
			b = v
		} else if compare(v, b) == sign && !(b.CanFloat() && b.Float() != b.Float()) {
			b = v
		}
	}
	return values{b}
}

func isSorted(in values) values {
	for i := 1; i < in[0].Len(); i++ {
		if compare(in[0].Index(i-1), in[0].Index(i)) > 0 {
			return one(false)
		}
	}
	return one(true)
}

func reverse(in values) values {
	swap := reflect.Swapper(in[0].Interface())
	for i, j := 0, in[0].Len()-1; i < j; i, j = i+1, j-1 {
		swap(i, j)
	}
	return nil
}

func index(s, v reflect.Value) int {
	for i := range s.Len() {
		if s.Index(i).Equal(v) {
			return i
		}
	}
	return -1
}

func indexFunc(s, f reflect.Value) int {
	for i := range s.Len() {
		if f.Call(values{s.Index(i)})[0].Bool() {
			return i
		}
	}
	return -1
}

func concat(in ...reflect.Value) reflect.Value {
	out := in[0].Slice3(0, 0, 0) // a copy of no slice is none
	for _, s := range in {
		out = reflect.AppendSlice(out, s)
	}
	return out
}

func sorted(in values) values {
	s := concat(in...)
	sortBy(s, compare)
	return values{s}
}

func equalSlices(in values) values {
	if in[0].Len() != in[1].Len() {
		return one(false)
	}
	for i := range in[0].Len() {
		if !in[0].Index(i).Equal(in[1].Index(i)) {
			return one(false)
		}
	}
	return one(true)
}

func compact(in values) values {
	s, kept := in[0], 0
	for i := range s.Len() {
		if i == 0 || !s.Index(i).Equal(s.Index(kept-1)) {
			s.Index(kept).Set(s.Index(i))
			kept++
		}
	}
	s.Slice(kept, s.Len()).Clear()
	return values{s.Slice(0, kept)}
}

func binarySearch(in values) values {
	s := in[0]
	i := sort.Search(s.Len(), func(i int) bool { return compare(s.Index(i), in[1]) >= 0 })
	return values{reflect.ValueOf(i), reflect.ValueOf(i < s.Len() && compare(s.Index(i), in[1]) == 0)}
}

func remove(in values) values {
	s, i, j := in[0], int(in[1].Int()), int(in[2].Int())
	s.Slice(i, j) // panics unless i <= j, as the compiled function does
	out := reflect.AppendSlice(s.Slice(0, i), s.Slice(j, s.Len()))
	s.Slice(out.Len(), s.Len()).Clear()
	return values{out}
}

func insert(in values) values {
	s, i := in[0], int(in[1].Int())
	out := reflect.Append(concat(s.Slice(0, i)), in[2])
	return values{reflect.AppendSlice(out, s.Slice(i, s.Len()))}
}

func repeated(in values) values {
	if in[1].Int() < 0 {
		panic("cannot be negative")
	}
	out := reflect.MakeSlice(in[0].Type(), 0, 0)
	for range in[1].Int() {
		out = reflect.AppendSlice(out, in[0])
	}
	return values{out}
}

func gather(m reflect.Value, keys bool) reflect.Value {
	t := m.Type().Elem()
	if keys {
		t = m.Type().Key()
	}
	out := reflect.MakeSlice(reflect.SliceOf(t), 0, m.Len())
	for it := m.MapRange(); it.Next(); {
		if keys {
			out = reflect.Append(out, it.Key())
		} else {
			out = reflect.Append(out, it.Value())
		}
	}
	return out
}

func copyMap(to, from reflect.Value) {
	for it := from.MapRange(); it.Next(); {
		to.SetMapIndex(it.Key(), it.Value())
	}
}

func cloneMap(in values) values {
	if in[0].IsNil() {
		return in
	}
	out := reflect.MakeMap(in[0].Type())
	copyMap(out, in[0])
	return values{out}
}

func equalMaps(in values) values {
	if in[0].Len() != in[1].Len() {
		return one(false)
	}
	for it := in[0].MapRange(); it.Next(); {
		if v := in[1].MapIndex(it.Key()); !v.IsValid() || !v.Equal(it.Value()) {
			return one(false)
		}
	}
	return one(true)
}

func deleteFunc(in values) values {
	for it := in[0].MapRange(); it.Next(); {
		if in[1].Call(values{it.Key(), it.Value()})[0].Bool() {
			in[0].SetMapIndex(it.Key(), reflect.Value{})
		}
	}
	return nil
}
