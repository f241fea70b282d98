package metrics

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Dict reads a dictionary as Python writes it: quoted strings, numbers, True, False, None, and lists, tuples and
// dictionaries of them, with blanks around. Nothing is evaluated: a name, a call, an operator, a prefix of a string is an
// error. Of the same key twice the last one stays.
func Dict(source string) (map[Literal]Literal, error) {
	p := &parser{rest: source}
	p.space()
	if !strings.HasPrefix(p.rest, "{") {
		return nil, errors.New("it does not begin with {")
	}
	d, err := p.dict()
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", len(source)-len(p.rest), err)
	}
	if p.space(); p.rest != "" {
		return nil, fmt.Errorf("at byte %d: something follows the dictionary", len(source)-len(p.rest))
	}
	return d, nil
}

// Dicts reads a list of dictionaries.
func Dicts(source string) (all []map[Literal]Literal, err error) {
	p := &parser{rest: source}
	if p.space(); !strings.HasPrefix(p.rest, "[") {
		return nil, errors.New("it does not begin with [")
	}
	_, err = p.items("]", func() error {
		if !strings.HasPrefix(p.rest, "{") {
			return errors.New("an item is no dictionary")
		}
		d, err := p.dict()
		all = append(all, d)
		return err
	})
	if p.space(); err == nil && p.rest != "" {
		err = errors.New("something follows the list")
	}
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", len(source)-len(p.rest), err)
	}
	return all, nil
}

// A Literal is a value of Python, spelled so that equal ones are spelled alike: strings quoted as in Go, 1.0 and True as 1.
type Literal string

// Text is the text of a string; other literals have none.
func (l Literal) Text() (string, bool) {
	if !strings.HasPrefix(string(l), `"`) {
		return "", false
	}
	text, err := strconv.Unquote(string(l))
	return text, err == nil
}

// deepest nesting that is read.
const deepest = 90

type parser struct {
	rest  string
	depth int
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n\f") }

func (p *parser) take(token string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, token)
	return ok
}

// items reads what stands between brackets, and says whether there is a comma.
func (p *parser) items(closing string, item func() error) (comma bool, err error) {
	if p.depth++; p.depth > deepest {
		return false, errors.New("nested too deeply")
	}
	defer func() { p.depth-- }()
	p.rest = p.rest[1:]
	for n := 0; ; n++ {
		if p.space(); p.take(closing) {
			return comma, nil
		}
		if n > 0 && !comma {
			return false, fmt.Errorf("a comma or %s is missing", closing)
		}
		if err := item(); err != nil {
			return false, err
		}
		p.space()
		comma = p.take(",")
		if more := strings.HasPrefix(p.rest, closing); !comma && more {
			p.take(closing)
			return n > 0, nil
		}
	}
}

func (p *parser) dict() (map[Literal]Literal, error) {
	d := map[Literal]Literal{}
	_, err := p.items("}", func() error {
		key, err := p.value()
		if err != nil {
			return err
		}
		if strings.ContainsAny(string(key[:1]), "[{") {
			return errors.New("a key that is a list or a dictionary")
		}
		if p.space(); !p.take(":") {
			return errors.New("a colon is missing")
		}
		p.space()
		d[key], err = p.value()
		return err
	})
	return d, err
}

// value reads one literal.
func (p *parser) value() (Literal, error) {
	if p.rest == "" {
		return "", errors.New("it ends too early")
	}
	var parts []string
	part := func() error {
		v, err := p.value()
		parts = append(parts, string(v))
		return err
	}
	switch p.rest[0] {
	case '{':
		d, err := p.dict()
		for k, v := range d {
			parts = append(parts, string(k+": "+v))
		}
		slices.Sort(parts)
		return Literal("{" + strings.Join(parts, ", ") + "}"), err
	case '[':
		_, err := p.items("]", part)
		return Literal("[" + strings.Join(parts, ", ") + "]"), err
	case '(':
		comma, err := p.items(")", part)
		if len(parts) == 1 && !comma {
			return Literal(parts[0]), err // brackets alone make no tuple
		}
		return Literal("(" + strings.Join(parts, ", ") + ")"), err
	case '"', '\'':
		text, err := p.text()
		return Literal(strconv.Quote(text)), err
	}
	for word, l := range map[string]Literal{"True": "1", "False": "0", "None": "None"} {
		if after, ok := strings.CutPrefix(p.rest, word); ok && !startsWord(after) {
			p.rest = after
			return l, nil
		}
	}
	return p.number()
}

func startsWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && inWord(r)
}

// number reads a whole number or a decimal, of any size.
func (p *parser) number() (Literal, error) {
	end := 0
	for end < len(p.rest) {
		c := p.rest[end]
		signed := (c == '-' || c == '+') && (end == 0 || p.rest[end-1]|0x20 == 'e')
		if !signed && (c < '0' || c > '9') && c != '.' && c|0x20 != 'e' {
			break
		}
		end++
	}
	text := p.rest[:end]
	digits := strings.TrimLeft(text, "+-")
	if !strings.ContainsAny(digits, "0123456789") || digits[0]|0x20 == 'e' || startsWord(p.rest[end:]) {
		return "", errors.New("it is no string, number, constant, list, tuple or dictionary")
	}
	if i, ok := new(big.Int).SetString(text, 10); ok && (digits[0] != '0' || i.Sign() == 0) && end < 4300 {
		p.rest = p.rest[end:]
		return Literal(i.String()), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || !strings.ContainsAny(text, ".eE") {
		return "", fmt.Errorf("%.20q is no number", text)
	}
	p.rest = p.rest[end:]
	if f > -1e18 && f < 1e18 && f == float64(int64(f)) {
		return Literal(strconv.FormatInt(int64(f), 10)), nil
	}
	return Literal(strconv.FormatFloat(f, 'g', -1, 64)), nil
}

// escapes of one letter.
var escapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\\': "\\", '\'': "'", '"': `"`, '\n': ""}

// text reads a string in single or double quotes, on one line.
func (p *parser) text() (string, error) {
	var b strings.Builder
	quote := p.rest[:1]
	p.rest = p.rest[1:]
	if strings.HasPrefix(p.rest, quote+quote) {
		return "", errors.New("strings in three quotes are not read")
	}
	for {
		switch end := strings.IndexAny(p.rest, quote+"\\\r\n\x00"); {
		case end < 0 || strings.IndexByte("\r\n\x00", p.rest[end]) >= 0:
			return "", errors.New("a string does not end")
		case p.rest[end] == '\\':
			b.WriteString(p.rest[:end])
			p.rest = p.rest[end+1:]
			if err := p.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteString(p.rest[:end])
			p.rest = p.rest[end+1:]
			return b.String(), nil
		}
	}
}

// escape reads what follows a backslash. As in Python, a letter that means nothing keeps its backslash.
func (p *parser) escape(b *strings.Builder) error {
	if p.rest == "" {
		return errors.New("a string does not end")
	}
	c := p.rest[0]
	if s, ok := escapes[c]; ok {
		b.WriteString(s)
		p.rest = p.rest[1:]
		return nil
	}
	begin, end, base := 1, map[byte]int{'x': 3, 'u': 5, 'U': 9}[c], 16
	if c >= '0' && c <= '7' {
		begin, base = 0, 8
		for end = 1; end < 3 && end < len(p.rest) && p.rest[end] >= '0' && p.rest[end] <= '7'; end++ {
		}
	}
	switch {
	case c == 'N' || end > len(p.rest):
		return errors.New("an escape that is not read")
	case end == 0:
		b.WriteByte('\\')
		return nil
	}
	n, err := strconv.ParseUint(p.rest[begin:end], base, 32)
	if err != nil || n > utf8.MaxRune {
		return fmt.Errorf("%q is no escape", p.rest[:end])
	}
	b.WriteRune(rune(n))
	p.rest = p.rest[end:]
	return nil
}
