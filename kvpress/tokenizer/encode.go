package tokenizer

import (
	"container/heap"
	"strings"
	"unicode"
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
	ids, _ := t.EncodeOffsets(text)
	return ids
}

// EncodeOffsets is Encode, and says for every token where in the text its bytes are, from and up to.
func (t *Tokenizer) EncodeOffsets(text string) (ids []int, offsets [][2]int) {
	at := 0
	for at < len(text) {
		start, a := t.nextAdded(text, at)
		t.split.each(text[at:start], func(from, to int) {
			t.word(text[at+from:at+to], func(id, first, last int) {
				ids = append(ids, id)
				offsets = append(offsets, [2]int{at + from + first, at + from + last})
			})
		})
		if a == nil {
			break
		}
		ids = append(ids, a.ID)
		offsets = append(offsets, [2]int{start, start + len(a.Content)})
		at = start + len(a.Content)
	}
	return ids, offsets
}

// nextAdded finds the next added token in the text: the earliest, and the longest among those.
func (t *Tokenizer) nextAdded(text string, at int) (start int, a *addedToken) {
	start = len(text)
	for i := range t.added {
		if j := strings.Index(text[at:min(len(text), start+len(t.added[i].Content)-1)], t.added[i].Content); j >= 0 && at+j < start {
			start, a = at+j, &t.added[i]
		}
	}
	return start, a
}

// word gives the tokens of one word to emit, with the bytes of the word that each covers.
func (t *Tokenizer) word(word string, emit func(id, from, to int)) {
	t.mu.Lock()
	ids, ok := t.words[word]
	t.mu.Unlock()
	if !ok {
		ids = t.merged(word)
		t.mu.Lock()
		if len(t.words) >= mostWords {
			clear(t.words)
		}
		if len(word) <= 64 {
			t.words[strings.Clone(word)] = ids
		}
		t.mu.Unlock()
	}
	at := 0
	for _, id := range ids {
		n := len(t.bytes(id))
		emit(id, at, at+n)
		at += n
	}
}

// A symbol is a token in the making, in a list of its neighbours.
type symbol struct {
	id         int
	prev, next int // -1 at the ends
	version    int // grows with every change, so that old candidates are known
}

// A candidate is a pair that could merge.
type candidate struct {
	rank, at    int
	left, right int // versions
	to          int
}

type candidates []candidate

func (c candidates) Len() int { return len(c) }
func (c candidates) Less(i, j int) bool {
	return c[i].rank < c[j].rank || c[i].rank == c[j].rank && c[i].at < c[j].at
}
func (c candidates) Swap(i, j int)       { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x interface{}) { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() interface{} {
	last := len(*c) - 1
	x := (*c)[last]
	*c = (*c)[:last]
	return x
}

// merged applies byte-pair merges to a word, lowest rank first. Bytes without a token are dropped.
func (t *Tokenizer) merged(word string) []int {
	var symbols []symbol
	for i := range len(word) {
		if id, ok := t.vocabulary[string(runeOf[word[i]])]; ok {
			symbols = append(symbols, symbol{id: id, prev: len(symbols) - 1, next: len(symbols) + 1})
		}
	}
	if len(symbols) == 0 {
		return nil
	}
	symbols[len(symbols)-1].next = -1
	var queue candidates
	consider := func(i int) {
		if i < 0 || symbols[i].next < 0 {
			return
		}
		j := symbols[i].next
		if m, ok := t.ranks[pair{symbols[i].id, symbols[j].id}]; ok {
			heap.Push(&queue, candidate{m.rank, i, symbols[i].version, symbols[j].version, m.to})
		}
	}
	for i := range symbols {
		consider(i)
	}
	gone := make([]bool, len(symbols))
	for len(queue) > 0 {
		c := heap.Pop(&queue).(candidate)
		j := symbols[c.at].next
		if gone[c.at] || j < 0 || symbols[c.at].version != c.left || symbols[j].version != c.right {
			continue
		}
		s := &symbols[c.at]
		s.id, s.next = c.to, symbols[j].next
		s.version++
		gone[j] = true
		symbols[j].version++
		if s.next >= 0 {
			symbols[s.next].prev = c.at
		}
		consider(s.prev)
		consider(c.at)
	}
	var ids []int
	for i := 0; i >= 0; i = symbols[i].next {
		ids = append(ids, symbols[i].id)
	}
	return ids
}

// A splitter cuts a text into words, which merges never cross.
type splitter struct {
	digits bool // every digit stands alone
	words  bool // GPT-2's rules for words; else the whole text is one word
}

// each calls f with the places of the words, in order.
func (s splitter) each(text string, f func(from, to int)) {
	if !s.digits {
		s.pieces(text, 0, f)
		return
	}
	start := 0
	for i, r := range text {
		if unicode.IsNumber(r) {
			s.pieces(text[start:i], start, f)
			start = i + utf8.RuneLen(r)
			s.pieces(text[i:start], i, f)
		}
	}
	s.pieces(text[start:], start, f)
}

// pieces cuts text, which begins at an offset, by GPT-2's pattern:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func (s splitter) pieces(text string, offset int, f func(from, to int)) {
	if !s.words {
		if text != "" {
			f(offset, offset+len(text))
		}
		return
	}
	for at := 0; at < len(text); {
		n := nextPiece(text[at:])
		f(offset+at, offset+at+n)
		at += n
	}
}

// nextPiece is the length of the piece that a text begins with.
func nextPiece(text string) int {
	for _, c := range []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if strings.HasPrefix(text, c) {
			return len(c)
		}
	}
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	if start < len(text) {
		if kind := kindOf(text[start:]); kind != blank {
			return start + run(text[start:], kind)
		}
	}
	n := run(text, blank)
	if n < len(text) { // blanks before a word: the last one may belong to the word
		_, last := utf8.DecodeLastRuneInString(text[:n])
		if n > last {
			return n - last
		}
	}
	return n
}

// Kinds of letters.
const (
	letter = iota
	number
	blank
	other
)

func kindOf(text string) int {
	r, n := utf8.DecodeRuneInString(text)
	switch {
	case r == utf8.RuneError && n == 1:
		return other
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return blank
	}
	return other
}

// run is the length of the letters of one kind that a text begins with.
func run(text string, kind int) int {
	n := 0
	for n < len(text) && kindOf(text[n:]) == kind {
		_, size := utf8.DecodeRuneInString(text[n:])
		n += size
	}
	return n
}
