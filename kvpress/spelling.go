package kvpress

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// A press has one spelling everywhere: name(inner, key=value):budget, such as adakv(snapkv(window=16)):0.5. The
// functions of this file read and write it by looking at the exported fields of the press.

var (
	scorerType = reflect.TypeOf((*Scorer)(nil)).Elem()
	pressType  = reflect.TypeOf((*Press)(nil)).Elem()
	budgetType = reflect.TypeOf(Budget{})
)

// key is the spelling of a field: SinkTokens becomes sink_tokens.
func key(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Spell writes the spelling of a press or scorer that is a struct: its inner presses, the parameters that differ
// from their zero value, and its budget.
func Spell(name string, press interface{}) string {
	v := reflect.ValueOf(press)
	var args []string
	budget := ""
	for i := 0; i < v.NumField(); i++ {
		f, t := v.Field(i), v.Type().Field(i)
		if !spelled(t) || f.IsZero() && t.Type != budgetType {
			continue
		}
		switch {
		case t.Type == scorerType || t.Type == pressType:
			args = append(args, innerName(f))
		case t.Type == reflect.SliceOf(pressType):
			for j := 0; j < f.Len(); j++ {
				args = append(args, innerName(f.Index(j)))
			}
		case t.Type == budgetType:
			budget = ":" + f.Interface().(Budget).String()
		case f.Kind() == reflect.Slice:
			args = append(args, key(t.Name)+"="+strings.ReplaceAll(strings.Trim(fmt.Sprint(f.Interface()), "[]"), " ", "/"))
		default:
			args = append(args, key(t.Name)+"="+fmt.Sprint(f.Interface()))
		}
	}
	if len(args) > 0 {
		name += "(" + strings.Join(args, ", ") + ")"
	}
	return name + budget
}

// spelled reports whether a field is part of the spelling; trained weights are not.
func spelled(f reflect.StructField) bool {
	if !f.IsExported() {
		return false
	}
	switch f.Type {
	case scorerType, pressType, budgetType, reflect.SliceOf(pressType), reflect.TypeOf([]float64{}):
		return true
	}
	return f.Type.Kind() != reflect.Slice && f.Type.Kind() != reflect.Struct
}

func innerName(v reflect.Value) string {
	if v.IsNil() {
		return "?" // the plan tells what is missing
	}
	return v.Interface().(interface{ Name() string }).Name()
}

// Parse reads a press from its spelling.
func Parse(spelling string) (Press, error) {
	p := parser{text: spelling}
	press, err := p.press(nil)
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return nil, fmt.Errorf("press %q: %w", spelling, err)
	}
	return press, nil
}

// ParseScorer reads a scorer, such as "snapkv(window=16)".
func ParseScorer(spelling string) (Scorer, error) {
	p := parser{text: spelling}
	e, err := p.expression()
	if err == nil {
		err = p.end()
	}
	var s Scorer
	if err == nil {
		s, err = e.scorer()
	}
	if err != nil {
		return nil, fmt.Errorf("scorer %q: %w", spelling, err)
	}
	return s, nil
}

// ParseList reads presses separated by commas, such as "snapkv:0.5, adakv(snapkv):0.5".
func ParseList(spelling string) ([]Press, error) { return ParseSweep(spelling) }

// ParseSweep reads presses separated by commas, of which those that need a budget and name none get each of the budgets
// in turn: "snapkv, knorm:0.9" with Ratio(0.25) and Ratio(0.5) is snapkv:0.25, snapkv:0.5, knorm:0.9.
func ParseSweep(spelling string, budgets ...Budget) ([]Press, error) {
	p := parser{text: spelling}
	var all []Press
	for {
		e, err := p.expression()
		if err == nil {
			all, err = e.sweep(all, budgets)
		}
		if err == nil && !p.take(',') {
			err = p.end()
			if err == nil {
				return all, nil
			}
		}
		if err != nil {
			return nil, fmt.Errorf("presses %q: %w", spelling, err)
		}
	}
}

// sweep adds the press of an expression, or, where it needs a budget, one for each of several.
func (e expression) sweep(all []Press, budgets []Budget) ([]Press, error) {
	press, err := e.press(nil)
	if err == nil {
		return append(all, press), nil
	}
	for i := range budgets {
		if err = budgets[i].Check(); err != nil {
			return nil, err
		}
		if press, err = e.press(&budgets[i]); err != nil {
			return nil, err
		}
		all = append(all, press)
	}
	return all, err
}

// An expression is a spelling taken apart: name(inner, key=value):budget.
type expression struct {
	name   string
	inner  []expression
	keys   []string
	values []string
	budget *Budget
}

// deepest is how deep presses may be nested in a spelling.
const deepest = 16

type parser struct {
	text  string
	at    int
	depth int
}

func (p *parser) skip() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

func (p *parser) take(c byte) bool {
	p.skip()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) end() error {
	p.skip()
	if p.at < len(p.text) {
		return fmt.Errorf("%q is left over: write name(inner, key=value):budget", p.text[p.at:])
	}
	return nil
}

func (p *parser) word(stop string) string {
	p.skip()
	start := p.at
	for p.at < len(p.text) && !strings.ContainsRune(stop, rune(p.text[p.at])) {
		p.at++
	}
	return strings.TrimSpace(p.text[start:p.at])
}

func (p *parser) press(outer *Budget) (Press, error) {
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	return e.press(outer)
}

func (p *parser) expression() (expression, error) {
	e := expression{name: p.word("(),:=")}
	if e.name == "" {
		return e, fmt.Errorf("a name is missing at character %d", p.at)
	}
	if p.depth++; p.depth > deepest {
		return e, fmt.Errorf("presses are nested more than %d deep", deepest)
	}
	defer func() { p.depth-- }()
	if p.take('(') {
		for !p.take(')') {
			if len(e.inner)+len(e.keys) > 0 && !p.take(',') {
				return e, fmt.Errorf("%s: a comma or a closing bracket is missing at character %d", e.name, p.at)
			}
			mark := p.at
			k := p.word("(),:=")
			if p.take('=') {
				e.keys = append(e.keys, k)
				e.values = append(e.values, p.word("(),:="))
				continue
			}
			p.at = mark
			in, err := p.expression()
			if err != nil {
				return e, err
			}
			e.inner = append(e.inner, in)
		}
	}
	if p.take(':') {
		b, err := ParseBudget(p.word("(),:="))
		if err != nil {
			return e, fmt.Errorf("%s: %w", e.name, err)
		}
		e.budget = &b
	}
	return e, nil
}

// scorer builds the scorer an expression names.
func (e expression) scorer() (Scorer, error) {
	m, err := MethodNamed(e.name)
	if err != nil {
		return nil, err
	}
	if m.Scorer == nil {
		return nil, fmt.Errorf("%s has a budget rule of its own and cannot stand where a scorer is wanted", e.name)
	}
	if e.budget != nil {
		return nil, fmt.Errorf("%s: the budget belongs to the outer press: write it at the end", e.name)
	}
	v, err := e.fill(reflect.ValueOf(m.Scorer), nil)
	if err != nil {
		return nil, err
	}
	return v.Interface().(Scorer), nil
}

// press builds the press an expression names; outer is the budget of the press around it, if any.
func (e expression) press(outer *Budget) (Press, error) {
	budget := outer
	if e.budget != nil {
		budget = e.budget
	}
	m, err := MethodNamed(e.name)
	if err != nil {
		return nil, err
	}
	if m.Scorer != nil {
		if budget == nil {
			return nil, fmt.Errorf("%s needs a budget: write %s:0.5 to remove half of the pairs", e.name, e.name)
		}
		e.budget = nil
		s, err := e.scorer()
		if err != nil {
			return nil, err
		}
		return TopK(s, *budget), nil
	}
	v, err := e.fill(reflect.ValueOf(m.Press), budget)
	if err != nil {
		return nil, err
	}
	return v.Interface().(Press), nil
}

// fill copies a prototype and sets its fields from the expression. A prototype without a budget field hands the
// budget on to its inner presses.
func (e expression) fill(prototype reflect.Value, budget *Budget) (reflect.Value, error) {
	if prototype.Kind() != reflect.Struct {
		if len(e.inner)+len(e.keys) > 0 {
			return prototype, fmt.Errorf("%s takes no parameters", e.name)
		}
		return prototype, nil
	}
	v := reflect.New(prototype.Type()).Elem()
	v.Set(prototype)
	if err := e.fillInner(v, budget); err != nil {
		return v, err
	}
	if f, ok := fieldOf(v, budgetType); ok {
		if budget == nil {
			return v, fmt.Errorf("%s needs a budget: write %s(...):0.5 to remove half of the pairs", e.name, e.name)
		}
		f.Set(reflect.ValueOf(*budget))
	}
	if e.budget != nil && !hasBudget(v) {
		return v, fmt.Errorf("%s has no budget: leave out the :%s", e.name, e.budget)
	}
	for i, k := range e.keys {
		if err := e.setParameter(v, k, e.values[i]); err != nil {
			return v, err
		}
	}
	return v, nil
}

// hasBudget reports whether a press has a budget or hands one on.
func hasBudget(v reflect.Value) bool {
	for _, t := range []reflect.Type{budgetType, pressType, reflect.SliceOf(pressType)} {
		if _, ok := fieldOf(v, t); ok {
			return true
		}
	}
	return false
}

func fieldOf(v reflect.Value, t reflect.Type) (reflect.Value, bool) {
	for i := 0; i < v.NumField(); i++ {
		if v.Field(i).Type() == t {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func (e expression) fillInner(v reflect.Value, budget *Budget) error {
	if f, ok := fieldOf(v, scorerType); ok {
		if len(e.inner) == 0 && !f.IsNil() {
			return nil // the prototype brings its usual scorer
		}
		if len(e.inner) != 1 {
			return fmt.Errorf("%s takes one scorer: write %s(snapkv)", e.name, e.name)
		}
		s, err := e.inner[0].scorer()
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		f.Set(reflect.ValueOf(s))
		return nil
	}
	several, takesSeveral := fieldOf(v, reflect.SliceOf(pressType))
	one, takesOne := fieldOf(v, pressType)
	if len(e.inner) > 0 && !takesSeveral && !takesOne {
		return fmt.Errorf("%s wraps no other press", e.name)
	}
	var presses []Press
	for _, in := range e.inner {
		p, err := in.press(budget)
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		presses = append(presses, p)
	}
	switch {
	case takesSeveral:
		several.Set(reflect.ValueOf(presses))
	case takesOne && len(presses) != 1:
		return fmt.Errorf("%s takes one press: write %s(snapkv):0.5", e.name, e.name)
	case takesOne:
		one.Set(reflect.ValueOf(presses[0]))
	}
	return nil
}

func (e expression) setParameter(v reflect.Value, name, text string) error {
	var known []string
	for i := 0; i < v.NumField(); i++ {
		t := v.Type().Field(i)
		if !spelled(t) || t.Type == budgetType || t.Type.Kind() == reflect.Interface {
			continue
		}
		if key(t.Name) != name {
			known = append(known, key(t.Name))
			continue
		}
		if err := setText(v.Field(i), text); err != nil {
			return fmt.Errorf("%w: %s: %s=%s: %w", ErrBadParameter, e.name, name, text, err)
		}
		return nil
	}
	if len(known) == 0 {
		return fmt.Errorf("%w: %s has no parameters, so no %q", ErrBadParameter, e.name, name)
	}
	return fmt.Errorf("%w: %s has no parameter %q: it has %s", ErrBadParameter, e.name, name, strings.Join(known, ", "))
}

func setText(f reflect.Value, text string) error {
	switch f.Kind() {
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("a whole number is wanted")
		}
		f.SetInt(n)
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return errors.New("a whole number from 0 is wanted")
		}
		f.SetUint(n)
	case reflect.Float64:
		x, err := parseNumber(text)
		if err != nil {
			return err
		}
		f.SetFloat(x)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("true or false is wanted")
		}
		f.SetBool(b)
	case reflect.String:
		f.SetString(text)
	case reflect.Slice:
		var xs []float64
		for _, part := range strings.Split(text, "/") {
			x, err := parseNumber(part)
			if err != nil {
				return errors.New("numbers separated by / are wanted")
			}
			xs = append(xs, x)
		}
		f.Set(reflect.ValueOf(xs))
	default:
		return errors.New("cannot be written in a spelling: set the field in Go")
	}
	return nil
}

// parseNumber reads a finite number.
func parseNumber(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, errors.New("a number is wanted")
	}
	return x, nil
}
