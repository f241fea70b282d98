package jinja

import "strings"

// An expr is an expression.
type expr interface{ eval(f *frame) any }

type (
	literal struct{ v any }
	name    string
	listOf  struct {
		items []expr
		tuple bool
	}
	dictOf    struct{ keys, values []expr }
	attribute struct {
		of   expr
		name string
	}
	item      struct{ of, at expr }
	slice     struct{ of, from, to, step expr }
	arguments struct {
		list            []expr
		names           []string
		named           []expr
		more, moreNamed expr // *list, **dict
	}
	call struct {
		of        expr
		arguments arguments
	}
	filtered struct {
		name      string
		filter    builtin
		of        expr
		arguments arguments
	}
	tested struct {
		name      string
		test      builtin
		of        expr
		arguments arguments
		not       bool
	}
	unary struct {
		operator string
		of       expr
	}
	binary struct {
		operator    string
		left, right expr
	}
	either struct {
		left, right expr
		or          bool // which means "and" where it is false
	}
	comparison struct {
		first     expr
		operators []string
		rest      []expr
	}
	choice struct{ yes, test, no expr }
)

func (e literal) eval(f *frame) any {
	f.spend(16)
	return e.v
}

func (e name) eval(f *frame) any {
	f.spend(16)
	return f.lookup(string(e))
}

func evalAll(f *frame, list []expr) []any {
	f.spend(16 * len(list))
	values := make([]any, len(list))
	for i, e := range list {
		values[i] = e.eval(f)
	}
	return values
}

func (e listOf) eval(f *frame) any { return &list{evalAll(f, e.items), e.tuple} }

func (e dictOf) eval(f *frame) any {
	d := newDict()
	for i, k := range e.keys {
		f.spend(64)
		d.set(f, k.eval(f), e.values[i].eval(f))
	}
	return d
}

func (e attribute) eval(f *frame) any {
	f.spend(16 + len(e.name))
	of := e.of.eval(f)
	if m, ok := method(of, e.name); ok {
		return m
	}
	if v, ok := element(f, of, e.name); ok {
		return v
	}
	return missing(of, e.name)
}

func (e item) eval(f *frame) any {
	f.spend(16)
	of, at := e.of.eval(f), e.at.eval(f)
	f.spend(size(at))
	if v, ok := element(f, of, at); ok {
		return v
	}
	if text, ok := at.(string); ok {
		if m, ok := method(of, text); ok {
			return m
		}
	}
	return missing(of, at)
}

func (e slice) eval(f *frame) any {
	of := e.of.eval(f)
	part := func(e expr) (int, bool) {
		if e == nil {
			return 0, false
		}
		v := e.eval(f)
		if v == nil {
			return 0, false
		}
		return wholeNumber(v, "slice indices"), true
	}
	from, hasFrom := part(e.from)
	to, hasTo := part(e.to)
	step, hasStep := part(e.step)
	if !hasStep {
		step = 1
	}
	if step == 0 {
		fail("slice step cannot be zero")
	}
	pick := func(n int) []int {
		low, high := 0, n // Python clips to these
		if step < 0 {
			low, high = -1, n-1
		}
		clip := func(i int, has bool, other int) int {
			if !has {
				return other
			}
			if i < 0 {
				i += n
			}
			return max(low, min(i, high))
		}
		step := max(-n-1, min(step, n+1)) // a longer one leads behind the end, too
		first, last := low, high
		if step < 0 {
			first, last = high, low
		}
		var places []int
		for i, end := clip(from, hasFrom, first), clip(to, hasTo, last); step > 0 && i < end || step < 0 && i > end; i += step {
			places = append(places, i)
		}
		return places
	}
	switch of := of.(type) {
	case string:
		letters := runes(f, of)
		var out strings.Builder
		for _, i := range pick(len(letters)) {
			out.WriteRune(letters[i])
		}
		return out.String()
	case *list:
		f.spend(16 * len(of.items))
		part := &list{tuple: of.tuple}
		for _, i := range pick(len(of.items)) {
			part.items = append(part.items, of.items[i])
		}
		return part
	case undefined:
		fail("%s", of.why)
	}
	fail("'%s' object is not subscriptable", typeName(of))
	return nil
}

// values evaluates the arguments of a call.
func (a arguments) values(f *frame) (v given) {
	v.list = evalAll(f, a.list)
	if a.more != nil {
		v.list = append(v.list, iterate(f, a.more.eval(f))...)
	}
	for i, name := range a.names {
		v.named = append(v.named, namedValue{name, a.named[i].eval(f)})
	}
	if a.moreNamed != nil {
		d, ok := a.moreNamed.eval(f).(*dict)
		if !ok {
			fail("argument after ** must be a mapping")
		}
		for i, k := range d.keys {
			v.named = append(v.named, namedValue{toText(f, k), d.values[i]})
		}
	}
	return v
}

func (e call) eval(f *frame) any {
	of := e.of.eval(f)
	return callValue(f, of, e.arguments.values(f))
}

// callValue calls a function, a method or a macro.
func callValue(f *frame, of any, a given) any {
	f.spend(32)
	switch of := of.(type) {
	case *function:
		return f.apply(of.call, a.bind(of.name, of.params))
	case *macro:
		return of.call(f, a)
	case *loopState:
		if !of.recursive {
			fail("The loop must have the 'recursive' marker to be called recursively.")
		}
		values := a.bind("loop", params("iterable", required))
		in := &frame{run: f.run, vars: map[string]any{}, parent: of.frame}
		var out strings.Builder
		in.out = &out
		of.each(in, values[0], of.depth+1)
		return out.String()
	case undefined:
		fail("%s", of.why)
	}
	fail("'%s' object is not callable", typeName(of))
	return nil
}

func (e filtered) eval(f *frame) any {
	f.spend(32)
	a := e.arguments.values(f)
	a.list = append([]any{e.of.eval(f)}, a.list...)
	return f.apply(e.filter.call, a.bind(e.name, e.filter.params))
}

func (e tested) eval(f *frame) any {
	f.spend(32)
	a := e.arguments.values(f)
	a.list = append([]any{e.of.eval(f)}, a.list...)
	return truth(f.apply(e.test.call, a.bind(e.name, e.test.params))) != e.not
}

func (e choice) eval(f *frame) any {
	if truth(e.test.eval(f)) {
		return e.yes.eval(f)
	}
	if e.no == nil {
		return undefined{"the inline if-expression evaluated to false and no else section was defined."}
	}
	return e.no.eval(f)
}

func (e either) eval(f *frame) any {
	if left := e.left.eval(f); truth(left) == e.or {
		return left
	}
	return e.right.eval(f)
}

func (e comparison) eval(f *frame) any {
	left := e.first.eval(f)
	for i, op := range e.operators {
		right := e.rest[i].eval(f)
		if !compare(f, op, left, right) {
			return false
		}
		left = right
	}
	return true
}

// compare tells whether a comparison holds.
func compare(f *frame, op string, left, right any) bool {
	switch op {
	case "==":
		return equal(f, left, right)
	case "!=":
		return !equal(f, left, right)
	case "in":
		return contains(f, right, left)
	case "not in":
		return !contains(f, right, left)
	case "<":
		return less(f, left, right, op)
	case "<=":
		return !less(f, right, left, op)
	case ">":
		return less(f, right, left, op)
	}
	return !less(f, left, right, op)
}

func (e unary) eval(f *frame) any {
	f.spend(16)
	v := e.of.eval(f)
	if e.operator == "not" {
		return !truth(v)
	}
	if u, ok := v.(undefined); ok {
		fail("%s", u.why)
	}
	switch n := number(v).(type) {
	case int:
		if e.operator == "-" {
			return -n
		}
		return n
	case float64:
		if e.operator == "-" {
			return -n
		}
		return n
	}
	fail("bad operand type for unary %s: '%s'", e.operator, typeName(v))
	return nil
}

func (e binary) eval(f *frame) any {
	f.spend(16)
	left, right := e.left.eval(f), e.right.eval(f)
	if e.operator == "~" {
		return joined(f, toText(f, left), toText(f, right))
	}
	return calculate(f, e.operator, left, right)
}

func joined(f *frame, left, right string) string {
	f.spend(len(left) + len(right))
	return left + right
}

// calculate applies an operator to two values.
func calculate(f *frame, op string, left, right any) any {
	for _, v := range []any{left, right} {
		if u, ok := v.(undefined); ok {
			fail("%s", u.why)
		}
	}
	switch l := left.(type) {
	case string:
		switch r := right.(type) {
		case string:
			if op == "+" {
				return joined(f, l, r)
			}
		case int:
			if op == "*" {
				return repeated(f, l, r)
			}
		}
		if op == "%" {
			return percent(f, l, right)
		}
		if op == "+" {
			fail("can only concatenate str (not \"%s\") to str", typeName(right))
		}
	case *list:
		if r, ok := right.(*list); ok && op == "+" && l.tuple == r.tuple {
			f.spend(16 * (len(l.items) + len(r.items)))
			return &list{append(append([]any{}, l.items...), r.items...), l.tuple}
		}
		if r, ok := right.(int); ok && op == "*" {
			return multiplied(f, l, r)
		}
	}
	if l, ok := left.(int); ok && op == "*" {
		switch r := right.(type) {
		case string:
			return repeated(f, r, l)
		case *list:
			return multiplied(f, r, l)
		}
	}
	switch l := number(left).(type) {
	case int:
		switch r := number(right).(type) {
		case int:
			return wholes(op, l, r)
		case float64:
			return floats(op, float64(l), r)
		}
	case float64:
		switch r := number(right).(type) {
		case int:
			return floats(op, l, float64(r))
		case float64:
			return floats(op, l, r)
		}
	}
	fail("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(left), typeName(right))
	return nil
}

func repeated(f *frame, text string, n int) string {
	n = max(n, 0)
	if len(text) > 0 && n > f.limit/len(text) {
		n = f.limit
	}
	f.spend(len(text) * n)
	return strings.Repeat(text, n)
}

func multiplied(f *frame, l *list, n int) *list {
	out := &list{tuple: l.tuple}
	for i := 0; i < n && len(l.items) > 0; i++ {
		f.spend(16 * len(l.items))
		out.items = append(out.items, l.items...)
	}
	return out
}
