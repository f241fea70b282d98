package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// Values are nil, bool, int, float64 and string, and these.
type (
	list struct {
		items []any
		tuple bool
	}
	dict struct { // in the order in which keys came
		keys, values []any
		at           map[any]int
	}
	undefined struct{ why string } // what a name or key gives that is not there
	namespace struct{ vars map[string]any }
	function  struct {
		name   string
		params []param
		call   func(f *frame, a []any) any
	}
	macro struct {
		macroOf
		frame *frame
	}
	loopState struct {
		*loop
		frame *frame
		items []any
		at    int
		depth int
		seen  any // by changed
	}
)

func newDict() *dict { return &dict{at: map[any]int{}} }

// key is what equal keys have in common. To find it is work, for texts too: a map reads them.
func key(f *frame, v any) any {
	switch v := number(v).(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return int(v)
		}
		return v
	case string:
		f.spend(len(v))
		return v
	case int, nil:
		return v
	case *list:
		if v.tuple {
			return repr(f, v)
		}
	case undefined:
		return undefined{}
	}
	fail("unhashable type: '%s'", typeName(v))
	return nil
}

func (d *dict) set(f *frame, k, v any) { d.place(key(f, k), k, v) }

// put is set for names, which are given and not made by a template.
func (d *dict) put(name string, v any) { d.place(name, name, v) }

func (d *dict) place(key, k, v any) {
	if i, ok := d.at[key]; ok {
		d.values[i] = v
		return
	}
	d.at[key] = len(d.keys)
	d.keys, d.values = append(d.keys, k), append(d.values, v)
}

func (d *dict) get(f *frame, k any) (any, bool) {
	i, ok := d.at[key(f, k)]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

// items are the keys with their values.
func (d *dict) items(f *frame) *list {
	f.spend(64 * len(d.keys))
	l := &list{}
	for i, k := range d.keys {
		l.items = append(l.items, &list{[]any{k, d.values[i]}, true})
	}
	return l
}

// from takes a Go value over, and tells about how many bytes it has.
func from(v any) (any, int) {
	switch v := v.(type) {
	case nil, bool, int, float64:
		return v, 8
	case string:
		return v, len(v)
	}
	text, isJSON := v.(json.RawMessage)
	if !isJSON {
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			fail("a value of type %s cannot be given to a template: %s", reflect.TypeOf(v), err)
		}
		text = out.Bytes()
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return decoded(d), len(text)
}

// decoded reads a value of JSON, keys in their order.
func decoded(d *json.Decoder) any {
	t, err := d.Token()
	if err != nil {
		fail("a value that is given to the template: %s", err)
	}
	switch t := t.(type) {
	case json.Number:
		if i, err := strconv.Atoi(t.String()); err == nil {
			return i
		}
		x, _ := t.Float64() // infinite where it is too large
		return x
	case json.Delim:
		if t == '[' {
			l := &list{}
			for d.More() {
				l.items = append(l.items, decoded(d))
			}
			_, _ = d.Token() // More has seen it
			return l
		}
		m := newDict()
		for d.More() {
			name, _ := decoded(d).(string) // JSON has no other keys
			m.put(name, decoded(d))
		}
		_, _ = d.Token()
		return m
	}
	return t
}

// number turns booleans into numbers, as Python does, and leaves all else.
func number(v any) any {
	if b, ok := v.(bool); ok {
		if b {
			return 1
		}
		return 0
	}
	return v
}

func wholeNumber(v any, what string) int {
	if u, ok := v.(undefined); ok {
		fail("%s", u.why)
	}
	n, ok := number(v).(int)
	if !ok {
		fail("%s must be integers, not '%s'", what, typeName(v))
	}
	return n
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *list:
		if v.tuple {
			return "tuple"
		}
		return "list"
	case *dict:
		return "dict"
	case undefined:
		return "Undefined"
	case *namespace:
		return "Namespace"
	case *macro:
		return "Macro"
	case *loopState:
		return "LoopContext"
	}
	return "function"
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// toText is Python's str().
func toText(f *frame, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	return repr(f, v)
}

// repr is Python's repr().
func repr(f *frame, v any) string {
	defer f.deeper()()
	f.spend(16)
	var text string
	switch v := v.(type) {
	case nil:
		text = "None"
	case bool:
		text = "False"
		if v {
			text = "True"
		}
	case int:
		text = strconv.Itoa(v)
	case float64:
		text = floatRepr(v)
	case string:
		text = quoted(v)
	case undefined:
		text = "Undefined"
	case *list:
		var parts []string
		for _, x := range v.items {
			parts = append(parts, repr(f, x))
		}
		text = strings.Join(parts, ", ")
		switch {
		case !v.tuple:
			text = "[" + text + "]"
		case len(parts) == 1:
			text = "(" + text + ",)"
		default:
			text = "(" + text + ")"
		}
	case *dict:
		var parts []string
		for i, k := range v.keys {
			parts = append(parts, repr(f, k)+": "+repr(f, v.values[i]))
		}
		text = "{" + strings.Join(parts, ", ") + "}"
	default:
		text = "<" + typeName(v) + ">"
	}
	f.spend(len(text))
	return text
}

// floatRepr writes a float as Python does.
func floatRepr(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'g', -1, 64)), "+")
	case v != 0 && (math.Abs(v) < 1e-4 || math.Abs(v) >= 1e16):
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// quoted writes a text as a Python string.
func quoted(text string) string {
	quote := '\''
	if strings.Contains(text, "'") && !strings.Contains(text, "\"") {
		quote = '"'
	}
	var out strings.Builder
	out.WriteRune(quote)
	for _, r := range text {
		switch {
		case r == quote || r == '\\':
			out.WriteRune('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&out, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
	}
	out.WriteRune(quote)
	return out.String()
}

func runes(f *frame, text string) []rune {
	f.spend(4 * len(text))
	return []rune(text)
}

// element is of[at], where that is there.
func element(f *frame, of, at any) (any, bool) {
	at = number(at)
	index := func(n int) (int, bool) {
		i, ok := at.(int)
		if i < 0 {
			i += n
		}
		return i, ok && i >= 0 && i < n
	}
	switch of := of.(type) {
	case *dict:
		if l, ok := at.(*list); ok && !l.tuple {
			return nil, false
		}
		if _, ok := at.(*dict); ok {
			return nil, false
		}
		return of.get(f, at)
	case *list:
		if i, ok := index(len(of.items)); ok {
			return of.items[i], true
		}
	case string:
		if _, whole := at.(int); whole {
			letters := runes(f, of)
			if i, ok := index(len(letters)); ok {
				return string(letters[i]), true
			}
		}
	case *namespace:
		if name, ok := at.(string); ok {
			v, ok := of.vars[name]
			return v, ok
		}
	case *loopState:
		if name, ok := at.(string); ok {
			return of.attribute(f, name)
		}
	case *macro:
		if at == "name" {
			return of.name, true
		}
	case undefined:
		fail("%s", of.why)
	}
	return nil, false
}

// missing is what an attribute or item gives that is not there.
func missing(of, at any) any {
	if text, ok := at.(string); ok {
		return undefined{fmt.Sprintf("'%s object' has no attribute '%s'", typeName(of), text)}
	}
	return undefined{fmt.Sprintf("%s object has no such element", typeName(of))}
}

// attribute is what a template may ask of its loop.
func (l *loopState) attribute(f *frame, name string) (any, bool) {
	n, i := len(l.items), l.at
	neighbour := func(i int) (any, bool) {
		if i < 0 || i >= n {
			return undefined{"there is no " + name}, true
		}
		return l.items[i], true
	}
	switch name {
	case "index":
		return i + 1, true
	case "index0":
		return i, true
	case "revindex":
		return n - i, true
	case "revindex0":
		return n - i - 1, true
	case "first":
		return i == 0, true
	case "last":
		return i == n-1, true
	case "length":
		return n, true
	case "depth":
		return l.depth + 1, true
	case "depth0":
		return l.depth, true
	case "previtem":
		return neighbour(i - 1)
	case "nextitem":
		return neighbour(i + 1)
	case "cycle":
		return &function{name, params("*", nil), func(_ *frame, a []any) any {
			choices := a[0].(*list).items
			if len(choices) == 0 {
				fail("no items for cycling given")
			}
			return choices[i%len(choices)]
		}}, true
	case "changed":
		return &function{name, params("*", nil), func(f *frame, a []any) any {
			same := l.seen != nil && equal(f, l.seen, a[0])
			l.seen = a[0]
			return !same
		}}, true
	}
	return nil, false
}
