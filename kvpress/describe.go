package kvpress

import (
	"fmt"
	"reflect"
)

// A Parameter is a field of a press that its spelling can set.
type Parameter struct {
	Name  string // as it is spelled: "window"
	Field string // in Go: "Window"
	Kind  string // of the field: "int", "uint64", "float64", "bool", "string" or "[]float64"
}

// Parameters lists what the spelling of a method can set, in the order of its fields; inner presses and the budget are
// not in it.
func (m Method) Parameters() []Parameter {
	v := m.prototype()
	if v.Kind() != reflect.Struct {
		return nil
	}
	var all []Parameter
	for i := 0; i < v.NumField(); i++ {
		t := v.Type().Field(i)
		if spelled(t) && settable(t.Type) {
			all = append(all, Parameter{Name: key(t.Name), Field: t.Name, Kind: t.Type.String()})
		}
	}
	return all
}

// settable reports a type that setText can set.
func settable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64, reflect.Bool, reflect.String:
		return true
	}
	return t == reflect.TypeOf([]float64{})
}

// Type is the name of the method's type with its package, as documentation lists it; "" for a type that has none.
func (m Method) Type() string {
	t := m.prototype()
	if !t.IsValid() || t.Type().Name() == "" {
		return ""
	}
	return t.Type().PkgPath() + "." + t.Type().Name()
}

// Inner says what stands inside the brackets of the method's spelling: "scorer", "press" or "presses"; "" for nothing.
func (m Method) Inner() string {
	v := m.prototype()
	if v.Kind() != reflect.Struct {
		return ""
	}
	for t, name := range map[reflect.Type]string{scorerType: "scorer", pressType: "press", reflect.SliceOf(pressType): "presses"} {
		if _, ok := fieldOf(v, t); ok {
			return name
		}
	}
	return ""
}

// TakesBudget reports whether the spelling of the method ends with a budget, its own or that of a press inside.
func (m Method) TakesBudget() bool {
	v := m.prototype()
	return m.Scorer != nil || v.Kind() == reflect.Struct && hasBudget(v)
}

func (m Method) prototype() reflect.Value {
	if m.Scorer != nil {
		return reflect.ValueOf(m.Scorer)
	}
	return reflect.ValueOf(m.Press)
}

// ScorerOf is the scorer inside a press; an error for a press without one, such as think.
func ScorerOf(p Press) (Scorer, error) {
	if v := reflect.ValueOf(p); v.Kind() == reflect.Struct {
		if f, ok := fieldOf(v, scorerType); ok && !f.IsNil() {
			return f.Interface().(Scorer), nil
		}
	}
	return nil, fmt.Errorf("%w: %s has no scorer inside", ErrBadParameter, p.Name())
}

// WithScorer is the press with another scorer inside.
func WithScorer(p Press, s Scorer) (Press, error) {
	if _, err := ScorerOf(p); err != nil {
		return nil, err
	}
	v := reflect.New(reflect.TypeOf(p)).Elem()
	v.Set(reflect.ValueOf(p))
	f, _ := fieldOf(v, scorerType)
	f.Set(reflect.ValueOf(s))
	return v.Interface().(Press), nil
}
