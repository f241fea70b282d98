package jinja

import "slices"

// A statement writes to a frame's output, or changes its names. It tells what is left: "break", "continue" or "".
type statement interface {
	run(f *frame) (leaving string)
}

type (
	output struct{ of expr }
	scoped struct{ body []statement }
	leave  string
	branch struct {
		test expr
		body []statement
	}
	condition struct {
		branches  []branch
		otherwise []statement
	}
	loop struct {
		target      target
		over, only  expr
		recursive   bool
		body, empty []statement
	}
	set struct {
		target target
		value  expr // or, where it is nil, what the body writes, filtered
		body   []statement
		filter expr
	}
	with struct {
		targets []target
		values  []expr
		body    []statement
	}
	macroOf struct {
		name     string
		params   []string
		defaults []expr // nil for none
		body     []statement

		varargs, kwargs, caller bool // named in the body
	}
	callBlock struct {
		caller macroOf
		to     call
	}
	filterBlock struct {
		filter expr
		body   []statement
	}
)

// A target is a name, an attribute of a namespace, or several targets.
type target struct {
	name, attribute string
	parts           []target
}

func runAll(f *frame, body []statement) (leaving string) {
	for _, s := range body {
		f.spend(16)
		if leaving = s.run(f); leaving != "" {
			return leaving
		}
	}
	return ""
}

// assign sets a name of the frame.
func (t target) assign(f *frame, v any) {
	switch {
	case t.parts != nil:
		items := iterate(f, v)
		if len(items) != len(t.parts) {
			fail("%d values cannot be unpacked into %d names", len(items), len(t.parts))
		}
		for i, part := range t.parts {
			part.assign(f, items[i])
		}
	case t.attribute != "":
		ns, ok := f.lookup(t.name).(*namespace)
		if !ok {
			fail("cannot assign attribute on non-namespace object")
		}
		ns.vars[t.attribute] = v
	default:
		f.vars[t.name] = v
	}
}

func (s output) run(f *frame) string {
	f.write(toText(f, s.of.eval(f)))
	return ""
}

func (s scoped) run(f *frame) string { return runAll(f.inner(), s.body) }
func (s leave) run(*frame) string    { return string(s) }

func (s condition) run(f *frame) string {
	for _, b := range s.branches {
		if truth(b.test.eval(f)) {
			return runAll(f, b.body)
		}
	}
	return runAll(f, s.otherwise)
}

func (s *loop) run(f *frame) string {
	s.each(f, s.over.eval(f), 0)
	return ""
}

// each runs a loop over a value, at a depth of recursion.
func (s *loop) each(f *frame, of any, depth int) {
	defer f.deeper()()
	items := iterate(f, of)
	if s.only != nil {
		var chosen []any
		for _, v := range items {
			in := f.inner()
			s.target.assign(in, v)
			if truth(s.only.eval(in)) {
				chosen = append(chosen, v)
			}
		}
		items = chosen
	}
	if len(items) == 0 {
		runAll(f.inner(), s.empty)
		return
	}
	state := &loopState{loop: s, items: items, depth: depth}
	for i, v := range items {
		in := f.inner()
		state.at, state.frame = i, in
		in.vars["loop"] = state
		s.target.assign(in, v)
		if runAll(in, s.body) == "break" {
			break
		}
	}
}

func (s set) run(f *frame) string {
	if s.value != nil {
		s.target.assign(f, s.value.eval(f))
		return ""
	}
	var v any = f.inner().captured(s.body)
	if s.filter != nil {
		v = filterText(f, s.filter, v)
	}
	s.target.assign(f, v)
	return ""
}

func (s with) run(f *frame) string {
	in := f.inner()
	for i, t := range s.targets {
		t.assign(in, s.values[i].eval(f))
	}
	return runAll(in, s.body)
}

func (s macroOf) run(f *frame) string {
	f.vars[s.name] = s.in(f)
	return ""
}

// in makes the macro a value, which sees the names of a frame.
func (s macroOf) in(f *frame) *macro { return &macro{s, f} }

func (s callBlock) run(f *frame) string {
	fn := s.to.of.eval(f)
	a := s.to.arguments.values(f)
	a.named = append(slices.Clone(a.named), namedValue{"caller", s.caller.in(f)})
	f.write(toText(f, callValue(f, fn, a)))
	return ""
}

func (s filterBlock) run(f *frame) string {
	f.write(toText(f, filterText(f, s.filter, f.inner().captured(s.body))))
	return ""
}

// captured stands for the text that a block's filters are given.
type captured struct{}

func (captured) eval(f *frame) any { return f.lookup("\x00captured") }

func filterText(f *frame, filter expr, v any) any {
	in := f.inner()
	in.vars["\x00captured"] = v
	return filter.eval(in)
}
