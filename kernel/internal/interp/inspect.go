package interp

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cosmos72/gomacro/fast"
	"github.com/cosmos72/gomacro/xreflect"

	"github.com/kvnotes/kvnotes/kernel/display"
)

// Documentation returns signature and doc comment of names that cells can reach, by "path.Name" or
// "path.Type.Method", and what a package says of itself, by its path. The program that makes interpreters sets it.
var Documentation = func(string) string { return "" }

// Inspect describes the name at the cursor, which may have dots: its type, its value if it has one, and its
// documentation if it is known.
func (in *Interp) Inspect(code string, cursor int) (text string, found bool) {
	in.compile.Lock()
	defer in.compile.Unlock()
	defer func() {
		if recover() != nil { // the interpreter's answer to names that mean nothing
			text, found = "", false
		}
	}()
	name := nameAt([]rune(code), cursor)
	if name == "" {
		return "", false
	}
	text = in.describe(strings.Split(name, "."))
	return text, text != ""
}

func (in *Interp) describe(parts []string) string {
	c := in.gomacro.Comp
	sym := c.TryResolve(parts[0])
	if sym == nil {
		if t := c.TryResolveType(parts[0]); t != nil && t.PkgPath() != "" {
			return describeType(strings.Join(parts, "."), t.ReflectType(), parts[1:]) + methodsOf(t)
		}
		if len(parts) == 1 {
			return Documentation("builtin." + parts[0])
		}
		return ""
	}
	if imp, ok := sym.Value.(*fast.Import); ok {
		return describeMember(imp, parts)
	}
	if _, ok := sym.Value.(fast.Builtin); ok {
		if g, ok := generics[parts[0]]; ok {
			return "func " + g.doc
		}
		return Documentation("builtin." + parts[0])
	}
	if len(parts) > 1 {
		return describeType(strings.Join(parts, "."), sym.Type.ReflectType(), parts[1:])
	}
	text := fmt.Sprintf("%s %v", parts[0], sym.Type)
	if v := in.gomacro.ValueOf(parts[0]); v.IsValid() && v.Kind() != reflect.Func {
		text += " = " + short(display.Text(v.Interface()))
	}
	return text
}

// methodsOf lists the methods of a type of a cell.
func methodsOf(t xreflect.Type) string {
	var b strings.Builder
	for i := range t.NumMethod() {
		m := t.Method(i)
		fmt.Fprintf(&b, "\n\t%s %v", m.Name, m.Type)
	}
	return b.String()
}

// short is the begin of a text.
func short(s string) string {
	const most = 400
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + " ..."
	}
	return s
}

// describeMember describes a package, or a name in it.
func describeMember(imp *fast.Import, parts []string) string {
	path := imp.Path
	if path == displayPath {
		path = displayFull
	}
	if len(parts) == 1 {
		var names []string
		for n := range imp.Binds {
			names = append(names, n)
		}
		for n := range imp.Types {
			names = append(names, n)
		}
		slices.Sort(names)
		about := Documentation(path)
		if about == "" {
			about = "package " + imp.Name
		}
		return fmt.Sprintf("%s\n\nimport %q\n\n%s", about, imp.Path, strings.Join(names, " "))
	}
	if g, ok := generics[path+"·"+parts[1]]; ok {
		return "func " + g.doc
	}
	if doc := Documentation(path + "." + strings.Join(parts[1:], ".")); doc != "" {
		return doc
	}
	full := strings.Join(parts, ".")
	if t := imp.Types[parts[1]]; t != nil {
		return describeType(full, t.ReflectType(), parts[2:])
	}
	if b := imp.Binds[parts[1]]; b != nil {
		if len(parts) > 2 {
			return describeType(full, b.Type.ReflectType(), parts[2:])
		}
		return fmt.Sprintf("%s %v", full, b.Type)
	}
	return ""
}

// describeType describes a type, or what names behind a value of it lead to: fields and methods.
func describeType(full string, t reflect.Type, names []string) string {
	for i, name := range names {
		owner := t
		if owner.Kind() == reflect.Pointer {
			owner = owner.Elem()
		}
		if doc := Documentation(owner.PkgPath() + "." + owner.Name() + "." + name); doc != "" && i == len(names)-1 {
			return doc
		}
		if f, ok := fieldOf(owner, name); ok {
			t = f
			continue
		}
		m, ok := reflect.PointerTo(owner).MethodByName(name)
		if !ok {
			return ""
		}
		return fmt.Sprintf("%s %v", full, m.Type)
	}
	if doc := Documentation(t.PkgPath() + "." + t.Name()); doc != "" && len(names) == 0 {
		return doc
	}
	return fmt.Sprintf("%s %v", full, t)
}

func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	f, ok := t.FieldByName(name)
	if !ok {
		return nil, false
	}
	return f.Type, true
}

// nameAt is the dotted name around a cursor.
func nameAt(code []rune, cursor int) string {
	cursor = max(0, min(cursor, len(code)))
	part := func(r rune) bool {
		return r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
	}
	start, end := cursor, cursor
	if start > 0 && start == len(code) || start > 0 && !part(code[start]) { // behind a name, or behind its bracket
		for start > 0 && (code[start-1] == '(' || code[start-1] == ' ') {
			start--
		}
		end = start
	}
	for start > 0 && part(code[start-1]) {
		start--
	}
	for end < len(code) && part(code[end]) && code[end] != '.' {
		end++
	}
	return strings.Trim(string(code[start:end]), ".")
}
