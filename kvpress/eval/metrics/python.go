package metrics

import (
	"math/big"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// The originals are Python, whose strings have blanks, cases, words and digits of their own.

// blank is str.isspace: Unicode's white space and the four separators of ASCII.
func blank(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func strip(s string) string     { return strings.TrimFunc(s, blank) }
func stripLeft(s string) string { return strings.TrimLeftFunc(s, blank) }
func fields(s string) []string  { return strings.FieldsFunc(s, blank) }

// lower and upper follow Unicode in full: the final sigma, ß to SS.
func lower(s string) string { return cases.Lower(language.Und).String(s) }
func upper(s string) string { return cases.Upper(language.Und).String(s) }

// inWord is \w: a mark above a letter is none.
func inWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

// blanks replaces strings by a blank, all of the first, then all of the second.
func blanks(s string, each ...string) string {
	for _, c := range each {
		s = strings.ReplaceAll(s, c, " ")
	}
	return s
}

// squeeze makes one blank of several.
func squeeze(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

// digits are the runs of \d, digits of all scripts as they stand.
func digits(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsDigit(r) })
}

// asciiDigits are the runs of [0-9].
func asciiDigits(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// latin writes digits of any script as 0 to 9.
func latin(s string) string {
	return strings.Map(func(r rune) rune {
		if r > '9' && unicode.IsDigit(r) {
			for _, t := range unicode.Nd.R16 { // digits come in tens, from zero
				if rune(t.Lo) <= r && r <= rune(t.Hi) {
					return '0' + (r-rune(t.Lo))%10
				}
			}
			for _, t := range unicode.Nd.R32 {
				if rune(t.Lo) <= r && r <= rune(t.Hi) {
					return '0' + (r-rune(t.Lo))%10
				}
			}
		}
		return r
	}, s)
}

// integer is int(s): a sign, digits of any script, single underscores between them.
func integer(s string) (*big.Int, bool) {
	s = latin(strip(s))
	unsigned := s
	if s != "" && (s[0] == '+' || s[0] == '-') {
		unsigned = s[1:]
	}
	for _, part := range strings.Split(unsigned, "_") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return nil, false
		}
	}
	return new(big.Int).SetString(strings.ReplaceAll(s, "_", ""), 10)
}

// standing is where single capitals from A to the last stand as words of their own, in code points.
func standing(text []rune, last rune) (at []int) {
	for i, r := range text {
		if r >= 'A' && r <= last && (i == 0 || !inWord(text[i-1])) && (i+1 == len(text) || !inWord(text[i+1])) {
			at = append(at, i)
		}
	}
	return at
}

// lastStanding is the last of the standing capitals of the first line that has one, or "".
func lastStanding(s string, last rune) string {
	text := []rune(s)
	at := standing(text, last)
	for i, p := range at {
		if i+1 == len(at) || slices.Contains(text[p:at[i+1]], '\n') {
			return string(text[p])
		}
	}
	return ""
}
