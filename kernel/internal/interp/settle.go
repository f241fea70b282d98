package interp

import (
	"reflect"
	"unsafe"

	"github.com/cosmos72/gomacro/fast"
	"github.com/cosmos72/gomacro/xreflect"
)

// settle finishes the types that came with an import.
//
// While gomacro takes in a compiled type that mentions itself, such as a struct with a field that leads back to a slice
// of it, it writes down a placeholder for that slice, and marks it unfinished. The mark is never taken off: elements of
// such slices have no methods, in the cells of the one run in which the type happened to be reached by that way (types
// of a package are taken in in the order of a Go map). The true type is known: it is the key the placeholder is kept by.
func (in *Interp) settle(g *fast.Interp) {
	types := g.Comp.Universe.ReflectTypes
	if len(types) == in.settled {
		return
	}
	for exact, t := range types {
		if mentions(exact, forward) {
			continue // declared in a cell: the placeholder is what its values have
		}
		if rt := t.ReflectType(); rt != exact && mentions(rt, forward) {
			t.UnsafeForceReflectType(exact)
		}
		finish(t)
	}
	in.settled = len(types)
}

// forward is the type that gomacro writes in place of one that is still being defined.
var forward = reflect.TypeFor[xreflect.Forward]()

// mentions tells whether a type is made of another, names not looked behind.
func mentions(t, other reflect.Type) bool {
	if t == other {
		return true
	}
	if t.Name() != "" {
		return false
	}
	switch t.Kind() {
	case reflect.Map:
		return mentions(t.Key(), other) || mentions(t.Elem(), other)
	case reflect.Array, reflect.Chan, reflect.Pointer, reflect.Slice:
		return mentions(t.Elem(), other)
	case reflect.Struct:
		for i := range t.NumField() {
			if mentions(t.Field(i).Type, other) {
				return true
			}
		}
	case reflect.Func:
		for i := range t.NumIn() {
			if mentions(t.In(i), other) {
				return true
			}
		}
		for i := range t.NumOut() {
			if mentions(t.Out(i), other) {
				return true
			}
		}
	}
	return false
}

// finish takes off the mark. The field has no setter; a Type is a function that returns the struct with the field.
func finish(t xreflect.Type) {
	get := reflect.ValueOf(t)
	option := get.Call([]reflect.Value{reflect.Zero(get.Type().In(0))})[0].Elem().FieldByName("option")
	if option.IsValid() && option.CanAddr() && xreflect.Option(option.Uint()) != xreflect.OptDefault {
		*(*xreflect.Option)(unsafe.Pointer(option.UnsafeAddr())) = xreflect.OptDefault
	}
}
