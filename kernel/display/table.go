package display

import (
	"fmt"
	"html"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	mostRows  = 20  // of a table
	mostCols  = 12  // of a matrix
	mostWidth = 48  // runes of one entry
	mostItems = 200 // of a list of plain values
)

// Value shows a value that has no methods to show itself: slices of structs and matrices as tables, long lists by
// their begin, structs with the names of their fields, errors by their message.
func Value(value interface{}) Data {
	if t, ok := tableOf(reflect.ValueOf(value)); ok {
		return Data{Data: MIMEMap{MIMETypeText: t.text(), MIMETypeHTML: t.html()}}
	}
	return Data{Data: MIMEMap{MIMETypeText: Text(value)}}
}

// Size is a number of bytes for people: 1.5 MB.
func Size(bytes int64) string {
	size, unit := float64(bytes), 0
	for units := 5; unit < units-1 && (size >= 999.95 || size <= -999.95); unit++ {
		size /= 1000
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", size), ".0") + " " + []string{"B", "kB", "MB", "GB", "TB"}[unit]
}

// A table is rows below titles.
type table struct {
	titles []string
	rows   [][]string
	note   string // shape, and what is left out
}

// tableOf makes a table of a value that has rows.
func tableOf(v reflect.Value) (t table, ok bool) {
	for v.IsValid() && v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return t, false
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		return structTable(v)
	case v.Kind() == reflect.Struct:
		return matrixTable(v)
	}
	return t, false
}

// structTable shows a slice of structs, one a row, if they have fields that can be seen.
func structTable(v reflect.Value) (t table, ok bool) {
	kind := v.Type().Elem()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if kind.Kind() != reflect.Struct || kind.Implements(stringer) || reflect.PointerTo(kind).Implements(stringer) || v.Len() == 0 {
		return t, false
	}
	var fields []int
	for i := range kind.NumField() {
		if f := kind.Field(i); f.IsExported() && !f.Anonymous {
			fields, t.titles = append(fields, i), append(t.titles, f.Name)
		}
	}
	if len(fields) == 0 {
		return t, false
	}
	for i := range min(v.Len(), mostRows) {
		row := make([]string, len(fields))
		if x := reflect.Indirect(v.Index(i)); x.IsValid() {
			for k, f := range fields {
				row[k] = entry(x.Field(f))
			}
		}
		t.rows = append(t.rows, row)
	}
	t.note = fmt.Sprintf("%d rows", v.Len())
	if v.Len() > mostRows {
		t.note += fmt.Sprintf(", the first %d are shown", mostRows)
	}
	return t, true
}

var stringer = reflect.TypeFor[fmt.Stringer]()

// matrixTable shows a struct that is a matrix: fields Rows, Cols and Data, row after row.
func matrixTable(v reflect.Value) (t table, ok bool) {
	rows, cols, data := v.FieldByName("Rows"), v.FieldByName("Cols"), v.FieldByName("Data")
	if !rows.IsValid() || !cols.IsValid() || !data.IsValid() || !rows.CanInt() || !cols.CanInt() || data.Kind() != reflect.Slice {
		return t, false
	}
	n, m := int(rows.Int()), int(cols.Int())
	if n < 0 || m < 0 || n*m != data.Len() {
		return t, false
	}
	shown := min(m, mostCols)
	for j := range shown {
		t.titles = append(t.titles, fmt.Sprint(j))
	}
	for i := range min(n, mostRows) {
		row := make([]string, shown)
		for j := range row {
			row[j] = entry(data.Index(i*m + j))
		}
		t.rows = append(t.rows, row)
	}
	t.note = fmt.Sprintf("%d x %d", n, m)
	if n > mostRows || m > mostCols {
		t.note += ", the first rows and columns are shown"
	}
	return t, true
}

// entry is one value in a table.
func entry(v reflect.Value) string {
	var s string
	switch {
	case v.CanFloat():
		s = fmt.Sprintf("%.4g", v.Float())
	case !v.CanInterface():
		return ""
	default:
		s = oneLine(v.Interface())
	}
	if utf8.RuneCountInString(s) > mostWidth {
		s = string([]rune(s)[:mostWidth-1]) + "…"
	}
	return s
}

func oneLine(value interface{}) string {
	if d, ok := value.(time.Duration); ok && d > time.Second {
		value = d.Round(time.Millisecond)
	}
	return strings.ReplaceAll(fmt.Sprint(value), "\n", " ")
}

func (t table) text() string {
	width := make([]int, len(t.titles))
	for _, row := range append([][]string{t.titles}, t.rows...) {
		for k, s := range row {
			width[k] = max(width[k], utf8.RuneCountInString(s))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{t.titles}, t.rows...) {
		for k, s := range row {
			b.WriteString(strings.Repeat(" ", width[k]-utf8.RuneCountInString(s)) + s + "  ")
		}
		b.WriteString("\n")
	}
	return b.String() + t.note
}

func (t table) html() string {
	var b strings.Builder
	line := func(tag string, row []string) {
		b.WriteString("<tr>")
		for _, s := range row {
			fmt.Fprintf(&b, "<%s>%s</%s>", tag, html.EscapeString(s), tag)
		}
		b.WriteString("</tr>")
	}
	b.WriteString("<table><thead>")
	line("th", t.titles)
	b.WriteString("</thead><tbody>")
	for _, row := range t.rows {
		line("td", row)
	}
	b.WriteString("</tbody></table><div>" + t.note + "</div>")
	return b.String()
}

// longest text shown of a value, in runes; what is more is cut with a note.
const longest = 20000

// Text is a value as text: structs with the names of their fields, long lists and texts cut with a note.
func Text(value interface{}) string {
	s := plain(value)
	if n := utf8.RuneCountInString(s); n > longest {
		return fmt.Sprintf("%s\n... %d more characters", string([]rune(s)[:longest]), n-longest)
	}
	return s
}

func plain(value interface{}) string {
	v := reflect.ValueOf(value)
	for v.IsValid() && v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() != reflect.Pointer {
		v = v.Elem()
	}
	_, speaks := value.(fmt.Stringer)
	_, fails := value.(error)
	switch {
	case speaks || fails || !v.IsValid():
	case v.Kind() == reflect.Struct:
		return fmt.Sprintf("%+v", value)
	case (v.Kind() == reflect.Slice || v.Kind() == reflect.Array && v.CanAddr()) && v.Len() > mostItems:
		head := fmt.Sprint(v.Slice(0, mostItems).Interface())
		return fmt.Sprintf("%s ... %d in all]", strings.TrimSuffix(head, "]"), v.Len())
	}
	return fmt.Sprint(value)
}
