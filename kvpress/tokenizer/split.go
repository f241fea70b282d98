package tokenizer

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A cut hands out the pieces of a text; first tells whether a piece begins the whole text.
type cut func(text string, first bool, f func(piece string, first bool))

// everyPiece cuts a text into what next finds at its beginning, again and again.
func everyPiece(next func(text string) int) cut {
	return func(text string, first bool, f func(piece string, first bool)) {
		for text != "" {
			n := next(text)
			f(text[:n], first)
			text, first = text[n:], false
		}
	}
}

// cutDigits makes every digit a piece of its own.
func cutDigits(text string, first bool, f func(piece string, first bool)) {
	start := 0
	for i, r := range text {
		if kind(r)&number == 0 {
			continue
		}
		if start < i {
			f(text[start:i], first && start == 0)
		}
		start = i + utf8.RuneLen(r)
		f(text[i:start], first && i == 0)
	}
	if start < len(text) {
		f(text[start:], first && start == 0)
	}
}

// prefixSpace lets every text begin with a blank.
func prefixSpace(text string, first bool, f func(piece string, first bool)) {
	if !strings.HasPrefix(text, " ") {
		text = " " + text
	}
	f(text, first)
}

// cutAt cuts at every place where a text occurs; behavior says where the occurrence itself goes.
func cutAt(at, behavior string) cut {
	return func(text string, first bool, f func(piece string, first bool)) {
		start := 0
		piece := func(end int) {
			if start < end {
				f(text[start:end], first && start == 0)
			}
			start = end
		}
		for from := 0; ; {
			i := strings.Index(text[from:], at)
			if i < 0 {
				break
			}
			i += from
			from = i + len(at)
			switch behavior {
			case "Isolated":
				piece(i)
				piece(from)
			case "Removed":
				piece(i)
				start = from
			case "MergedWithPrevious":
				piece(from)
			case "MergedWithNext":
				piece(i)
			}
		}
		piece(len(text))
	}
}

// Kinds of letters, as bits.
const (
	letter = 1 << iota
	number
	blank
	upper // upper and title case, and letters without case, and marks: what o200k begins words with
	lower // lower case, and letters without case, and marks
	mark
)

// kinds are those of the runes below 65536.
var kinds = sync.OnceValue(func() *[1 << 16]byte {
	var table [1 << 16]byte
	for r := range table {
		table[r] = kindOf(rune(r))
	}
	return &table
})

// kind finds the kinds of a letter.
func kind(r rune) byte {
	if r < 1<<16 {
		return kinds()[r]
	}
	return kindOf(r)
}

func kindOf(r rune) byte {
	var k byte
	switch {
	case r == utf8.RuneError: // also what is no letter at all
		return 0
	case unicode.IsLetter(r):
		k = letter
		if !unicode.Is(unicode.Ll, r) {
			k |= upper
		}
		if !unicode.Is(unicode.Lu, r) && !unicode.Is(unicode.Lt, r) {
			k |= lower
		}
	case unicode.IsNumber(r):
		k = number
	case unicode.IsSpace(r):
		k = blank
	case unicode.IsMark(r):
		k = mark | upper | lower
	}
	return k
}

// first decodes the first letter of a text.
func first(text string) (r rune, size int, k byte) {
	if text == "" {
		return utf8.RuneError, 0, 0
	}
	r, size = rune(text[0]), 1
	if r >= utf8.RuneSelf {
		r, size = utf8.DecodeRuneInString(text)
	}
	return r, size, kind(r)
}

// run is the length of the letters of some kinds that a text begins with, at most so many of them.
func run(text string, kinds byte, most int) int {
	n := 0
	for n < len(text) && most > 0 {
		_, size, k := first(text[n:])
		if k&kinds == 0 {
			break
		}
		n += size
		most--
	}
	return n
}

// symbols is the length of what is neither letter, number nor blank at the beginning of a text.
func symbols(text string) int {
	n := 0
	for n < len(text) {
		_, size, k := first(text[n:])
		if k&(letter|number|blank) != 0 {
			break
		}
		n += size
	}
	return n
}

// contraction is the length of 's, 't, 're, 've, 'm, 'll or 'd at the beginning of a text; folded finds them in any case.
func contraction(text string, folded bool) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	for _, c := range []string{"s", "t", "re", "ve", "m", "ll", "d"} {
		n := 1 + len(c)
		if len(text) >= n && (text[1:n] == c || folded && strings.EqualFold(text[1:n], c)) {
			return n
		}
	}
	if folded && strings.HasPrefix(text[1:], "ſ") { // the long s is an s, too
		return 1 + len("ſ")
	}
	return 0
}

// blanks is the length of the blanks that make one piece at the beginning of a text: all, up to the last line break
// among them if lines says so, or all but the last one, which belongs to what follows.
func blanks(text string, lines bool) int {
	n := run(text, blank, len(text))
	if lines {
		if i := strings.LastIndexAny(text[:n], "\r\n"); i >= 0 {
			return i + 1
		}
	}
	if n < len(text) {
		if _, last := utf8.DecodeLastRuneInString(text[:n]); n > last {
			return n - last
		}
	}
	return n
}

// patterns are the regular expressions that are known, and what finds the length of their match at the beginning of a
// text. Every one matches any text.
var patterns = map[string]func(text string) int{
	`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`: gpt2Piece,

	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: func(text string) int { return cl100kPiece(text, 3) },
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:      func(text string) int { return cl100kPiece(text, 1) },

	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
		`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
		`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`: o200kPiece,
}

// gpt2Piece is the length of the piece of GPT-2 that a text begins with.
func gpt2Piece(text string) int {
	if n := contraction(text, false); n > 0 {
		return n
	}
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	if rest := text[start:]; rest != "" {
		switch _, _, k := first(rest); {
		case k&(letter|number) != 0:
			return start + run(rest, k&(letter|number), len(rest))
		case k&blank == 0:
			return start + symbols(rest)
		}
	}
	return blanks(text, false)
}

// cl100kPiece is the length of the piece of cl100k (Llama-3, Qwen2) that a text begins with; a number has at most so
// many digits.
func cl100kPiece(text string, digits int) int {
	if n := contraction(text, true); n > 0 {
		return n
	}
	r, size, k := first(text)
	start := 0
	if k&(letter|number) == 0 && r != '\r' && r != '\n' {
		start = size
	}
	if n := run(text[start:], letter, len(text)); n > 0 {
		return start + n
	}
	return otherPiece(text, digits, "\r\n")
}

// otherPiece is the end of the patterns of cl100k and o200k: numbers, symbols with some letters after them, blanks.
func otherPiece(text string, digits int, after string) int {
	if n := run(text, number, digits); n > 0 {
		return n
	}
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	if n := symbols(text[start:]); n > 0 {
		n += start
		for n < len(text) && strings.IndexByte(after, text[n]) >= 0 {
			n++
		}
		return n
	}
	return blanks(text, true)
}

// o200kPiece is the length of the piece of o200k that a text begins with.
func o200kPiece(text string) int {
	r, size, k := first(text)
	starts := []int{0}
	if k&(letter|number) == 0 && r != '\r' && r != '\n' { // one letter of another kind may come before a word
		starts = []int{size, 0}
	}
	for _, word := range []func(text string) int{lowerWord, upperWord} {
		for _, start := range starts {
			if n := word(text[start:]); n > 0 {
				n += start
				return n + contraction(text[n:], true)
			}
		}
	}
	return otherPiece(text, 3, "\r\n/")
}

// lowerWord is the length of a word that ends in lower case: upper* lower+, where letters without case are both.
func lowerWord(text string) int {
	n, caseless := 0, 0 // caseless is the end of the last letter that is both
	for n < len(text) {
		_, size, k := first(text[n:])
		if k&upper == 0 {
			break
		}
		n += size
		if k&lower != 0 {
			caseless = n
		}
	}
	if small := run(text[n:], lower, len(text)); small > 0 {
		return n + small
	}
	return caseless
}

// upperWord is the length of a word that begins in upper case: upper+ lower*.
func upperWord(text string) int {
	n := run(text, upper, len(text))
	if n == 0 {
		return 0
	}
	return n + run(text[n:], lower, len(text))
}
