package eval

import (
	_ "embed" // the words
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Nouns, adjectives and verbs, a line each: 960 words, none twice. (RULER draws from the lists of wonderwords.)
//
//go:embed words.txt
var wordLists string

var nouns, adjectives, verbs = func() (n, a, v []string) {
	lines := strings.Split(wordLists, "\n")
	return strings.Fields(lines[0]), strings.Fields(lines[1]), strings.Fields(lines[2])
}()

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// A fresh source never draws the same thing twice.
type fresh struct {
	r    *rand.Rand
	seen map[string]bool
}

func newFresh(r *rand.Rand) *fresh { return &fresh{r: r, seen: map[string]bool{}} }

func (f *fresh) draw(make func(r *rand.Rand) string) string {
	for {
		if s := make(f.r); !f.seen[s] {
			f.seen[s] = true
			return s
		}
	}
}

// kinds of things that RULER hides, and hides things under.
var kinds = map[string]func(r *rand.Rand) string{
	"numbers": func(r *rand.Rand) string { return strconv.Itoa(1e6 + r.IntN(9e6)) },
	"words":   func(r *rand.Rand) string { return pick(r, adjectives) + "-" + pick(r, nouns) },
	"uuids":   uuid4,
}

// uuid4 is a random UUID.
func uuid4(r *rand.Rand) string {
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// letters are n random letters, the first of them the smallest.
func letters(r *rand.Rand, first byte, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(r.IntN(26))
	}
	return string(b)
}

// distinctWords are n words, none twice: of the lists while these last, then two nouns in one.
func distinctWords(r *rand.Rand, n int) []string {
	f := newFresh(r)
	var all []string
	for _, list := range [][]string{nouns, adjectives, verbs} {
		for _, w := range list {
			all = append(all, w)
			f.seen[w] = true
		}
	}
	for len(all) < n {
		all = append(all, f.draw(func(r *rand.Rand) string { return pick(r, nouns) + pick(r, nouns) }))
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:n]
}
