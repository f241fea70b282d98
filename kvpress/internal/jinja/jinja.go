// Package jinja renders chat templates: the part of Python's Jinja that transformers lets a model's template use, with
// its results, spacing and errors. A template is a program of strangers, so it gets a budget of work, which bounds time,
// memory and output together; it reads no files, changes no value that it is given, and nests only so deep.
//
// What no chat template needs is refused by name when the template is parsed: inheritance, imports, HTML escaping.
//
// It is our own because no Go library has Python's results. gonja v2.9.1, which stood here before, reads no condition
// inside brackets and no negative index, so that templates had to be rewritten by hand before it; then it gave 188 of the
// 220 recorded renderings of transformers. It has no split() without a separator (26 of the others), and its maps forget
// the order of keys that a tool's JSON is written in (6). And nothing bounds it: one "x" * 10**10 takes the memory.
package jinja

import (
	"fmt"
	"maps"
	"strings"
)

// Limits of a template. A unit of work is about a byte that is made or read, or a sixteenth of a step.
const (
	mostWork    = 16 << 20
	workPerByte = 64  // of what the template is given to write: a long chat may take longer
	deepest     = 200 // brackets in brackets, blocks in blocks, calls in calls
	longestText = 256 << 10
)

// A Template is a parsed template. It may be rendered by several goroutines at once.
type Template struct{ body []statement }

// A failure is an error on its way out of the parser or the renderer.
type failure struct{ message string }

func fail(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

// caught turns a failure into the error that a caller sees.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = fmt.Errorf("%s", r.message)
	default:
		*err = fmt.Errorf("the template cannot be run: %v", r)
	}
}

// Parse reads a template.
func Parse(text string) (t *Template, err error) {
	defer caught(&err)
	if len(text) > longestText {
		fail("the template has %d bytes: at most %d are read", len(text), longestText)
	}
	p := &parser{tokens: lex(text)}
	body, _ := p.until()
	return &Template{body}, nil
}

// Render writes a template. Values are what it may name: texts, numbers, booleans, nil, lists, maps, and anything else
// that encoding/json writes, json.RawMessage among it, which keeps the order of keys. A Go map is in the order of its
// keys. Functions are called with texts only.
func (t *Template) Render(values map[string]any, functions map[string]func(text string) (string, error)) (text string, err error) {
	defer caught(&err)
	r := &run{limit: mostWork}
	top := &frame{run: r, vars: map[string]any{}}
	maps.Copy(top.vars, globals)
	for name, call := range functions {
		top.vars[name] = &function{name, params("text", required), func(_ *frame, a []any) any {
			s, err := call(toText(top, a[0]))
			if err != nil {
				fail("%s", err)
			}
			return s
		}}
	}
	for name, v := range values {
		given, size := from(v)
		top.vars[name] = given
		r.limit += size * workPerByte
	}
	var out strings.Builder
	top.out = &out
	runAll(top, t.body)
	return out.String(), nil
}

// A run is one rendering.
type run struct {
	work, limit int
	depth       int
}

// A frame is where names live: the template, a turn of a loop, a macro's call.
type frame struct {
	*run
	vars   map[string]any
	parent *frame
	out    *strings.Builder
}

// inner is a frame inside another one.
func (f *frame) inner() *frame {
	f.spend(64)
	return &frame{run: f.run, vars: map[string]any{}, parent: f, out: f.out}
}

// spend takes work from the budget.
func (r *run) spend(n int) {
	if r.work += n; n < 0 || r.work > r.limit {
		fail("the template does more work than any chat needs: stopped")
	}
}

// deeper counts levels; the caller defers what it returns.
func (r *run) deeper() func() {
	if r.depth++; r.depth > deepest {
		fail("maximum recursion depth exceeded: a template may nest %d levels deep", deepest)
	}
	return func() { r.depth-- }
}

// lookup finds a name.
func (f *frame) lookup(name string) any {
	for at := f; at != nil; at = at.parent {
		if v, ok := at.vars[name]; ok {
			return v
		}
	}
	return undefined{fmt.Sprintf("'%s' is undefined", name)}
}

// write adds to the output.
func (f *frame) write(text string) {
	f.spend(len(text))
	f.out.WriteString(text)
}

// captured is what a body writes, as a text.
func (f *frame) captured(body []statement) string {
	var out strings.Builder
	f.out = &out
	runAll(f, body)
	return out.String()
}
