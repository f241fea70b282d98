package jinja

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// toJSON is json.dumps, as transformers gives it to templates.
func toJSON(f *frame, a []any) any {
	w := jsonWriter{f: f, ascii: truth(a[1]), item: ", ", key: ": ", sort: truth(a[4])}
	switch indent := number(a[2]).(type) {
	case nil:
	case string:
		w.indent, w.lines, w.item = indent, true, ","
	default:
		w.indent, w.lines, w.item = repeated(f, " ", wholeNumber(indent, "indent")), true, ","
	}
	if a[3] != nil {
		pair := iterate(f, a[3])
		if len(pair) != 2 {
			fail("separators are two texts")
		}
		w.item, w.key = text(pair[0]), text(pair[1])
	}
	w.write(a[0], "\n")
	return w.out.String()
}

type jsonWriter struct {
	f           *frame
	out         strings.Builder
	ascii, sort bool
	lines       bool // every item has its line
	indent      string
	item, key   string
}

func (w *jsonWriter) text(s string) {
	w.f.spend(len(s))
	w.out.WriteString(s)
}

func (w *jsonWriter) write(v any, line string) {
	defer w.f.deeper()()
	w.f.spend(16)
	switch v := v.(type) {
	case nil:
		w.text("null")
	case bool:
		w.text(strconv.FormatBool(v))
	case int:
		w.text(strconv.Itoa(v))
	case float64:
		s := floatRepr(v)
		w.text(strings.NewReplacer("nan", "NaN", "inf", "Infinity").Replace(s))
	case string:
		w.quoted(v)
	case *list:
		w.items("[", "]", len(v.items), line, func(i int, line string) { w.write(v.items[i], line) })
	case *dict:
		order := make([]int, len(v.keys))
		for i := range order {
			order[i] = i
		}
		if w.sort {
			slices.SortStableFunc(order, func(i, j int) int {
				if less(w.f, v.keys[i], v.keys[j], "<") {
					return -1
				}
				return 1
			})
		}
		w.items("{", "}", len(v.keys), line, func(i int, line string) {
			i = order[i]
			switch k := v.keys[i].(type) {
			case string:
				w.quoted(k)
			case nil, bool, int, float64:
				w.text(`"`)
				w.write(k, line)
				w.text(`"`)
			default:
				fail("keys must be str, int, float, bool or None, not %s", typeName(k))
			}
			w.text(w.key)
			w.write(v.values[i], line)
		})
	default:
		fail("Object of type %s is not JSON serializable", typeName(v))
	}
}

// items writes what stands in brackets.
func (w *jsonWriter) items(open, end string, n int, line string, item func(i int, line string)) {
	w.text(open)
	for i := range n {
		if i > 0 {
			w.text(w.item)
		}
		if w.lines {
			w.text(line + w.indent)
		}
		item(i, line+w.indent)
	}
	if w.lines && n > 0 {
		w.text(line)
	}
	w.text(end)
}

var jsonEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}

func (w *jsonWriter) quoted(s string) {
	w.f.spend(len(s))
	w.out.WriteByte('"')
	for _, r := range s {
		escape, ok := jsonEscapes[r]
		switch {
		case ok:
			w.out.WriteString(escape)
		case r < 0x20 || w.ascii && r > 0x7e && r < 0x10000:
			fmt.Fprintf(&w.out, `\u%04x`, r)
		case w.ascii && r > 0x7e:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&w.out, `\u%04x\u%04x`, high, low)
		default:
			w.out.WriteRune(r)
		}
	}
	w.out.WriteByte('"')
}

var (
	percents = regexp.MustCompile(`%(?:\((\w+)\))?([-+ 0#]*)(\d*)(\.\d+)?([a-zA-Z%])`)
	braced   = regexp.MustCompile(`\{\{|\}\}|\{([^{}!:]*)(?:!([rs]))?(?::([<>]?)([+ ]?)(0?)(\d*)(\.\d+)?([dfsxeg]?))?\}`)
)

// percent is Python's text % values.
func percent(f *frame, format string, v any) string {
	values := []any{v}
	if l, ok := v.(*list); ok && l.tuple {
		values = l.items
	}
	return written(f, percents, format, func(m []string) string {
		if m[5] == "%" {
			return "%"
		}
		var x any
		if d, ok := v.(*dict); ok && m[1] != "" {
			x, _ = d.get(f, m[1])
		} else if len(values) == 0 {
			fail("not enough arguments for format string")
		} else {
			x, values = values[0], values[1:]
		}
		return formatted(f, x, m[2], m[3], m[4], m[5])
	})
}

// braces is Python's text.format(values).
func braces(f *frame, format string, values []any, named *dict) string {
	next := 0
	return written(f, braced, format, func(m []string) string {
		if m[0] == "{{" || m[0] == "}}" {
			return m[0][:1]
		}
		name := m[1]
		if name == "" {
			name = strconv.Itoa(next)
			next++
		}
		x, ok := named.get(f, name)
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(values) {
			x, ok = values[i], true
		}
		if !ok {
			fail("nothing is given for %s in a format", m[0])
		}
		kind, flags := m[8], m[4]+m[5]
		if kind == "" {
			kind = map[string]string{"int": "d", "float": "r"}[typeName(x)]
		}
		if kind == "" || m[2] == "r" {
			kind = map[bool]string{true: "r", false: "s"}[m[2] == "r"]
		}
		if kind == "r" && m[7] != "" {
			kind = "g"
		}
		if m[3] == "<" || m[3] == "" && (kind == "s" || m[2] == "r") { // texts stand left
			flags += "-"
		}
		return formatted(f, x, flags, m[6], m[7], kind)
	})
}

// written replaces the fields of a format.
func written(f *frame, fields *regexp.Regexp, format string, field func(m []string) string) string {
	f.spend(4 * len(format)) // regular expressions are slow
	var out strings.Builder
	done := 0
	for _, at := range fields.FindAllStringSubmatchIndex(format, -1) {
		m := make([]string, len(at)/2)
		for i := range m {
			if at[2*i] >= 0 {
				m[i] = format[at[2*i]:at[2*i+1]]
			}
		}
		s := format[done:at[0]] + field(m)
		f.spend(64 + len(s))
		out.WriteString(s)
		done = at[1]
	}
	return out.String() + format[done:]
}

// formatted writes a value as C's printf does, which Go's does too.
func formatted(f *frame, v any, flags, width, precision, kind string) string {
	if len(width) > 3 || len(precision) > 3 {
		fail("a width of %s is too large", max(width, precision))
	}
	verb := "%" + flags + width + precision
	switch kind {
	case "s":
		return fmt.Sprintf(verb+"s", toText(f, v))
	case "r":
		return fmt.Sprintf(verb+"s", repr(f, v))
	case "d", "i", "x", "X", "o", "c":
		switch x := number(v).(type) {
		case int:
			return fmt.Sprintf(verb+strings.Replace(kind, "i", "d", 1), x)
		case float64:
			return fmt.Sprintf(verb+"d", int(x))
		}
	case "f", "F", "e", "E", "g", "G":
		if precision == "" {
			verb += ".6"
		}
		switch x := number(v).(type) {
		case int:
			return fmt.Sprintf(verb+kind, float64(x))
		case float64:
			return fmt.Sprintf(verb+kind, x)
		}
	default:
		fail("unsupported format character '%s'", kind)
	}
	fail("%%%s format: a real number is required, not %s", kind, typeName(v))
	return ""
}
