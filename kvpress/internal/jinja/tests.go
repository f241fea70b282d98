package jinja

import (
	"strings"
	"unicode"
)

// tests are those of Jinja, behind "is".
var tests map[string]builtin

func init() {
	kind := func(is func(v any) bool) builtin {
		return builtin{params("value", required), func(_ *frame, a []any) any { return is(a[0]) }}
	}
	ordered := func(op string) builtin {
		return builtin{params("a", required, "b", required), func(f *frame, a []any) any { return compare(f, op, a[0], a[1]) }}
	}
	named := func(has func(name string) bool) builtin {
		return builtin{params("value", required), func(_ *frame, a []any) any { return has(text(a[0])) }}
	}
	divisible := func(by int) func(v any) bool {
		return func(v any) bool { return wholeNumber(v, "even and odd numbers")%2 == by }
	}
	tests = map[string]builtin{
		"boolean":   kind(func(v any) bool { return typeName(v) == "bool" }),
		"callable":  kind(func(v any) bool { return strings.Contains("function Macro LoopContext Undefined", typeName(v)) }),
		"defined":   kind(func(v any) bool { return typeName(v) != "Undefined" }),
		"undefined": kind(func(v any) bool { return typeName(v) == "Undefined" }),
		"none":      kind(func(v any) bool { return v == nil }),
		"true":      kind(func(v any) bool { return v == true }),
		"false":     kind(func(v any) bool { return v == false }),
		"integer":   kind(func(v any) bool { return typeName(v) == "int" }),
		"float":     kind(func(v any) bool { return typeName(v) == "float" }),
		"number":    kind(func(v any) bool { return typeName(number(v)) == "int" || typeName(v) == "float" }),
		"string":    kind(func(v any) bool { return typeName(v) == "str" }),
		"mapping":   kind(func(v any) bool { return typeName(v) == "dict" }),
		"sequence":  kind(func(v any) bool { return strings.Contains("str list tuple dict Undefined", typeName(v)) }),
		"iterable":  kind(func(v any) bool { return strings.Contains("str list tuple dict Undefined LoopContext", typeName(v)) }),
		"escaped":   kind(func(any) bool { return false }),
		"even":      kind(divisible(0)),
		"odd":       kind(func(v any) bool { return !divisible(0)(v) }),
		"lower":     named(func(s string) bool { return isCase(s, unicode.IsLower, unicode.IsUpper) }),
		"upper":     named(func(s string) bool { return isCase(s, unicode.IsUpper, unicode.IsLower) }),
		"filter":    named(func(s string) bool { _, ok := filters[s]; return ok }),
		"test":      named(func(s string) bool { _, ok := tests[s]; return ok }),
		"divisibleby": {params("value", required, "num", required), func(f *frame, a []any) any {
			return equal(f, calculate(f, "%", a[0], a[1]), 0)
		}},
		"sameas": {params("value", required, "other", required), func(f *frame, a []any) any {
			return typeName(a[0]) == typeName(a[1]) && (a[0] == a[1] || equal(f, a[0], a[1]))
		}},
		"in": {params("value", required, "seq", required), func(f *frame, a []any) any { return contains(f, a[1], a[0]) }},
	}
	for op, names := range map[string]string{"==": "== eq equalto", "!=": "!= ne", "<": "< lt lessthan", "<=": "<= le", ">": "> gt greaterthan", ">=": ">= ge"} {
		for name := range strings.FieldsSeq(names) {
			tests[name] = ordered(op)
		}
	}
}

// isCase tells whether a text has letters of one case and none of the other.
func isCase(s string, one, other func(r rune) bool) bool {
	return strings.ContainsFunc(s, one) && !strings.ContainsFunc(s, other)
}
