package needle

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A World is the words that sentences are made of.
type World struct {
	Names, Cities, Adj, Noun, Verb, Prep, Adv []string
}

// NewWorld is the world that the embedded model was trained in.
func NewWorld() *World {
	var w World
	if err := json.Unmarshal(worldJSON, &w); err != nil {
		panic("needle: the embedded world is damaged: " + err.Error()) // a broken build
	}
	return &w
}

// A Fact is a sentence with a key that no other fact of the text has, and a question about it.
type Fact struct {
	Sentence string
	Question string
	Answer   string // the whole answer, with its full stop
	Index    int    // which sentence of the text it is
}

// A Text is filler sentences with facts among them.
type Text struct {
	Sentences []string
	Facts     []Fact // in the order of the text
}

// String is the text, sentence after sentence.
func (t Text) String() string { return strings.Join(t.Sentences, " ") }

// Text makes a text of a number of sentences, of which at most so many are facts: one whose key is taken already stays
// out. The same seed makes the same text, whatever the version of Go.
func (w *World) Text(seed int64, sentences, facts int) Text {
	sentences = max(0, sentences)
	r := rand.New(rand.NewPCG(uint64(seed), 0x6b766e6f746573))
	t := Text{Sentences: make([]string, sentences)}
	for i := range t.Sentences {
		t.Sentences[i] = w.filler(r)
	}
	places := r.Perm(sentences)[:max(0, min(facts, sentences))]
	slices.Sort(places)
	used := map[string]bool{}
	for _, at := range places {
		f, key := w.fact(r)
		if used[key] {
			continue // its sentence stays filler
		}
		used[key] = true
		f.Index = at
		t.Sentences[at] = f.Sentence
		t.Facts = append(t.Facts, f)
	}
	return t
}

// Plant replaces the sentence at a place by a fact and returns the new text. A place before the text is its beginning,
// one behind it its end.
func (t Text) Plant(f Fact, at int) Text {
	out := Text{Sentences: slices.Clone(t.Sentences)}
	if len(out.Sentences) == 0 {
		out.Sentences = []string{""}
	}
	at = max(0, min(at, len(out.Sentences)-1))
	f.Index = at
	out.Sentences[at] = f.Sentence
	for _, old := range t.Facts {
		if old.Index != at {
			out.Facts = append(out.Facts, old)
		}
	}
	out.Facts = append(out.Facts, f)
	slices.SortFunc(out.Facts, func(a, b Fact) int { return a.Index - b.Index })
	return out
}

// Code is the fact that a city has an access code of four digits.
func Code(city string, code int) Fact {
	digits := fmt.Sprintf("%04d", code)
	return Fact{Sentence: "The access code of " + city + " is " + digits + ".", Question: "What is the access code of " + city + "?", Answer: digits + "."}
}

func pick(r *rand.Rand, words []string) string { return words[r.IntN(len(words))] }

// fact makes one of the three kinds of facts that the model answers, and the key that must not come twice.
func (w *World) fact(r *rand.Rand) (f Fact, key string) {
	kind, name := r.IntN(3), pick(r, w.Names)
	switch kind {
	case 0:
		city := pick(r, w.Cities)
		return Code(city, r.IntN(10000)), "code " + city
	case 1:
		city := pick(r, w.Cities)
		f = Fact{Sentence: name + " was born in " + city + ".", Question: "Where was " + name + " born?", Answer: "In " + city + "."}
	default:
		friend := name
		for friend == name {
			friend = pick(r, w.Names)
		}
		f = Fact{Sentence: "The best friend of " + name + " is " + friend + ".", Question: "Who is the best friend of " + name + "?", Answer: friend + "."}
	}
	return f, strconv.Itoa(kind) + " " + name
}

func (w *World) filler(r *rand.Rand) string {
	a, b, n, m, v := pick(r, w.Adj), pick(r, w.Adj), pick(r, w.Noun), pick(r, w.Noun), pick(r, w.Verb)
	switch r.IntN(5) {
	case 0:
		return fmt.Sprintf("The %s %s %s the %s %s.", a, n, v, b, m)
	case 1:
		adverb := pick(r, w.Adv)
		return fmt.Sprintf("%s%s the %s %s the %s %s the %s %s.", strings.ToUpper(adverb[:1]), adverb[1:], n, v, m, pick(r, w.Prep), a, pick(r, w.Noun))
	case 2:
		return fmt.Sprintf("%s %s the %s %s %s %s.", pick(r, w.Names), v, a, n, pick(r, w.Prep), pick(r, w.Cities))
	case 3:
		return fmt.Sprintf("In %s the %s is %s and the %s is %s.", pick(r, w.Cities), n, a, m, b)
	}
	return fmt.Sprintf("A %s %s %s %s %s and %s.", a, n, pick(r, w.Adv), v, pick(r, w.Names), pick(r, w.Names))
}
