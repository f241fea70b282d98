package jinja

import (
	"slices"
	"strings"
)

// A builtin is a filter, a test or a function. The first parameter of filters and tests is what they are applied to.
type builtin struct {
	params []param
	call   func(f *frame, a []any) any
}

// A param is a parameter with its default. The name "*" takes all further arguments as a list, "**" all further named
// ones as a dict.
type param struct {
	name  string
	other any
}

// required is the default of parameters that have none.
var required = &struct{ bool }{}

// params lists parameters: name, default, name, default, ...
func params(pairs ...any) []param {
	var list []param
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, param{pairs[i].(string), pairs[i+1]})
	}
	return list
}

// given are the arguments of a call.
type given struct {
	list  []any
	named []namedValue
}

type namedValue struct {
	name  string
	value any
}

// size is how many bytes or entries a value has that Go's own functions read.
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case *list:
		return len(v.items)
	case *dict:
		return len(v.keys)
	}
	return 0
}

// apply calls what is written in Go. What that reads and what it makes is work: it loops where the template does not.
func (f *frame) apply(call func(f *frame, a []any) any, a []any) any {
	for _, v := range a {
		f.spend(size(v))
	}
	made := call(f, a)
	f.spend(size(made))
	return made
}

// bind puts arguments where a function's parameters want them.
func (a given) bind(of string, to []param) []any {
	values := make([]any, len(to))
	used := 0
	var more *dict
	for i, p := range to {
		values[i] = p.other
		switch {
		case p.name == "**":
			more = newDict()
			values[i] = more
		case p.name == "*":
			values[i] = &list{items: slices.Clone(a.list[min(i, len(a.list)):])}
			used = len(a.list)
		case i < len(a.list):
			values[i] = a.list[i]
			used++
		}
	}
	if used < len(a.list) {
		fail("%s() takes %d arguments but %d were given", of, len(to), len(a.list))
	}
	for _, n := range a.named {
		i := slices.IndexFunc(to, func(p param) bool { return p.name == n.name })
		switch {
		case i >= 0 && i >= len(a.list):
			values[i] = n.value
		case i < 0 && more != nil:
			more.put(n.name, n.value)
		default:
			fail("%s() got an unexpected keyword argument '%s'", of, n.name)
		}
	}
	for i, v := range values {
		if v == any(required) {
			fail("%s() missing 1 required positional argument: '%s'", of, to[i].name)
		}
	}
	return values
}

// call runs a macro and gives what it writes.
func (m *macro) call(f *frame, a given) any {
	defer f.deeper()()
	in := &frame{run: f.run, vars: map[string]any{}, parent: m.frame}
	f.spend(64)
	rest := &list{tuple: true}
	if n := len(m.params); len(a.list) > n {
		if !m.varargs {
			fail("macro '%s' takes not more than %d argument(s)", m.name, n)
		}
		rest.items = a.list[n:]
	}
	more := newDict()
	in.vars["varargs"], in.vars["kwargs"] = rest, more
	in.vars["caller"] = undefined{"No caller defined"}
	for i, name := range m.params {
		delete(in.vars, name)
		if i < len(a.list) {
			in.vars[name] = a.list[i]
		}
	}
	for _, n := range a.named {
		if _, twice := in.vars[n.name]; twice && slices.Contains(m.params, n.name) {
			fail("macro '%s' got multiple values for argument '%s'", m.name, n.name)
		}
		switch {
		case slices.Contains(m.params, n.name) || m.caller && n.name == "caller":
			in.vars[n.name] = n.value
		case m.kwargs:
			more.put(n.name, n.value)
		default:
			fail("macro '%s' takes no keyword argument '%s'", m.name, n.name)
		}
	}
	for i, name := range m.params {
		if _, ok := in.vars[name]; ok {
			continue
		}
		if d := m.defaults[i]; d != nil {
			in.vars[name] = d.eval(in)
		} else {
			in.vars[name] = undefined{"parameter '" + name + "' was not provided"}
		}
	}
	return in.captured(m.body)
}

// mostRange is the longest range, Jinja's own for templates of strangers.
const mostRange = 100000

// globals are the functions that every template may call.
var globals = map[string]any{
	"range": &function{"range", params("*", nil), func(f *frame, a []any) any {
		var n []int
		for _, v := range a[0].(*list).items {
			n = append(n, wholeNumber(v, "range"))
		}
		from, to, step := 0, 0, 1
		switch len(n) {
		case 1:
			to = n[0]
		case 3:
			step = n[2]
			fallthrough
		case 2:
			from, to = n[0], n[1]
		default:
			fail("range expected 1 to 3 arguments, got %d", len(n))
		}
		if step == 0 {
			fail("range() arg 3 must not be zero")
		}
		l := &list{}
		for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
			if len(l.items) == mostRange {
				fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", mostRange)
			}
			f.spend(16)
			l.items = append(l.items, i)
		}
		return l
	}},
	"dict": &function{"dict", params("*", nil, "**", nil), func(f *frame, a []any) any { return madeDict(f, a) }},
	"namespace": &function{"namespace", params("*", nil, "**", nil), func(f *frame, a []any) any {
		ns := &namespace{map[string]any{}}
		d := madeDict(f, a)
		for i, k := range d.keys {
			ns.vars[toText(f, k)] = d.values[i]
		}
		return ns
	}},
	"joiner": &function{"joiner", params("sep", ", "), func(_ *frame, a []any) any {
		first := true
		return &function{"joiner", nil, func(*frame, []any) any {
			if first {
				first = false
				return ""
			}
			return a[0]
		}}
	}},
}

// madeDict is Python's dict(): from a mapping or pairs, and from named arguments.
func madeDict(f *frame, a []any) *dict {
	d := newDict()
	for _, v := range a[0].(*list).items {
		if from, ok := v.(*dict); ok {
			v = from.items(f)
		}
		for _, pair := range iterate(f, v) {
			p := iterate(f, pair)
			if len(p) != 2 {
				fail("dict takes pairs of keys and values")
			}
			d.set(f, p[0], p[1])
		}
	}
	for i, k := range a[1].(*dict).keys {
		d.set(f, k, a[1].(*dict).values[i])
	}
	return d
}

// text takes a text argument.
func text(v any) string {
	s, ok := v.(string)
	if !ok {
		if u, isUndefined := v.(undefined); isUndefined {
			fail("%s", u.why)
		}
		fail("a str is wanted, not '%s'", typeName(v))
	}
	return s
}

// texts takes a text, or a tuple of texts.
func texts(v any) []string {
	if l, ok := v.(*list); ok && l.tuple {
		var all []string
		for _, x := range l.items {
			all = append(all, text(x))
		}
		return all
	}
	return []string{text(v)}
}

// blanks are what Python's strip takes away.
const blanks = " \t\n\r\v\f\x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

// stripped trims a text on the sides that are asked for. The letters are looked up in a table: there may be very many.
func stripped(s string, letters any, left, right bool) string {
	cut := blanks
	if letters != nil {
		cut = text(letters)
	}
	table := map[rune]bool{}
	for _, r := range cut {
		table[r] = true
	}
	in := func(r rune) bool { return table[r] }
	if left {
		s = strings.TrimLeftFunc(s, in)
	}
	if right {
		s = strings.TrimRightFunc(s, in)
	}
	return s
}
