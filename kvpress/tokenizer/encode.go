package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// runeOf shows every byte as a visible letter, byteOf goes back: byte-level vocabularies are written so.
var (
	runeOf [256]rune
	byteOf = map[rune]byte{}
)

func init() {
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		visible := r >= '!' && r <= '~' || r >= '¡' && r <= '¬' || r >= '®' && r <= 'ÿ'
		if !visible {
			r = next
			next++
		}
		runeOf[b], byteOf[r] = r, byte(b)
	}
}

// Encode turns text into token numbers. Nothing is added; the text of an added token, such as <|im_start|>, becomes
// that token.
func (t *Tokenizer) Encode(text string) []int {
	var ids []int
	token := func(id int) { ids = append(ids, id) }
	word := func(piece string, _ bool) { ids = t.word(ids, piece) }
	t.added.each(text, func(from, to int) {
		piece := text[from:to]
		for _, normalise := range t.normalizer {
			piece = normalise(piece)
		}
		t.addedAfter.each(piece, func(a, b int) { t.cut(0, piece[a:b], from+a == 0, word) }, token)
	}, token)
	return ids
}

// EncodeSpecial is Encode, and adds what stands around every text: for many models the token that begins it.
func (t *Tokenizer) EncodeSpecial(text string) []int {
	return slices.Concat(t.before, t.Encode(text), t.after)
}

// cut hands out the words of a piece of text, cut by all steps from one on.
func (t *Tokenizer) cut(step int, piece string, first bool, f func(piece string, first bool)) {
	if step == len(t.cuts) {
		f(piece, first)
		return
	}
	t.cuts[step](piece, first, func(piece string, first bool) { t.cut(step+1, piece, first, f) })
}

// longestWord is the length of the words that are remembered, in bytes.
const longestWord = 64

// word appends the tokens of a word. A long one is taken apart where no merge can join, which changes nothing.
func (t *Tokenizer) word(ids []int, word string) []int {
	if t.ignoreMerges {
		if id, ok := t.vocabulary[t.spelled(word)]; ok {
			return append(ids, id)
		}
	}
	if t.joins == nil {
		return t.remembered(ids, word)
	}
	start := 0
	last, size := utf8.DecodeRuneInString(word)
	for i := size; i < len(word); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(word[i:])
		if !t.joins[[2]rune{last, r}] {
			ids = t.remembered(ids, word[start:i])
			start = i
		}
		last = r
	}
	return t.remembered(ids, word[start:])
}

// spelled is a word in the letters of the vocabulary.
func (t *Tokenizer) spelled(word string) string {
	if !t.bytes {
		return word
	}
	var s strings.Builder
	for i := range len(word) {
		s.WriteRune(runeOf[word[i]])
	}
	return s.String()
}

// remembered appends the tokens of a word, which are found once.
func (t *Tokenizer) remembered(ids []int, word string) []int {
	if len(word) > longestWord {
		return append(ids, t.merged(word)...)
	}
	t.mu.Lock()
	known, ok := t.words[word]
	t.mu.Unlock()
	if !ok {
		known = t.merged(word)
		t.mu.Lock()
		if len(t.words) >= mostWords {
			clear(t.words)
		}
		t.words[strings.Clone(word)] = known
		t.mu.Unlock()
	}
	return append(ids, known...)
}

// A symbol is a token in the making, in a list of its neighbours.
type symbol struct {
	id         int
	prev, next int // -1 at the ends
	gone       bool
}

// letters are the first symbols of a word: its bytes or letters, byte tokens for letters without a token, or the
// unknown token; what has none of these is dropped.
func (t *Tokenizer) letters(word string) []symbol {
	symbols := make([]symbol, 0, len(word))
	add := func(id int) {
		symbols = append(symbols, symbol{id: id, prev: len(symbols) - 1, next: len(symbols) + 1})
	}
	unknown := false // an unknown token waits, for more that is unknown to join it
	flush := func() {
		if unknown {
			add(t.unknown)
		}
		unknown = false
	}
	for i, size := 0, 1; i < len(word); i += size {
		id, ok := t.byteIDs[word[i]], true
		if !t.bytes {
			_, size = utf8.DecodeRuneInString(word[i:])
			id, ok = t.vocabulary[word[i:i+size]]
		} else if id < 0 {
			ok = false
		}
		switch {
		case ok:
			flush()
			add(id)
		case t.fallback:
			for _, b := range []byte(word[i : i+size]) {
				add(t.byteIDs[b])
			}
		case t.unknown >= 0:
			if !t.fuseUnknown {
				flush()
			}
			unknown = true
		}
	}
	flush()
	if len(symbols) > 0 {
		symbols[len(symbols)-1].next = -1
	}
	return symbols
}

// merged applies byte-pair merges to a word, lowest rank first, leftmost first among equals.
func (t *Tokenizer) merged(word string) []int {
	symbols := t.letters(word)
	if len(symbols) == 0 {
		return nil
	}
	var queue candidates
	consider := func(i int) {
		if i < 0 || symbols[i].next < 0 {
			return
		}
		if m, ok := t.ranks[pair{symbols[i].id, symbols[symbols[i].next].id}]; ok {
			queue.push(candidate{m.rank, i, m.to})
		}
	}
	for i := range symbols {
		consider(i)
	}
	for len(queue) > 0 {
		c := queue.pop()
		s := &symbols[c.at]
		if s.gone || s.next < 0 {
			continue
		}
		next := &symbols[s.next]
		// Neighbours that have changed since still merge if they make the same token.
		if m, ok := t.ranks[pair{s.id, next.id}]; !ok || m.to != c.to {
			continue
		}
		s.id, s.next, next.gone = c.to, next.next, true
		if s.next >= 0 {
			symbols[s.next].prev = c.at
		}
		consider(s.prev)
		consider(c.at)
	}
	ids := make([]int, 0, 8)
	for i := 0; i >= 0; i = symbols[i].next {
		ids = append(ids, symbols[i].id)
	}
	return ids
}

// A candidate is a pair that could merge.
type candidate struct{ rank, at, to int }

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}

// candidates are a heap: no candidate comes before the one at half its place. It is written out, for container/heap puts
// every candidate into an interface, which takes longer than all the rest.
type candidates []candidate

func (q *candidates) push(c candidate) {
	h := append(*q, c)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !c.before(h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = c
	*q = h
}

func (q *candidates) pop() candidate {
	h := *q
	top, c := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1].before(h[down]) {
			down++
		}
		if !h[down].before(c) {
			break
		}
		h[i] = h[down]
		i = down
	}
	h[i] = c
	return top
}
