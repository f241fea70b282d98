package jinja

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of tokens. Operators have themselves as kind.
const (
	kindData   = "data"
	kindName   = "name"
	kindString = "string"
	kindNumber = "number"
	kindEnd    = "end"
)

// A token is a piece of a template: text to write, a mark of a tag, or what stands between marks.
type token struct {
	kind  string
	text  string
	value any // of strings and numbers
	line  int
}

var (
	rawBegin  = regexp.MustCompile(`^\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})`)
	rawEnd    = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)`)
	blockEnd  = regexp.MustCompile(`^(?:\+%\}|-%\}\s*|%\}\n?)`)
	outputEnd = regexp.MustCompile(`^(?:-\}\}\s*|\}\})`)
	commentTo = regexp.MustCompile(`\+#\}|-#\}\s*|#\}\n?`)
	wordText  = regexp.MustCompile(`^[\pL\pN\pM_]+`)
	floatText = regexp.MustCompile(`^[0-9](_?[0-9])*((\.[0-9](_?[0-9])*)?[eE][+-]?[0-9](_?[0-9])*|\.[0-9](_?[0-9])*)`)
	wholeText = regexp.MustCompile(`^(0[bB](_?[01])+|0[oO](_?[0-7])+|0[xX](_?[0-9a-fA-F])+|[1-9](_?[0-9])*|0(_?0)*)`)
	quotation = regexp.MustCompile(`(?s)^('([^'\\]*(\\.[^'\\]*)*)'|"([^"\\]*(\\.[^"\\]*)*)")`)
	operators = []string{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}
	closers   = map[string]string{"(": ")", "[": "]", "{": "}"}
	newlines  = strings.NewReplacer("\r\n", "\n", "\r", "\n")
	nothing   = regexp.MustCompile(`^\s*$`)
)

// A lexer takes a template apart by the rules of Jinja with trim_blocks and lstrip_blocks: the line break behind a block
// goes, and so do the blanks before a block that begins its line.
type lexer struct {
	rest      string
	tokens    []token
	line      int
	lineBegan bool // nothing stands before rest in its line
}

func lex(source string) []token {
	source = newlines.Replace(source)
	l := &lexer{rest: strings.TrimSuffix(source, "\n"), line: 1, lineBegan: true}
	for l.rest != "" {
		l.next()
	}
	l.add(kindEnd, "", nil)
	return l.tokens
}

func (l *lexer) add(kind, text string, value any) {
	l.tokens = append(l.tokens, token{kind, text, value, l.line})
}

// take moves behind the next n bytes.
func (l *lexer) take(n int) string {
	text := l.rest[:n]
	l.rest = l.rest[n:]
	l.line += strings.Count(text, "\n")
	if n > 0 {
		l.lineBegan = text[n-1] == '\n'
	}
	return text
}

// data adds text that is written as it is, up to a tag whose mark has a sign and is no output.
func (l *lexer) data(n int, sign string, output bool) {
	began := l.lineBegan
	text := l.take(n)
	switch {
	case sign == "-":
		text = strings.TrimRightFunc(text, unicode.IsSpace)
	case sign != "+" && !output:
		if i := strings.LastIndexByte(text, '\n') + 1; (i > 0 || began) && nothing.MatchString(text[i:]) {
			text = text[:i]
		}
	}
	if text != "" {
		l.add(kindData, text, nil)
	}
}

// next reads text, and the tag behind it.
func (l *lexer) next() {
	start := -1
	for i := 0; i+1 < len(l.rest); i++ {
		if l.rest[i] == '{' && strings.IndexByte("{%#", l.rest[i+1]) >= 0 {
			start = i
			break
		}
	}
	if start < 0 {
		l.data(len(l.rest), "+", true)
		return
	}
	mark := l.rest[start : start+2]
	sign := ""
	if more := l.rest[start+2:]; more != "" && (more[0] == '-' || more[0] == '+') {
		sign = more[:1]
	}
	l.data(start, sign, mark == "{{")
	if n := len(rawBegin.FindString(l.rest)); n > 0 {
		l.take(n)
		end := rawEnd.FindStringSubmatchIndex(l.rest)
		if end == nil {
			fail("line %d: Missing end of raw directive", l.line)
		}
		l.data(end[0], l.rest[end[2]:end[3]], false)
		l.take(end[1] - end[0])
		return
	}
	l.take(2 + len(sign))
	switch mark {
	case "{#":
		end := commentTo.FindStringIndex(l.rest)
		if end == nil {
			fail("line %d: Missing end of comment tag", l.line)
		}
		l.take(end[1])
	case "{{":
		l.add(mark, mark, nil)
		l.inside(outputEnd, "}}")
	default:
		l.add(mark, mark, nil)
		l.inside(blockEnd, "%}")
	}
}

// inside reads a tag up to its end.
func (l *lexer) inside(end *regexp.Regexp, mark string) {
	var open []string
	for l.rest != "" {
		if n := len(end.FindString(l.rest)); n > 0 && len(open) == 0 {
			l.add(mark, mark, nil)
			l.take(n)
			return
		}
		if r, _ := utf8.DecodeRuneInString(l.rest); unicode.IsSpace(r) {
			l.take(utf8.RuneLen(r))
			continue
		}
		if text := floatText.FindString(l.rest); text != "" {
			v, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
			if err != nil {
				fail("line %d: %s is no number", l.line, text)
			}
			l.add(kindNumber, l.take(len(text)), v)
			continue
		}
		if text := wholeText.FindString(l.rest); text != "" {
			v, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, 64)
			if err != nil {
				fail("line %d: the number %s is too large", l.line, text)
			}
			l.add(kindNumber, l.take(len(text)), int(v))
			continue
		}
		if text := wordText.FindString(l.rest); text != "" {
			l.add(kindName, l.take(len(text)), nil)
			continue
		}
		if text := quotation.FindString(l.rest); text != "" {
			l.add(kindString, text, unescaped(text[1:len(text)-1]))
			l.take(len(text))
			continue
		}
		l.operator(&open)
	}
	fail("line %d: unexpected end of template: a tag is not closed with %s", l.line, mark)
}

// operator reads an operator, and keeps track of brackets.
func (l *lexer) operator(open *[]string) {
	for _, op := range operators {
		if !strings.HasPrefix(l.rest, op) {
			continue
		}
		if closer, ok := closers[op]; ok {
			*open = append(*open, closer)
		} else if op == ")" || op == "]" || op == "}" {
			last := len(*open) - 1
			if last < 0 || (*open)[last] != op {
				fail("line %d: unexpected '%s'", l.line, op)
			}
			*open = (*open)[:last]
		}
		l.add(op, op, nil)
		l.take(len(op))
		return
	}
	r, _ := utf8.DecodeRuneInString(l.rest)
	fail("line %d: unexpected char %q", l.line, r)
}

var escapes = map[byte]string{'\n': "", '\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v"}

// unescaped reads a string's escapes as Python does: unknown ones stay as they are.
func unescaped(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		i++
		c := text[i]
		digits, base := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c], 16
		if c >= '0' && c <= '7' {
			i--
			base = 8
			for digits = 0; digits < 3 && i+1+digits < len(text) && text[i+1+digits] >= '0' && text[i+1+digits] <= '7'; digits++ {
			}
		}
		if digits > 0 {
			v, err := strconv.ParseUint(text[i+1:min(len(text), i+1+digits)], base, 32)
			if err != nil || i+digits >= len(text) || v > unicode.MaxRune {
				fail("a string has the escape \\%c, which is not whole", c)
			}
			out.WriteRune(rune(v))
			i += digits
			continue
		}
		if s, ok := escapes[c]; ok {
			out.WriteString(s)
		} else {
			out.WriteByte('\\')
			out.WriteByte(c)
		}
	}
	return out.String()
}
