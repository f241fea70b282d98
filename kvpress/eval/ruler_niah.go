package eval

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// needles are RULER's needles in a haystack: values hidden under keys, some of which are asked for.
type needles struct {
	hay    string // noise, prose, or more needles of the same kind
	key    string // kind of the keys
	value  string // kind of the values
	keys   int    // that are hidden
	values int    // of each key
	asked  int    // keys
}

// As RULER's synthetic.yaml has them.
var needleTasks = map[string]needles{
	"niah_single_1":   {"noise", "words", "numbers", 1, 1, 1},
	"niah_single_2":   {"prose", "words", "numbers", 1, 1, 1},
	"niah_single_3":   {"prose", "words", "uuids", 1, 1, 1},
	"niah_multikey_1": {"prose", "words", "numbers", 4, 1, 1},
	"niah_multikey_2": {"needles", "words", "numbers", 1, 1, 1},
	"niah_multikey_3": {"needles", "uuids", "uuids", 1, 1, 1},
	"niah_multivalue": {"prose", "words", "numbers", 1, 4, 1},
	"niah_multiquery": {"prose", "words", "numbers", 4, 1, 4},
}

func (n needles) draft(hay haystack) draft {
	d := draft{fewest: n.keys*n.values - 1, fill: true, make: func(r *rand.Rand, units, words int) Sample { return n.make(r, hay, units, words) }}
	if n.hay == "prose" { // its units are words
		d.fewest, d.fill = 0, false
	}
	return d
}

func (n needles) make(r *rand.Rand, hay haystack, units, words int) Sample {
	f := newFresh(r)
	var keys, needles []string
	values := map[string][]string{}
	for range n.keys {
		key := f.draw(kinds[n.key])
		keys = append(keys, key)
		for range n.values {
			value := f.draw(kinds[n.value])
			values[key] = append(values[key], value)
			needles = append(needles, n.sentence(key, value))
		}
	}
	r.Shuffle(len(needles), func(i, j int) { needles[i], needles[j] = needles[j], needles[i] })

	asked := pickSome(r, len(keys), n.asked)
	var queries, answers []string
	for _, i := range asked {
		queries, answers = append(queries, keys[i]), append(answers, values[keys[i]]...)
	}
	query := queries[0]
	if last := len(queries) - 1; last > 0 {
		query = strings.Join(queries[:last], ", ") + ", and " + queries[last]
	}

	var text string
	switch n.hay {
	case "prose":
		text = strings.Join(hideAtDepths(r, sentences(hay(r.Uint64(), units)), needles), " ")
	case "noise":
		text = strings.Join(hideBetween(r, noiseLines(units, words), needles), "\n")
	default:
		at := rand.New(rand.NewPCG(r.Uint64(), 0)) // places have draws of their own, for the hay has as many as it is long
		lines := make([]string, units)
		for i := range lines {
			lines[i] = n.sentence(f.draw(kinds[n.key]), f.draw(kinds[n.value]))
		}
		if lines = hideBetween(at, lines, needles); words > 0 {
			lines = append(lines, noiseWords(words))
		}
		text = strings.Join(lines, "\n")
	}

	thing, some, are, what := n.value, "Some", "are", "are all"
	if len(answers) == 1 {
		thing, some, are, what = strings.TrimSuffix(thing, "s"), "A", "is", "is"
	}
	return Sample{
		Context: fmt.Sprintf("%s special magic %s %s hidden within the following text. Make sure to memorize it. "+
			"I will quiz you about the %s afterwards.\n%s\n", some, thing, are, thing, text),
		Question:  fmt.Sprintf("What %s the special magic %s for %s mentioned in the provided text? ", what, thing, query),
		Prefix:    fmt.Sprintf("The special magic %s for %s mentioned in the provided text %s", thing, query, are),
		Answers:   answers,
		MaxTokens: 128,
	}
}

func (n needles) sentence(key, value string) string {
	return fmt.Sprintf("One of the special magic %s for %s is: %s.", n.value, key, value)
}

// hideAtDepths puts needles at forty depths from 0 to 100 %, no two at the same.
func hideAtDepths(r *rand.Rand, text, needles []string) []string {
	depths := pickSome(r, 40, len(needles))
	slices.Sort(depths)
	for i, d := range slices.Backward(depths) {
		percent := (2*d*100 + 39) / (2 * 39)
		text = slices.Insert(text, len(text)*percent/100, needles[i])
	}
	return text
}

// hideBetween puts needles before lines, no two before the same. Where there is a line too few, the last needle is last.
func hideBetween(r *rand.Rand, lines, needles []string) []string {
	places := pickSome(r, max(len(lines), len(needles)), len(needles))
	slices.Sort(places)
	for i, at := range slices.Backward(places) {
		lines = slices.Insert(lines, at, needles[i])
	}
	return lines
}

// pickSome draws k of the numbers below n, in any order.
func pickSome(r *rand.Rand, n, k int) []int { return r.Perm(n)[:k] }
