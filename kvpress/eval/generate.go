package eval

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A draft is a sample of a generated task in a size that is still sought. The same draws make every size of a sample,
// so that a longer one has the same keys and answers.
type draft struct {
	// make writes the sample with so many units of hay (lines, documents, words), and so many words of hay more, less
	// than a unit.
	make   func(r *rand.Rand, units, words int) Sample
	fewest int  // units that the sample can have
	fill   bool // words fill it up
}

// generate makes the samples of a task, each as long as the options say and at most 2 % shorter. The length is what
// the model reads and writes: context, question, prefix and the room for the answer, as RULER counts. Of several drafts
// it takes the first that can be so short.
func generate(ctx context.Context, m *llm.LLM, o Options, task string, drafts ...draft) ([]Sample, error) {
	var samples []Sample
	for i := range o.samples() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		seed := o.Seed + int64(i)
		var s Sample
		var err error
		for _, d := range drafts {
			if s, err = d.fit(m, task, seed, o.tokens()); err == nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		s.ID, s.Task = fmt.Sprintf("%s-%d-%d", task, o.tokens(), seed), task
		samples = append(samples, s)
	}
	return samples, nil
}

// fit looks for the longest sample that is not too long.
func (d draft) fit(m *llm.LLM, task string, seed int64, tokens int) (Sample, error) {
	write := func(units, words int) Sample { return d.make(draws(task, seed), units, words) }
	least := sampleTokens(m, write(d.fewest, 0))
	if least > tokens {
		return Sample{}, fmt.Errorf("%s in %d tokens: the shortest sample %s can be given has %d: ask for longer texts", task, tokens, m.Name, least)
	}
	fits := func(units, words int) bool { return sampleTokens(m, write(units, words)) <= tokens }
	units := most(d.fewest, func(n int) bool { return fits(n, 0) })
	words := 0
	if d.fill {
		words = most(0, func(n int) bool { return n < fillAtMost && fits(units, n) })
	}
	return write(units, words), nil
}

// words that a sample is filled up with: a unit of hay has fewer.
const fillAtMost = 4096

// most is the largest n from the least on that still fits; what is larger fits less.
func most(least int, fits func(n int) bool) int {
	step := 1
	for fits(least + step) {
		least, step = least+step, 2*step
	}
	for ; step > 0; step /= 2 {
		if fits(least + step) {
			least += step
		}
	}
	return least
}

// draws are the random numbers of one sample.
func draws(task string, seed int64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(task))
	return rand.New(rand.NewPCG(uint64(seed), h.Sum64()))
}

// sampleTokens is the length of a sample: what the model reads, and the room for its answer.
func sampleTokens(m *llm.LLM, s Sample) int {
	return len(m.Tokenizer.Encode(s.Context)) + len(m.Tokenizer.Encode(s.Question+s.Prefix)) + s.MaxTokens
}

// noise is what RULER and the passkey task hide things in, over and over.
const noise = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."

// noiseLines are lines of noise, and at the end so many words of one more.
func noiseLines(lines, words int) []string {
	all := make([]string, lines, lines+1)
	for i := range all {
		all[i] = noise
	}
	if words > 0 {
		all = append(all, noiseWords(words))
	}
	return all
}

// noiseWords is the beginning of endless noise.
func noiseWords(n int) string {
	words := strings.Fields(noise)
	some := make([]string, n)
	for i := range some {
		some[i] = words[i%len(words)]
	}
	return strings.Join(some, " ")
}
