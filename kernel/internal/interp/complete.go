package interp

import (
	"bufio"
	"errors"
	"go/scanner"
	"go/token"
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
	word := fast.TailIdentifier(line)
	start = cursor - len([]rune(word))
	matches = in.words(line)
	if !strings.HasSuffix(strings.TrimSuffix(line, word), ".") && word != "" {
		matches = append(matches, declared(string(runes[:start])+string(runes[cursor:]), word)...)
	}
	slices.Sort(matches)
	return slices.Compact(matches), start, cursor
}

// words asks the interpreter how a line may go on.
func (in *Interp) words(line string) (matches []string) {
	defer func() { _ = recover() }() // the interpreter's answer to lines that mean nothing
	_, matches, _ = in.gomacro.CompleteWords(line, len(line))
	return slices.DeleteFunc(matches, func(m string) bool { return strings.Contains(m, "·") })
}

// declared lists the names in code, which may not have run yet, that begin with a word.
func declared(code, word string) (names []string) {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(code))
	s.Init(file, []byte(code), nil, 0)
	behindDot := false
	for {
		_, kind, text := s.Scan()
		switch {
		case kind == token.EOF:
			return names
		case kind == token.IDENT && !behindDot && strings.HasPrefix(text, word):
			names = append(names, text)
		}
		behindDot = kind == token.PERIOD
	}
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
	if _, err := in.parse(in.scope(), cellName, code); err != nil {
		if strings.Contains(err.Error(), "not terminated") { // a text or comment over several lines
			return "incomplete", ""
		}
		return "invalid", ""
	}
	return "complete", ""
}
