package interp

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"regexp"
	"strconv"
	"strings"
)

// cellName stands for the file name in the interpreter's messages.
const cellName = "cell"

// ErrInterrupted reports that a cell was stopped from outside.
var ErrInterrupted = errors.New("interrupted: the cell was stopped, all variables keep their values")

// panicked is a panic whose value is no error.
type panicked struct{ value interface{} }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// A CellError says what went wrong in a cell and where.
type CellError struct {
	Name      string   // kind of error
	Value     string   // what happened
	Traceback []string // lines to show, with the place in the cell
}

func (e *CellError) Error() string { return e.Value }

// place is how the interpreter's messages begin.
var place = regexp.MustCompile(`^` + cellName + `(?::(\d+)(?::(\d+))?)?:? `)

// explain adds the place to an error; line counts from 1, 0 means that the message may say it.
func (in *Interp) explain(ctx context.Context, code string, line int, err error) error {
	if errors.Is(err, ErrInterrupted) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ErrInterrupted
	}
	e := &CellError{Name: "error", Value: err.Error()}
	column := 0
	var p panicked
	if errors.As(err, &p) {
		e.Name = "panic"
	}
	if m := place.FindStringSubmatch(e.Value); m != nil {
		e.Value = e.Value[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		column, _ = strconv.Atoi(m[2])
	}
	// The parser lists further errors that follow from the first.
	if i := strings.Index(e.Value, " (and "); i > 0 && strings.HasSuffix(e.Value, "more errors)") {
		e.Value = e.Value[:i]
	}
	e.Traceback = append(e.Traceback, "\x1b[31m"+e.Name+"\x1b[0m: "+e.Value)
	lines := strings.Split(code, "\n")
	if line >= 1 && line <= len(lines) {
		margin := fmt.Sprintf("%4d | ", line)
		text := lines[line-1]
		if column < 1 {
			column = len(text) - len(strings.TrimLeft(text, " \t")) + 1
		}
		pad := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return ' '
		}, text[:min(column-1, len(text))])
		e.Traceback = append(e.Traceback, fmt.Sprintf("in line %d of the cell:", line), margin+text, strings.Repeat(" ", len(margin))+pad+"\x1b[31m^\x1b[0m")
	}
	return e
}

// lineOf is the line of a node in its cell, from 1.
func (in *Interp) lineOf(n ast.Node) int {
	in.compile.Lock()
	defer in.compile.Unlock()
	return in.gomacro.Comp.Fileset.Position(n.Pos()).Line
}
