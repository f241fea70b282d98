package jinja

import "slices"

// A parser reads statements; what is in expression.go reads expressions.
type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int // that a break would leave
}

func (p *parser) peek() token { return p.tokens[p.at] }

// next takes a token; the last one is never used up.
func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != kindEnd {
		p.at++
	}
	return t
}

// is tells whether the next token is an operator or mark.
func (p *parser) is(kind string) bool { return p.peek().kind == kind }

// isName tells whether the next token is one of these words.
func (p *parser) isName(words ...string) bool {
	return p.is(kindName) && slices.Contains(words, p.peek().text)
}

// skip takes the next token if it is that operator.
func (p *parser) skip(kind string) bool {
	if p.is(kind) {
		p.next()
		return true
	}
	return false
}

// skipName takes the next token if it is that word.
func (p *parser) skipName(word string) bool {
	if p.isName(word) {
		p.next()
		return true
	}
	return false
}

// want takes a token of a kind.
func (p *parser) want(kind string) token {
	t := p.next()
	if t.kind != kind {
		fail("line %d: expected %s, got %q", t.line, kind, t.text)
	}
	return t
}

func (p *parser) wantName(word string) {
	if !p.skipName(word) {
		fail("line %d: expected '%s', got %q", p.peek().line, word, p.peek().text)
	}
}

// deeper counts brackets and blocks; the caller defers what it returns.
func (p *parser) deeper() func() {
	if p.depth++; p.depth > deepest {
		fail("line %d: the template nests deeper than %d levels", p.peek().line, deepest)
	}
	return func() { p.depth-- }
}

// until reads statements up to a tag with one of these words, which it takes, or to the end if there are none.
func (p *parser) until(ends ...string) (body []statement, end string) {
	defer p.deeper()()
	for {
		switch t := p.next(); t.kind {
		case kindEnd:
			if len(ends) > 0 {
				fail("line %d: unexpected end of template: %v is missing", t.line, ends)
			}
			return body, ""
		case kindData:
			body = append(body, output{literal{t.text}})
		case "{{":
			body = append(body, output{p.tuple(true)})
			p.want("}}")
		case "{%":
			if p.isName(ends...) {
				return body, p.next().text
			}
			body = append(body, p.statement())
			p.want("%}")
		}
	}
}

// block is the body of a tag: the end of its mark, statements, and the word that ends it.
func (p *parser) block(ends ...string) (body []statement, end string) {
	p.want("%}")
	return p.until(ends...)
}

var refused = []string{"extends", "include", "import", "from", "block", "autoescape", "trans", "do", "print"}

// statement reads a tag.
func (p *parser) statement() statement {
	t := p.want(kindName)
	switch t.text {
	case "if":
		return p.condition()
	case "for":
		return p.loop()
	case "set":
		return p.assignment()
	case "macro":
		name := p.want(kindName).text
		m := p.signature()
		m.name = name
		p.callable(&m, "endmacro")
		return m
	case "call":
		m := macroOf{name: "caller"}
		if p.is("(") {
			m = p.signature()
			m.name = "caller"
		}
		to, ok := p.unary(true).(call)
		if !ok {
			fail("line %d: expected call", t.line)
		}
		p.callable(&m, "endcall")
		return callBlock{m, to}
	case "filter":
		f := p.filters(captured{}, p.want(kindName).text)
		body, _ := p.block("endfilter")
		return filterBlock{f, body}
	case "with":
		return p.with()
	case "generation": // marks the model's words for training
		body, _ := p.block("endgeneration")
		return scoped{body}
	case "break", "continue":
		if p.loops == 0 {
			fail("line %d: '%s' outside loop", t.line, t.text)
		}
		return leave(t.text)
	}
	if slices.Contains(refused, t.text) {
		fail("line %d: the tag '%s' is not supported in chat templates: they read no files and have no blocks", t.line, t.text)
	}
	fail("line %d: Encountered unknown tag '%s'", t.line, t.text)
	return nil
}

// callable reads the body of a macro, out of which no break leads, and what further arguments it names.
func (p *parser) callable(m *macroOf, end string) {
	loops, start := p.loops, p.at
	p.loops = 0
	m.body, _ = p.block(end)
	p.loops = loops
	for _, t := range p.tokens[start:p.at] {
		m.varargs = m.varargs || t.kind == kindName && t.text == "varargs"
		m.kwargs = m.kwargs || t.kind == kindName && t.text == "kwargs"
		m.caller = m.caller || t.kind == kindName && t.text == "caller"
	}
}

func (p *parser) condition() statement {
	var c condition
	for {
		test := p.tuple(false)
		body, end := p.block("elif", "else", "endif")
		c.branches = append(c.branches, branch{test, body})
		if end == "else" {
			c.otherwise, end = p.block("endif")
		}
		if end == "endif" {
			return c
		}
	}
}

func (p *parser) loop() statement {
	l := loop{target: p.target()}
	p.wantName("in")
	l.over = p.tuple(false, "recursive", "if")
	if p.skipName("if") {
		l.only = p.expression()
	}
	l.recursive = p.skipName("recursive")
	p.loops++
	var end string
	l.body, end = p.block("else", "endfor")
	p.loops--
	if end == "else" {
		l.empty, _ = p.block("endfor")
	}
	return &l
}

func (p *parser) assignment() statement {
	a := set{target: p.target()}
	if p.skip("=") {
		a.value = p.tuple(true)
		return a
	}
	if p.skip("|") {
		a.filter = p.filters(captured{}, p.want(kindName).text)
	}
	a.body, _ = p.block("endset")
	return a
}

func (p *parser) with() statement {
	var w with
	for !p.is("%}") {
		if len(w.targets) > 0 {
			p.want(",")
		}
		w.targets = append(w.targets, p.target())
		p.want("=")
		w.values = append(w.values, p.expression())
	}
	w.body, _ = p.block("endwith")
	return w
}

// signature reads a macro's parameters.
func (p *parser) signature() (m macroOf) {
	p.want("(")
	for !p.skip(")") {
		if len(m.params) > 0 {
			p.want(",")
		}
		m.params = append(m.params, p.variable())
		var other expr
		if p.skip("=") {
			other = p.expression()
		} else if n := len(m.defaults); n > 0 && m.defaults[n-1] != nil {
			fail("line %d: non-default argument follows default argument", p.peek().line)
		}
		m.defaults = append(m.defaults, other)
	}
	return m
}

var constants = map[string]any{"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil}

// variable reads a name that can be assigned to.
func (p *parser) variable() string {
	t := p.want(kindName)
	if _, constant := constants[t.text]; constant {
		fail("line %d: can't assign to '%s'", t.line, t.text)
	}
	return t.text
}

// target reads what is assigned to: a name, an attribute of a namespace, or several names.
func (p *parser) target() target {
	defer p.deeper()()
	var t target
	for {
		if p.skip("(") {
			t.parts = append(t.parts, p.target())
			p.want(")")
		} else {
			part := target{name: p.variable()}
			if p.skip(".") {
				part.attribute = p.want(kindName).text
			}
			t.parts = append(t.parts, part)
		}
		if !p.skip(",") {
			break
		}
		if p.isName("in") || p.is("=") || p.is(")") {
			return t
		}
	}
	if len(t.parts) == 1 {
		return t.parts[0]
	}
	return t
}
