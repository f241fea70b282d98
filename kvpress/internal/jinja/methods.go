package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A methodOf is a method: its parameters, and what it does with the value that it is called on.
type methodOf[T any] struct {
	params []param
	call   func(f *frame, s T, a []any) any
}

// method is a method of a value, ready to be called.
func method(of any, name string) (any, bool) {
	switch of := of.(type) {
	case string:
		return bound(of, name, textMethods)
	case *dict:
		return bound(of, name, dictMethods)
	case *list:
		return bound(of, name, listMethods)
	}
	return nil, false
}

func bound[T any](of T, name string, methods map[string]methodOf[T]) (any, bool) {
	m, ok := methods[name]
	if !ok {
		return nil, false
	}
	return &function{name, m.params, func(f *frame, a []any) any {
		f.spend(size(of))
		return m.call(f, of, a)
	}}, true
}

// unchanging refuses what would change a value.
func unchanging[T any](kind string, methods map[string]methodOf[T], names ...string) {
	for _, name := range names {
		methods[name] = methodOf[T]{params("*", nil, "**", nil), func(*frame, T, []any) any {
			fail("access to attribute '%s' of '%s' object is unsafe.", name, kind)
			return nil
		}}
	}
}

var dictMethods = map[string]methodOf[*dict]{
	"get": {params("key", required, "default", nil), func(f *frame, d *dict, a []any) any {
		if v, ok := d.get(f, a[0]); ok {
			return v
		}
		return a[1]
	}},
	"items":  {nil, func(f *frame, d *dict, _ []any) any { return d.items(f) }},
	"keys":   {nil, func(_ *frame, d *dict, _ []any) any { return &list{items: slices.Clone(d.keys)} }},
	"values": {nil, func(_ *frame, d *dict, _ []any) any { return &list{items: slices.Clone(d.values)} }},
	"copy":   {nil, func(_ *frame, d *dict, _ []any) any { return d }}, // nothing can change it
}

var listMethods = map[string]methodOf[*list]{
	"copy": {nil, func(_ *frame, l *list, _ []any) any { return l }},
	"count": {params("value", required), func(f *frame, l *list, a []any) any {
		n := 0
		for _, v := range l.items {
			if equal(f, v, a[0]) {
				n++
			}
		}
		return n
	}},
	"index": {params("value", required), func(f *frame, l *list, a []any) any {
		i := slices.IndexFunc(l.items, func(v any) bool { return equal(f, v, a[0]) })
		if i < 0 {
			fail("%s is not in list", repr(f, a[0]))
		}
		return i
	}},
}

func init() {
	unchanging("dict", dictMethods, "clear", "pop", "popitem", "setdefault", "update")
	unchanging("list", listMethods, "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort")
}

var textMethods = map[string]methodOf[string]{
	"capitalize": {nil, func(_ *frame, s string, _ []any) any { return capitalized(s) }},
	"casefold":   {nil, func(f *frame, s string, _ []any) any { return strings.ReplaceAll(lowered(f, s), "ß", "ss") }},
	"center":     {params("width", required, "fillchar", " "), func(f *frame, s string, a []any) any { return padded(f, s, wholeNumber(a[0], "width"), text(a[1]), 0) }},
	"ljust":      {params("width", required, "fillchar", " "), func(f *frame, s string, a []any) any { return padded(f, s, wholeNumber(a[0], "width"), text(a[1]), -1) }},
	"rjust":      {params("width", required, "fillchar", " "), func(f *frame, s string, a []any) any { return padded(f, s, wholeNumber(a[0], "width"), text(a[1]), 1) }},
	"zfill": {params("width", required), func(f *frame, s string, a []any) any {
		sign := ""
		if s != "" && (s[0] == '-' || s[0] == '+') {
			sign, s = s[:1], s[1:]
		}
		return sign + padded(f, s, wholeNumber(a[0], "width")-len(sign), "0", 1)
	}},
	"count": {params("sub", required), func(f *frame, s string, a []any) any {
		f.spend(len(s))
		return strings.Count(s, text(a[0]))
	}},
	"endswith": {params("suffix", required), func(_ *frame, s string, a []any) any {
		return slices.ContainsFunc(texts(a[0]), func(t string) bool { return strings.HasSuffix(s, t) })
	}},
	"startswith": {params("prefix", required), func(_ *frame, s string, a []any) any {
		return slices.ContainsFunc(texts(a[0]), func(t string) bool { return strings.HasPrefix(s, t) })
	}},
	"find":   {params("sub", required), func(f *frame, s string, a []any) any { return place(f, s, strings.Index(s, text(a[0]))) }},
	"rfind":  {params("sub", required), func(f *frame, s string, a []any) any { return place(f, s, strings.LastIndex(s, text(a[0]))) }},
	"index":  {params("sub", required), func(f *frame, s string, a []any) any { return found(place(f, s, strings.Index(s, text(a[0])))) }},
	"rindex": {params("sub", required), func(f *frame, s string, a []any) any { return found(place(f, s, strings.LastIndex(s, text(a[0])))) }},
	"format": {params("*", nil, "**", nil), func(f *frame, s string, a []any) any { return braces(f, s, a[0].(*list).items, a[1].(*dict)) }},

	"isalnum":   {nil, every(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })},
	"isalpha":   {nil, every(unicode.IsLetter)},
	"isdecimal": {nil, every(unicode.IsDigit)},
	"isdigit":   {nil, every(unicode.IsDigit)},
	"isnumeric": {nil, every(unicode.IsNumber)},
	"isspace":   {nil, every(unicode.IsSpace)},
	"isascii": {nil, func(f *frame, s string, _ []any) any {
		return s == "" || every(func(r rune) bool { return r < 128 })(f, s, nil).(bool)
	}},
	"islower": {nil, func(_ *frame, s string, _ []any) any { return isCase(s, unicode.IsLower, unicode.IsUpper) }},
	"isupper": {nil, func(_ *frame, s string, _ []any) any { return isCase(s, unicode.IsUpper, unicode.IsLower) }},

	"join": {params("iterable", required), func(f *frame, s string, a []any) any {
		items := iterate(f, a[0])
		for _, v := range items {
			text(v)
		}
		return joinedAll(f, items, s)
	}},
	"lower": {nil, func(f *frame, s string, _ []any) any { return lowered(f, s) }},
	"upper": {nil, func(f *frame, s string, _ []any) any { return uppered(f, s) }},
	"title": {nil, func(f *frame, s string, _ []any) any {
		f.spend(len(s))
		inWord := false
		return strings.Map(func(r rune) rune {
			begins := !inWord
			if inWord = unicode.IsLetter(r); begins {
				return unicode.ToTitle(r)
			}
			return unicode.ToLower(r)
		}, s)
	}},
	"swapcase": {nil, func(f *frame, s string, _ []any) any {
		f.spend(len(s))
		return strings.Map(func(r rune) rune {
			if unicode.IsUpper(r) {
				return unicode.ToLower(r)
			}
			return unicode.ToUpper(r)
		}, s)
	}},
	"strip":        {params("chars", nil), func(_ *frame, s string, a []any) any { return stripped(s, a[0], true, true) }},
	"lstrip":       {params("chars", nil), func(_ *frame, s string, a []any) any { return stripped(s, a[0], true, false) }},
	"rstrip":       {params("chars", nil), func(_ *frame, s string, a []any) any { return stripped(s, a[0], false, true) }},
	"removeprefix": {params("prefix", required), func(_ *frame, s string, a []any) any { return strings.TrimPrefix(s, text(a[0])) }},
	"removesuffix": {params("suffix", required), func(_ *frame, s string, a []any) any { return strings.TrimSuffix(s, text(a[0])) }},
	"replace": {params("old", required, "new", required, "count", -1), func(f *frame, s string, a []any) any {
		return replaced(f, s, text(a[0]), text(a[1]), wholeNumber(a[2], "count"))
	}},
	"partition": {params("sep", required), func(_ *frame, s string, a []any) any {
		before, after, ok := strings.Cut(s, separator(a[0]))
		if !ok {
			return &list{[]any{s, "", ""}, true}
		}
		return &list{[]any{before, a[0], after}, true}
	}},
	"rpartition": {params("sep", required), func(_ *frame, s string, a []any) any {
		i := strings.LastIndex(s, separator(a[0]))
		if i < 0 {
			return &list{[]any{"", "", s}, true}
		}
		return &list{[]any{s[:i], a[0], s[i+len(text(a[0])):]}, true}
	}},
	"split":      {params("sep", nil, "maxsplit", -1), func(f *frame, s string, a []any) any { return split(f, s, a, false) }},
	"rsplit":     {params("sep", nil, "maxsplit", -1), func(f *frame, s string, a []any) any { return split(f, s, a, true) }},
	"splitlines": {params("keepends", false), func(f *frame, s string, a []any) any { return listOfTexts(f, splitLines(s, truth(a[0]))) }},
}

// place turns a place in bytes into one in letters.
func place(f *frame, s string, i int) int {
	f.spend(len(s))
	return utf8.RuneCountInString(s[:max(i, 0)]) + min(i, 0)
}

func found(i int) int {
	if i < 0 {
		fail("substring not found")
	}
	return i
}

func separator(v any) string {
	s := text(v)
	if s == "" {
		fail("empty separator")
	}
	return s
}

// every tells whether all letters, of which there must be one, are of a kind.
func every(is func(r rune) bool) func(f *frame, s string, a []any) any {
	return func(f *frame, s string, _ []any) any {
		f.spend(len(s))
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !is(r) })
	}
}

// padded fills a text up to a width in letters: behind it, before it, or (side 0) around it.
func padded(f *frame, s string, width int, with string, side int) string {
	if utf8.RuneCountInString(with) != 1 {
		fail("The fill character must be exactly one character long")
	}
	n := max(0, width-utf8.RuneCountInString(s))
	before := 0
	switch side {
	case 0:
		before = n/2 + n&width&1
	case 1:
		before = n
	}
	return repeated(f, with, before) + s + repeated(f, with, n-before)
}

func listOfTexts(f *frame, parts []string) *list {
	l := &list{}
	for _, p := range parts {
		f.spend(16 + len(p))
		l.items = append(l.items, p)
	}
	return l
}

// split takes a text apart at a separator, or at blanks where there is none; at most so often, from the left or right.
func split(f *frame, s string, a []any, fromRight bool) *list {
	most := wholeNumber(a[1], "maxsplit")
	if most < 0 {
		most = len(s) + 1
	}
	var parts []string
	var next func() (from, to int)
	if a[0] != nil {
		sep := separator(a[0])
		next = func() (from, to int) {
			i := strings.Index(s, sep)
			if fromRight {
				i = strings.LastIndex(s, sep)
			}
			return i, i + len(sep)
		}
	} else {
		s = strings.Trim(s, blanks)
		if s == "" {
			return &list{}
		}
		next = func() (from, to int) {
			if fromRight {
				if i := strings.LastIndexAny(s, blanks); i >= 0 {
					_, n := utf8.DecodeRuneInString(s[i:])
					return len(strings.TrimRight(s[:i], blanks)), i + n
				}
				return -1, -1
			}
			i := strings.IndexAny(s, blanks)
			if i < 0 {
				return -1, -1
			}
			return i, len(s) - len(strings.TrimLeft(s[i:], blanks))
		}
	}
	f.spend(len(s))
	for len(parts) < most {
		from, to := next()
		if from < 0 {
			break
		}
		f.spend(32)
		if fromRight {
			parts, s = append(parts, s[to:]), s[:from]
		} else {
			parts, s = append(parts, s[:from]), s[to:]
		}
	}
	parts = append(parts, s)
	if fromRight {
		slices.Reverse(parts)
	}
	return listOfTexts(f, parts)
}

// splitLines takes a text apart at line breaks.
func splitLines(s string, keep bool) []string {
	var lines []string
	for s != "" {
		i := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if i < 0 {
			return append(lines, s)
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		if keep {
			lines = append(lines, s[:i+n])
		} else {
			lines = append(lines, s[:i])
		}
		s = s[i+n:]
	}
	return lines
}
