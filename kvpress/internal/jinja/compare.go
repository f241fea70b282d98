package jinja

import (
	"slices"
	"strings"
)

func equal(f *frame, a, b any) bool {
	defer f.deeper()()
	f.spend(16)
	a, b = number(a), number(b)
	switch a := a.(type) {
	case float64:
		i, whole := b.(int)
		return whole && a == float64(i) || b == any(a)
	case int:
		x, broken := b.(float64)
		return broken && float64(a) == x || b == any(a)
	case string:
		t, ok := b.(string)
		f.spend(min(len(a), len(t)))
		return ok && a == t
	case *list:
		l, ok := b.(*list)
		return ok && a.tuple == l.tuple && slices.EqualFunc(a.items, l.items, func(x, y any) bool { return equal(f, x, y) })
	case *dict:
		d, ok := b.(*dict)
		if !ok || len(a.keys) != len(d.keys) {
			return false
		}
		for i, k := range a.keys {
			if v, ok := d.get(f, k); !ok || !equal(f, a.values[i], v) {
				return false
			}
		}
		return true
	case undefined:
		_, ok := b.(undefined)
		return ok
	}
	return a == b
}

// less tells whether a comes before b; op is for the error where there is no order.
func less(f *frame, a, b any, op string) bool {
	defer f.deeper()()
	f.spend(16)
	switch x := number(a).(type) {
	case int:
		switch y := number(b).(type) {
		case int:
			return x < y
		case float64:
			return float64(x) < y
		}
	case float64:
		switch y := number(b).(type) {
		case int:
			return x < float64(y)
		case float64:
			return x < y
		}
	case string:
		if y, ok := b.(string); ok {
			f.spend(min(len(x), len(y)))
			return x < y
		}
	case *list:
		if y, ok := b.(*list); ok && x.tuple == y.tuple {
			for i := range min(len(x.items), len(y.items)) {
				if !equal(f, x.items[i], y.items[i]) {
					return less(f, x.items[i], y.items[i], op)
				}
			}
			return len(x.items) < len(y.items)
		}
	case undefined:
		fail("%s", x.why)
	}
	if u, ok := b.(undefined); ok {
		fail("%s", u.why)
	}
	fail("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
	return false
}

func contains(f *frame, in, v any) bool {
	switch in := in.(type) {
	case string:
		text, ok := v.(string)
		if !ok {
			fail("'in <string>' requires string as left operand, not %s", typeName(v))
		}
		f.spend(len(in))
		return strings.Contains(in, text)
	case *dict:
		_, ok := in.get(f, v)
		return ok
	}
	return slices.ContainsFunc(iterate(f, in), func(x any) bool { return equal(f, x, v) })
}

// iterate lists what a loop over a value goes through.
func iterate(f *frame, v any) []any {
	switch v := v.(type) {
	case *list:
		f.spend(len(v.items))
		return v.items
	case *dict:
		f.spend(len(v.keys))
		return v.keys
	case string:
		f.spend(16 * len(v))
		var letters []any
		for _, r := range v {
			letters = append(letters, string(r))
		}
		return letters
	case undefined:
		return nil
	case *loopState:
		return v.items[v.at:]
	}
	fail("'%s' object is not iterable", typeName(v))
	return nil
}
