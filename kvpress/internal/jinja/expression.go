package jinja

// expression reads "a if b else c", or what binds more tightly.
func (p *parser) expression() expr {
	defer p.deeper()()
	e := p.or()
	for p.skipName("if") {
		c := choice{yes: e, test: p.or()}
		if p.skipName("else") {
			c.no = p.expression()
		}
		e = c
	}
	return e
}

// tuple reads one expression, or several with commas between them. With conditions "a if b" may be part of them;
// otherwise the words at which it ends are not names.
func (p *parser) tuple(conditions bool, ends ...string) expr {
	defer p.deeper()()
	item := p.or
	if conditions || len(ends) == 0 {
		item = p.expression
	}
	var items []expr
	comma := false
	for {
		if p.is("%}") || p.is("}}") || p.is(")") || p.isName(ends...) {
			break
		}
		items = append(items, item())
		if !p.skip(",") {
			break
		}
		comma = true
	}
	if comma {
		return listOf{items, true}
	}
	if len(items) == 0 {
		fail("line %d: Expected an expression, got %q", p.peek().line, p.peek().text)
	}
	return items[0]
}

func (p *parser) or() expr {
	e := p.and()
	for p.skipName("or") {
		e = either{e, p.and(), true}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for p.skipName("and") {
		e = either{e, p.not(), false}
	}
	return e
}

func (p *parser) not() expr {
	if p.skipName("not") {
		defer p.deeper()()
		return unary{"not", p.not()}
	}
	return p.comparison()
}

func (p *parser) comparison() expr {
	c := comparison{first: p.sum()}
	for {
		op := ""
		switch {
		case p.is("==") || p.is("!=") || p.is("<") || p.is("<=") || p.is(">") || p.is(">="):
			op = p.next().kind
		case p.skipName("in"):
			op = "in"
		case p.isName("not") && p.tokens[p.at+1].kind == kindName && p.tokens[p.at+1].text == "in":
			p.next()
			p.next()
			op = "not in"
		}
		if op == "" {
			break
		}
		c.operators, c.rest = append(c.operators, op), append(c.rest, p.sum())
	}
	if len(c.rest) == 0 {
		return c.first
	}
	return c
}

// binary reads operators of equal rank, from left to right.
func (p *parser) binary(operand func() expr, operators ...string) expr {
	e := operand()
	for {
		found := false
		for _, op := range operators {
			if p.skip(op) {
				e, found = binary{op, e, operand()}, true
				break
			}
		}
		if !found {
			return e
		}
	}
}

func (p *parser) sum() expr     { return p.binary(p.texts, "+", "-") }
func (p *parser) texts() expr   { return p.binary(p.product, "~") }
func (p *parser) product() expr { return p.binary(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.binary(func() expr { return p.unary(true) }, "**") }

func (p *parser) unary(filtered bool) expr {
	defer p.deeper()()
	var e expr
	switch {
	case p.skip("-"):
		e = unary{"-", p.unary(false)}
	case p.skip("+"):
		e = unary{"+", p.unary(false)}
	default:
		e = p.postfix(p.primary())
	}
	if filtered {
		e = p.filtered(e)
	}
	return e
}

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case kindName:
		if v, constant := constants[t.text]; constant {
			return literal{v}
		}
		return name(t.text)
	case kindString:
		text := t.value.(string)
		for p.is(kindString) {
			text += p.next().value.(string)
		}
		return literal{text}
	case kindNumber:
		return literal{t.value}
	case "(":
		if p.skip(")") {
			return listOf{nil, true}
		}
		e := p.tuple(true)
		p.want(")")
		return e
	case "[":
		var items []expr
		for !p.skip("]") {
			if len(items) > 0 {
				p.want(",")
				if p.skip("]") {
					break
				}
			}
			items = append(items, p.expression())
		}
		return listOf{items, false}
	case "{":
		return p.dict()
	}
	fail("line %d: unexpected '%s'", t.line, t.text)
	return nil
}

func (p *parser) dict() expr {
	var d dictOf
	for !p.skip("}") {
		if len(d.keys) > 0 {
			p.want(",")
			if p.skip("}") {
				break
			}
		}
		d.keys = append(d.keys, p.expression())
		p.want(":")
		d.values = append(d.values, p.expression())
	}
	return d
}

// postfix reads attributes, items and calls.
func (p *parser) postfix(e expr) expr {
	for {
		switch {
		case p.skip("."):
			if t := p.next(); t.kind == kindName {
				e = attribute{e, t.text}
			} else if i, ok := t.value.(int); ok && t.kind == kindNumber {
				e = item{e, literal{i}}
			} else {
				fail("line %d: expected name or number", t.line)
			}
		case p.skip("["):
			e = p.subscript(e)
			p.want("]")
		case p.is("("):
			e = call{e, p.arguments()}
		default:
			return e
		}
	}
}

// subscript reads an index or a slice.
func (p *parser) subscript(of expr) expr {
	var bounds [3]expr
	colons := 0
	for !p.is("]") && colons < 3 {
		if p.skip(":") {
			colons++
			continue
		}
		if bounds[colons] != nil {
			fail("line %d: expected ']', got %q", p.peek().line, p.peek().text)
		}
		bounds[colons] = p.expression()
	}
	if colons > 0 {
		return slice{of, bounds[0], bounds[1], bounds[2]}
	}
	if bounds[0] == nil {
		fail("line %d: Expected subscript expression", p.peek().line)
	}
	return item{of, bounds[0]}
}

// arguments reads what stands in the brackets of a call.
func (p *parser) arguments() (a arguments) {
	p.want("(")
	for first := true; !p.skip(")"); first = false {
		if !first {
			p.want(",")
			if p.skip(")") {
				break
			}
		}
		switch {
		case p.skip("**"):
			a.moreNamed = p.expression()
		case p.skip("*"):
			a.more = p.expression()
		case p.is(kindName) && p.tokens[p.at+1].kind == "=":
			a.names = append(a.names, p.next().text)
			p.next()
			a.named = append(a.named, p.expression())
		default:
			if len(a.names) > 0 {
				fail("line %d: invalid syntax for function call expression", p.peek().line)
			}
			a.list = append(a.list, p.expression())
		}
	}
	return a
}

// filtered reads filters, tests, and calls of what they give.
func (p *parser) filtered(e expr) expr {
	for {
		switch {
		case p.skip("|"):
			e = p.filter(e, p.want(kindName).text)
		case p.skipName("is"):
			e = p.test(e)
		case p.is("("):
			e = call{e, p.arguments()}
		default:
			return e
		}
	}
}

// filter reads a filter's arguments.
func (p *parser) filter(e expr, name string) expr {
	b, ok := filters[name]
	if !ok {
		fail("line %d: No filter named '%s'.", p.peek().line, name)
	}
	f := filtered{name, b, e, arguments{}}
	if p.is("(") {
		f.arguments = p.arguments()
	}
	return f
}

// filters reads a chain of filters, the first of which is named already.
func (p *parser) filters(e expr, name string) expr {
	e = p.filter(e, name)
	for p.skip("|") {
		e = p.filter(e, p.want(kindName).text)
	}
	return e
}

// test reads what stands behind "is".
func (p *parser) test(e expr) expr {
	not := p.skipName("not")
	t := p.want(kindName)
	b, ok := tests[t.text]
	if !ok {
		fail("line %d: No test named '%s'.", t.line, t.text)
	}
	r := tested{t.text, b, e, arguments{}, not}
	switch kind := p.peek().kind; {
	case kind == "(":
		r.arguments = p.arguments()
	case kind == kindName && !p.isName("else", "or", "and", "is", "if", "not", "in") || kind == kindString || kind == kindNumber || kind == "[" || kind == "{":
		r.arguments.list = []expr{p.postfix(p.primary())}
	}
	return r
}
