package interp

import (
	"errors"
	"fmt"
	"go/token"
	"regexp"
	"strconv"
	"strings"

	"github.com/cosmos72/gomacro/fast"
	"github.com/cosmos72/gomacro/imports"
)

// cellName, with a number behind it, stands for the file name in the interpreter's messages.
const cellName = "cell"

// ErrInterrupted reports that a cell was stopped from outside.
var ErrInterrupted = errors.New("interrupted: the cell was stopped, all variables keep their values")

// panicked is a panic whose value is no error.
type panicked struct{ value interface{} }

func (p panicked) Error() string { return fmt.Sprint(p.value) }

// A CellError says what went wrong in a cell and where.
type CellError struct {
	Name      string   // kind of error
	Value     string   // what happened
	Traceback []string // lines to show, with the place in the cell
}

func (e *CellError) Error() string { return e.Value }

var (
	// place is how the interpreter's messages begin.
	place = regexp.MustCompile(`^` + cellName + `\d*(?::(\d+)(?::(\d+))?)?:? `)
	// node is how they name a piece of syntax.
	node = regexp.MustCompile(` <\*ast\.\w+>`)
	// undefined is what they say of a package that was not imported.
	undefined = regexp.MustCompile(`^undefined (?:identifier: |")(\w+)`)
	// more ends the parser's messages: errors that follow from the first.
	more = regexp.MustCompile(` \(and \d+ more errors\)$`)
)

// A spot is a place in a cell; column 0 is the first letter.
type spot struct {
	file         string
	line, column int
}

// mostSpots is how many calls a traceback names.
const mostSpots = 8

// explain adds the place to an error: that which its message names, or else the functions that were running, innermost
// where, or else the statement at pos.
func (in *Interp) explain(file string, pos token.Pos, where *fast.Env, err error) error {
	if errors.Is(err, ErrInterrupted) {
		return err
	}
	e := &CellError{Name: "error", Value: err.Error()}
	var spots []spot
	if m := place.FindStringSubmatch(e.Value); m != nil {
		e.Value = e.Value[len(m[0]):]
		line, _ := strconv.Atoi(m[1])
		column, _ := strconv.Atoi(m[2])
		spots = []spot{{file, line, column}}
	} else if where != nil {
		e.Name = "panic"
		spots = in.calls(where)
	}
	if pos.IsValid() {
		at := in.position(pos)
		at.column = 0 // the statement begins there, which says nothing about the error
		if n := len(spots); n == 0 || where != nil && (spots[n-1].file != at.file || spots[n-1].line != at.line) {
			spots = append(spots, at)
		}
	}
	e.Value = more.ReplaceAllString(node.ReplaceAllString(e.Value, ""), "")
	e.Value = strings.TrimPrefix(strings.TrimPrefix(e.Value, "runtime error: "), "reflect: ")
	if m := undefined.FindStringSubmatch(e.Value); m != nil {
		if path := packageNamed(m[1]); path != "" {
			e.Value += fmt.Sprintf(" (import %q is missing)", path)
		}
	}
	e.Traceback = append(e.Traceback, red(e.Name)+": "+e.Value)
	for i, s := range spots {
		if i == mostSpots {
			e.Traceback = append(e.Traceback, fmt.Sprintf("... and %d more calls", len(spots)-i))
			break
		}
		e.Traceback = append(e.Traceback, in.mark(s, file, i > 0)...)
	}
	return e
}

// packageNamed is the import path of a package with a name, "" if there is none.
func packageNamed(name string) string {
	best := ""
	for path, p := range imports.Packages {
		if p.Name == name && reachable(path) && (best == "" || len(path) < len(best)) {
			best = path
		}
	}
	return best
}

func red(s string) string { return "\x1b[31m" + s + "\x1b[0m" }

// calls are the places of the functions that were running, the innermost first.
func (in *Interp) calls(env *fast.Env) (spots []spot) {
	for env != nil {
		if ip := env.IP; ip >= 0 && ip < len(env.DebugPos) && env.DebugPos[ip].IsValid() {
			spots = append(spots, in.position(env.DebugPos[ip]))
		}
		for env.Caller == nil && env.Outer != nil { // from a block to its function
			env = env.Outer
		}
		env = env.Caller
	}
	return spots
}

func (in *Interp) position(pos token.Pos) spot {
	in.compile.Lock()
	defer in.compile.Unlock()
	p := in.gomacro.Comp.Fileset.Position(pos)
	return spot{p.Filename, p.Line, p.Column}
}

// mark shows the line of a spot, with a caret below.
func (in *Interp) mark(s spot, file string, calls bool) []string {
	in.cell.Lock()
	lines := in.sources[s.file]
	in.cell.Unlock()
	if s.line < 1 || s.line > len(lines) {
		return nil
	}
	text := lines[s.line-1]
	column := s.column
	if column < 1 {
		column = len(text) - len(strings.TrimLeft(text, " \t")) + 1
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, text[:min(column-1, len(text))])
	title := fmt.Sprintf("in line %d of ", s.line)
	if calls {
		title = fmt.Sprintf("called from line %d of ", s.line)
	}
	if s.file == file {
		title += "the cell:"
	} else {
		title += "an earlier cell:"
	}
	margin := fmt.Sprintf("%4d | ", s.line)
	return []string{title, margin + text, strings.Repeat(" ", len(margin)) + pad + red("^")}
}
