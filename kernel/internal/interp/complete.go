package interp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cosmos72/gomacro/base"
	"github.com/cosmos72/gomacro/fast"
)

// Complete lists what may stand at the cursor. Cursor, start and end count runes of the code; the matches replace
// what stands between start and end.
func (in *Interp) Complete(code string, cursor int) (matches []string, start, end int) {
	in.compile.Lock()
	defer in.compile.Unlock()
	runes := []rune(code)
	cursor = max(0, min(cursor, len(runes)))
	before := string(runes[:cursor])
	line := before[strings.LastIndexByte(before, '\n')+1:]
	if quote := strings.LastIndexByte(line, '"'); quote >= 0 && strings.Count(line, `"`)%2 == 1 && inImport(before) {
		typed := line[quote+1:]
		for _, path := range packages() {
			if strings.HasPrefix(path, typed) {
				matches = append(matches, path)
			}
		}
		return matches, cursor - len([]rune(typed)), cursor
	}
	_, matches, _ = in.gomacro.CompleteWords(line, len(line))
	word := fast.TailIdentifier(line)
	return matches, cursor - len([]rune(word)), cursor
}

// inImport reports whether a string that begins here is an import path.
func inImport(before string) bool {
	at := strings.LastIndex(before, "import")
	return at >= 0 && !strings.ContainsAny(before[at+len("import"):], ")={};")
}

// IsComplete says whether a cell can run as it stands: "complete", "incomplete" (with the blanks that the next line
// begins with) or "invalid".
func (in *Interp) IsComplete(code string) (status, indent string) {
	if strings.TrimSpace(code) == "" {
		return "complete", ""
	}
	read := base.MakeBufReadline(bufio.NewReader(strings.NewReader(code + "\n")))
	for {
		_, _, err := base.ReadMultiline(read, base.ReadOptions(0), "")
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			depth := strings.Count(code, "{") + strings.Count(code, "(") - strings.Count(code, "}") - strings.Count(code, ")")
			return "incomplete", strings.Repeat("\t", max(0, depth))
		}
		if err != nil {
			return "invalid", ""
		}
	}
	if magic(code) {
		return "complete", ""
	}
	if _, err := in.parse(in.gomacro, cellName, code); err != nil {
		return "invalid", ""
	}
	return "complete", ""
}

// Inspect describes the name at the cursor: its type, its value if it has one, and its documentation if it is known.
func (in *Interp) Inspect(code string, cursor int) (text string, found bool) {
	in.compile.Lock()
	defer in.compile.Unlock()
	defer func() {
		if recover() != nil {
			text, found = "", false
		}
	}()
	name := nameAt([]rune(code), cursor)
	if name == "" {
		return "", false
	}
	parts := strings.Split(name, ".")
	sym := in.gomacro.Comp.TryResolve(parts[0])
	if sym == nil {
		if t := in.gomacro.Comp.TryResolveType(parts[0]); t != nil {
			return fmt.Sprintf("type %s %v", name, t.ReflectType()), true
		}
		return "", false
	}
	if imp, ok := sym.Value.(*fast.Import); ok {
		return inspectPackage(imp, parts)
	}
	v := in.gomacro.ValueOf(parts[0])
	text = fmt.Sprintf("%s %v", parts[0], sym.Type)
	if len(parts) == 1 && v.IsValid() {
		text += fmt.Sprintf(" = %.200v", v.Interface())
	}
	return text, true
}

func inspectPackage(imp *fast.Import, parts []string) (string, bool) {
	if len(parts) == 1 {
		var names []string
		for n := range imp.Binds {
			names = append(names, n)
		}
		for n := range imp.Types {
			names = append(names, n)
		}
		slices.Sort(names)
		return fmt.Sprintf("package %s // import %q\n\n%s", imp.Name, imp.Path, strings.Join(names, " ")), true
	}
	member := parts[1]
	if doc := Documentation[imp.Path+"."+strings.Join(parts[1:], ".")]; doc != "" {
		return doc, true
	}
	if b := imp.Binds[member]; b != nil {
		return fmt.Sprintf("%s.%s %v", imp.Name, member, b.Type), true
	}
	if t := imp.Types[member]; t != nil {
		return fmt.Sprintf("type %s.%s %v", imp.Name, member, t.ReflectType()), true
	}
	return "", false
}

// Documentation holds signature and doc comment of names that cells can reach, by "path.Name" or "path.Type.Method".
// The bindings fill it.
var Documentation = map[string]string{}

// nameAt is the dotted name around a cursor.
func nameAt(code []rune, cursor int) string {
	cursor = max(0, min(cursor, len(code)))
	part := func(r rune) bool {
		return r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
	}
	start, end := cursor, cursor
	for start > 0 && part(code[start-1]) {
		start--
	}
	for end < len(code) && part(code[end]) && code[end] != '.' {
		end++
	}
	return strings.Trim(string(code[start:end]), ".")
}
