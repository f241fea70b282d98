package jinja

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// filters are those of Jinja that a chat template may use.
var filters map[string]builtin

func init() { // filters name each other
	filters = map[string]builtin{
		"abs":        {params("x", required), func(f *frame, a []any) any { return absolute(f, a[0]) }},
		"attr":       {params("obj", required, "name", required), func(f *frame, a []any) any { return attribute{literal{a[0]}, text(a[1])}.eval(f) }},
		"batch":      {params("value", required, "linecount", required, "fill_with", nil), batch},
		"capitalize": {params("s", required), func(f *frame, a []any) any { return capitalized(toText(f, a[0])) }},
		"center": {params("value", required, "width", 80), func(f *frame, a []any) any {
			return padded(f, toText(f, a[0]), wholeNumber(a[1], "width"), " ", 0)
		}},
		"default":  {params("value", required, "default_value", "", "boolean", false), defaulted},
		"dictsort": {params("value", required, "case_sensitive", false, "by", "key", "reverse", false), dictSorted},
		"escape":   {params("s", required), func(f *frame, a []any) any { return escaped.Replace(toText(f, a[0])) }},
		"first": {params("seq", required), func(f *frame, a []any) any {
			for _, v := range iterate(f, a[0]) {
				return v
			}
			return undefined{"No first item, sequence was empty."}
		}},
		"float":  {params("value", required, "default", 0.0), toFloat},
		"format": {params("value", required, "*", nil), func(f *frame, a []any) any { return percent(f, text(a[0]), &list{a[1].(*list).items, true}) }},
		"indent": {params("s", required, "width", 4, "first", false, "blank", false), indented},
		"int":    {params("value", required, "default", 0, "base", 10), toInt},
		"items": {params("value", required), func(f *frame, a []any) any {
			if _, ok := a[0].(undefined); ok {
				return &list{}
			}
			d, ok := a[0].(*dict)
			if !ok {
				fail("Can only get item pairs from a mapping.")
			}
			return d.items(f)
		}},
		"join": {params("value", required, "d", "", "attribute", nil), func(f *frame, a []any) any {
			items := iterate(f, a[0])
			if a[2] != nil {
				items = mapped(f, items, a[2], undefined{})
			}
			return joinedAll(f, items, toText(f, a[1]))
		}},
		"last": {params("seq", required), func(f *frame, a []any) any {
			items := iterate(f, a[0])
			if len(items) == 0 {
				return undefined{"No last item, sequence was empty."}
			}
			return items[len(items)-1]
		}},
		"length":     {params("obj", required), func(_ *frame, a []any) any { return length(a[0]) }},
		"list":       {params("value", required), func(f *frame, a []any) any { return &list{items: slices.Clone(iterate(f, a[0]))} }},
		"lower":      {params("s", required), func(f *frame, a []any) any { return lowered(f, toText(f, a[0])) }},
		"map":        {params("value", required, "*", nil, "**", nil), mapFilter},
		"max":        {params("value", required, "case_sensitive", false, "attribute", nil), func(f *frame, a []any) any { return extreme(f, a, true) }},
		"min":        {params("value", required, "case_sensitive", false, "attribute", nil), func(f *frame, a []any) any { return extreme(f, a, false) }},
		"reject":     {params("value", required, "*", nil, "**", nil), func(f *frame, a []any) any { return chosen(f, a, false, false) }},
		"rejectattr": {params("value", required, "*", nil, "**", nil), func(f *frame, a []any) any { return chosen(f, a, true, false) }},
		"replace": {params("s", required, "old", required, "new", required, "count", -1), func(f *frame, a []any) any {
			if a[3] == nil {
				a[3] = -1
			}
			return replaced(f, toText(f, a[0]), toText(f, a[1]), toText(f, a[2]), wholeNumber(a[3], "count"))
		}},
		"reverse": {params("value", required), func(f *frame, a []any) any {
			items := slices.Clone(iterate(f, a[0]))
			slices.Reverse(items)
			if _, ok := a[0].(string); ok {
				return joinedAll(f, items, "")
			}
			return &list{items: items}
		}},
		"round":      {params("value", required, "precision", 0, "method", "common"), rounded},
		"safe":       {params("value", required), func(f *frame, a []any) any { return toText(f, a[0]) }},
		"select":     {params("value", required, "*", nil, "**", nil), func(f *frame, a []any) any { return chosen(f, a, false, true) }},
		"selectattr": {params("value", required, "*", nil, "**", nil), func(f *frame, a []any) any { return chosen(f, a, true, true) }},
		"sort":       {params("value", required, "reverse", false, "case_sensitive", false, "attribute", nil), sorted},
		"string":     {params("s", required), func(f *frame, a []any) any { return toText(f, a[0]) }},
		"sum": {params("iterable", required, "attribute", nil, "start", 0), func(f *frame, a []any) any {
			items := iterate(f, a[0])
			if a[1] != nil {
				items = mapped(f, items, a[1], undefined{})
			}
			total := a[2]
			for _, v := range items {
				total = calculate(f, "+", total, v)
			}
			return total
		}},
		"title":    {params("s", required), func(f *frame, a []any) any { return titled(f, toText(f, a[0])) }},
		"tojson":   {params("x", required, "ensure_ascii", false, "indent", nil, "separators", nil, "sort_keys", false), toJSON},
		"trim":     {params("value", required, "chars", nil), func(f *frame, a []any) any { return stripped(toText(f, a[0]), a[1], true, true) }},
		"truncate": {params("s", required, "length", 255, "killwords", false, "end", "...", "leeway", 5), truncated},
		"unique":   {params("value", required, "case_sensitive", false, "attribute", nil), unique},
		"upper":    {params("s", required), func(f *frame, a []any) any { return uppered(f, toText(f, a[0])) }},
		"urlencode": {params("value", required), func(f *frame, a []any) any {
			return strings.NewReplacer("+", "%20", "%2F", "/", "%7E", "~").Replace(url.QueryEscape(toText(f, a[0])))
		}},
		"wordcount": {params("s", required), func(f *frame, a []any) any { return countWords(toText(f, a[0])) }},
	}
	for other, name := range map[string]string{"d": "default", "e": "escape", "count": "length"} {
		filters[other] = filters[name]
	}
}

var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", "\"", "&#34;")

// countWords counts runs of letters and numbers.
func countWords(s string) (n int) {
	inside := false
	for _, r := range s {
		before := inside
		inside = r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r)
		if inside && !before {
			n++
		}
	}
	return n
}

func absolute(f *frame, v any) any {
	if less(f, v, 0, "<") {
		return unary{"-", literal{v}}.eval(f)
	}
	return number(v)
}

func batch(f *frame, a []any) any {
	n, all := wholeNumber(a[1], "linecount"), &list{}
	for part := range slices.Chunk(iterate(f, a[0]), max(n, 1)) {
		part = slices.Clone(part)
		for len(part) < n && a[2] != nil {
			f.spend(16)
			part = append(part, a[2])
		}
		all.items = append(all.items, &list{items: part})
	}
	return all
}

func defaulted(_ *frame, a []any) any {
	if _, missing := a[0].(undefined); missing || truth(a[2]) && !truth(a[0]) {
		return a[1]
	}
	return a[0]
}

// folded is what texts are sorted by: in any case, unless it counts.
func folded(f *frame, v any, caseCounts any) any {
	if s, ok := v.(string); ok && !truth(caseCounts) {
		return lowered(f, s)
	}
	return v
}

// keyed are the values of an attribute of items, or items themselves, ready to be compared.
func keyed(f *frame, items []any, attribute, caseCounts any) []any {
	if attribute != nil {
		items = mapped(f, items, attribute, undefined{})
	}
	keys := make([]any, len(items))
	for i, v := range items {
		keys[i] = folded(f, v, caseCounts)
	}
	return keys
}

// inOrder sorts items by their keys.
func inOrder(f *frame, items, keys []any, reverse any) *list {
	places := make([]int, len(items))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(i, j int) int {
		if truth(reverse) {
			i, j = j, i
		}
		switch {
		case less(f, keys[i], keys[j], "<"):
			return -1
		case less(f, keys[j], keys[i], "<"):
			return 1
		}
		return 0
	})
	l := &list{}
	for _, i := range places {
		l.items = append(l.items, items[i])
	}
	return l
}

func sorted(f *frame, a []any) any {
	items := iterate(f, a[0])
	return inOrder(f, items, keyed(f, items, a[3], a[2]), a[1])
}

func dictSorted(f *frame, a []any) any {
	d, ok := a[0].(*dict)
	if !ok {
		fail("dictsort wants a mapping, not '%s'", typeName(a[0]))
	}
	by := d.keys
	if a[2] == "value" {
		by = d.values
	}
	return inOrder(f, d.items(f).items, keyed(f, by, nil, a[1]), a[3])
}

func unique(f *frame, a []any) any {
	items, l := iterate(f, a[0]), &list{}
	seen := newDict()
	for i, k := range keyed(f, items, a[2], a[1]) {
		if _, ok := seen.get(f, k); !ok {
			seen.set(f, k, nil)
			l.items = append(l.items, items[i])
		}
	}
	return l
}

func extreme(f *frame, a []any, largest bool) any {
	items := iterate(f, a[0])
	if len(items) == 0 {
		return undefined{"No aggregated item, sequence was empty."}
	}
	keys := keyed(f, items, a[2], a[1])
	best := 0
	for i := range keys {
		if largest && less(f, keys[best], keys[i], "<") || !largest && less(f, keys[i], keys[best], "<") {
			best = i
		}
	}
	return items[best]
}

// mapped gets an attribute of every item, such as "function.name" or 0.
func mapped(f *frame, items []any, path, other any) []any {
	f.spend(32 * len(items))
	parts := []any{path}
	if s, ok := path.(string); ok {
		parts = nil
		for part := range strings.SplitSeq(s, ".") {
			if n, err := strconv.Atoi(part); err == nil {
				parts = append(parts, n)
			} else {
				parts = append(parts, part)
			}
		}
	}
	out := make([]any, len(items))
	for i, v := range items {
		for _, part := range parts {
			v = item{literal{v}, literal{part}}.eval(f)
			if _, missing := v.(undefined); missing {
				if _, none := other.(undefined); !none && other != nil {
					v = other
				}
			}
		}
		out[i] = v
	}
	return out
}

// mapFilter maps by an attribute or by a filter.
func mapFilter(f *frame, a []any) any {
	items, list_, named := iterate(f, a[0]), a[1].(*list).items, a[2].(*dict)
	if path, ok := named.get(f, "attribute"); ok && len(list_) == 0 {
		other, _ := named.get(f, "default")
		return &list{items: mapped(f, items, path, other)}
	}
	if len(list_) == 0 {
		fail("map requires a filter argument")
	}
	name := text(list_[0])
	b, ok := filters[name]
	if !ok {
		fail("No filter named '%s'.", name)
	}
	l := &list{}
	for _, v := range items {
		l.items = append(l.items, applied(f, name, b, v, list_[1:], named))
	}
	return l
}

// applied calls a filter or test on a value.
func applied(f *frame, name string, b builtin, v any, list_ []any, named *dict) any {
	f.spend(32)
	g := given{list: append([]any{v}, list_...)}
	for i, k := range named.keys {
		g.named = append(g.named, namedValue{toText(f, k), named.values[i]})
	}
	return f.apply(b.call, g.bind(name, b.params))
}

// chosen keeps the items, or those with an attribute, that pass a test or fail it.
func chosen(f *frame, a []any, byAttribute, pass bool) any {
	items, more := iterate(f, a[0]), a[1].(*list).items
	keys := items
	if byAttribute {
		if len(more) == 0 {
			fail("Missing parameter for attribute name")
		}
		keys, more = mapped(f, items, more[0], nil), more[1:]
	}
	test, name := builtin{params("value", required), func(_ *frame, a []any) any { return truth(a[0]) }}, "bool"
	if len(more) > 0 {
		name, more = text(more[0]), more[1:]
		var ok bool
		if test, ok = tests[name]; !ok {
			fail("No test named '%s'.", name)
		}
	}
	l := &list{}
	for i, v := range items {
		if truth(applied(f, name, test, keys[i], more, a[2].(*dict))) == pass {
			l.items = append(l.items, v)
		}
	}
	return l
}

func length(v any) int {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v)
	case *list:
		return len(v.items)
	case *dict:
		return len(v.keys)
	case *loopState:
		return len(v.items)
	case undefined:
		return 0
	}
	fail("object of type '%s' has no len()", typeName(v))
	return 0
}

func joinedAll(f *frame, items []any, between string) string {
	var out strings.Builder
	for i, v := range items {
		if i > 0 {
			out.WriteString(between)
		}
		s := toText(f, v)
		f.spend(len(s) + len(between))
		out.WriteString(s)
	}
	return out.String()
}

func replaced(f *frame, s, old, to string, count int) string {
	n := strings.Count(s, old)
	if count >= 0 {
		n = min(n, count)
	}
	f.spend(len(s) + n*len(to))
	return strings.Replace(s, old, to, count)
}

func lowered(f *frame, s string) string {
	f.spend(len(s))
	return strings.ToLower(s)
}

// uppered is in capitals, as Python writes them: ß is SS.
func uppered(f *frame, s string) string {
	f.spend(len(s))
	return strings.ToUpper(strings.ReplaceAll(s, "ß", "SS"))
}

func capitalized(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToTitle(r)) + strings.ToLower(s[n:])
}

var wordBegins = regexp.MustCompile(`[-\s({\[<]+`)

// titled is Jinja's title, which begins words behind blanks, dashes and opening brackets.
func titled(f *frame, s string) string {
	f.spend(2 * len(s))
	var out strings.Builder
	done := 0
	for _, at := range append(wordBegins.FindAllStringIndex(s, -1), []int{len(s), len(s)}) {
		out.WriteString(capitalized(s[done:at[0]]) + s[at[0]:at[1]])
		done = at[1]
	}
	return out.String()
}

func indented(f *frame, a []any) any {
	s := toText(f, a[0])
	width, isText := a[1].(string)
	if !isText {
		width = repeated(f, " ", wholeNumber(a[1], "width"))
	}
	lines := splitLines(s+"\n", false)
	f.spend(len(s) + len(lines)*len(width))
	for i, line := range lines {
		if (i > 0 || truth(a[2])) && (line != "" || truth(a[3])) {
			lines[i] = width + line
		}
	}
	return strings.Join(lines, "\n")
}

func truncated(f *frame, a []any) any {
	s, most, end := toText(f, a[0]), wholeNumber(a[1], "length"), toText(f, a[3])
	letters, tail := runes(f, s), utf8.RuneCountInString(end)
	if most < tail || most < 0 {
		fail("expected length >= %d, got %d", tail, most)
	}
	if len(letters) <= most+wholeNumber(a[4], "leeway") {
		return s
	}
	cut := string(letters[:most-tail])
	if i := strings.LastIndexByte(cut, ' '); i >= 0 && !truth(a[2]) {
		cut = cut[:i]
	}
	return cut + end
}
