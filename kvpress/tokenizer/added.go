package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An addedToken is a text that becomes one token wherever it stands.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no letter touches it
	LStrip     bool   `json:"lstrip"`      // takes the blanks before it
	RStrip     bool   `json:"rstrip"`      // and those after it
	Normalized bool   `json:"normalized"`  // looked for in the normalised text
	Special    bool   `json:"special"`
}

// finder finds added tokens: the earliest in a text, and of those the longest.
type finder struct {
	tokens []addedToken
	root   trie
}

// A trie leads from byte to byte to the tokens that end there.
type trie struct {
	next  map[byte]*trie
	token int // 1 more than its place in the list; 0 for none
}

func (f *finder) add(text string, a addedToken) {
	if text == "" {
		return
	}
	f.tokens = append(f.tokens, a)
	at := &f.root
	for i := range len(text) {
		if at.next == nil {
			at.next = map[byte]*trie{}
		}
		if at.next[text[i]] == nil {
			at.next[text[i]] = &trie{}
		}
		at = at.next[text[i]]
	}
	at.token = len(f.tokens)
}

// longest is the longest token that a text begins with.
func (f *finder) longest(text string) (a *addedToken, end int) {
	at := &f.root
	for i := 0; i < len(text); i++ {
		if at = at.next[text[i]]; at == nil {
			break
		}
		if at.token > 0 {
			a, end = &f.tokens[at.token-1], i+1
		}
	}
	return a, end
}

// each hands out a text in order: added tokens, and what lies between them.
func (f *finder) each(text string, between func(from, to int), token func(id int)) {
	done := 0
	if len(f.tokens) > 0 {
		for i := 0; i < len(text); {
			if f.root.next[text[i]] == nil {
				i++
				continue
			}
			a, n := f.longest(text[i:])
			if a == nil {
				i++
				continue
			}
			from, to := i, i+n
			i = to
			if a.SingleWord && (wordBefore(text[:from]) || wordAfter(text[to:])) {
				continue
			}
			if a.LStrip {
				from = len(strings.TrimRightFunc(text[:from], unicode.IsSpace))
			}
			if a.RStrip {
				to = len(text) - len(strings.TrimLeftFunc(text[to:], unicode.IsSpace))
			}
			if from = max(from, done); from > done {
				between(done, from)
			}
			token(a.ID)
			done = max(done, to)
		}
	}
	if done < len(text) {
		between(done, len(text))
	}
}

func wordBefore(text string) bool {
	r, _ := utf8.DecodeLastRuneInString(text)
	return text != "" && inWord(r)
}

func wordAfter(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return text != "" && inWord(r)
}

// inWord tells what regular expressions call a word character.
func inWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.In(r, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
