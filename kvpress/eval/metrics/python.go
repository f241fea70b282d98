package metrics

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// The originals are Python, whose strings have blanks, cases and digits of their own.

// blank is Python's str.isspace: Unicode's white space and the four separators of ASCII.
func blank(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func strip(s string) string { return strings.TrimFunc(s, blank) }

// lower follows Unicode in full, the final sigma too.
func lower(s string) string { return cases.Lower(language.Und).String(s) }
