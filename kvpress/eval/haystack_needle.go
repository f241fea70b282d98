package eval

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/eval/metrics"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A needle in a haystack, over depth and length: one odd sentence after a share of the sentences of a text, and a
// question about it. Tasks are depths; samples of a task take a quarter, half, three quarters and all of the length in
// turn.
//
// Other than kvpress: the needle stands between sentences, where kvpress cuts the text in a token; the sentence is drawn,
// so that a model cannot know it; and precision and recall of ROUGE are not swapped (its "r" is precision here).
var haystackBenchmark = Benchmark{
	Name:    "needle_in_haystack",
	About:   "one odd sentence at depths from 0 to 100 %, at four lengths; generated, in --haystack FILE if given",
	Samples: haystackSamples,
	Measure: func(s Sample, answer string) []Measure {
		r := metrics.RougeScores(strings.TrimSpace(answer), s.Answers[0])
		all := []Measure{{"rouge-l-r", r.L.Recall, 1}, {"rouge-l-r at " + s.Details["tokens"] + " tokens", r.L.Recall, 1}}
		for _, kind := range []struct {
			name string
			metrics.Rouge
		}{{"rouge-1", r.One}, {"rouge-2", r.Two}, {"rouge-l", r.L}} {
			all = append(all, Measure{kind.name + "-p", kind.Precision, 1}, Measure{kind.name + "-f", kind.F, 1})
			if kind.name != "rouge-l" {
				all = append(all, Measure{kind.name + "-r", kind.Recall, 1})
			}
		}
		return all
	},
}

var depthTasks = strings.Fields("depth_0 depth_10 depth_20 depth_30 depth_40 depth_50 depth_60 depth_70 depth_80 depth_90 depth_100")

func haystackSamples(ctx context.Context, m *llm.LLM, o Options) ([]Sample, error) {
	tasks, err := o.wanted(depthTasks)
	if err != nil {
		return nil, err
	}
	hay, err := o.haystack()
	if err != nil {
		return nil, err
	}
	var samples []Sample
	for d, task := range depthTasks {
		if !slices.Contains(tasks, task) {
			continue
		}
		depth := 10 * d
		for i := range o.samples() {
			one := o
			one.Samples, one.Seed, one.Tokens = 1, o.Seed+int64(i), o.tokens()*(i%4+1)/4
			some, err := generate(ctx, m, one, task, draft{make: func(r *rand.Rand, words, _ int) Sample { return hidden(r, hay, words, depth) }})
			if err != nil {
				return nil, err
			}
			some[0].Details["tokens"], some[0].Details["depth"] = strconv.Itoa(one.Tokens), strconv.Itoa(depth)
			samples = append(samples, some...)
		}
	}
	return samples, nil
}

func hidden(r *rand.Rand, hay haystack, words, depth int) Sample {
	town := cast(r, 'T')
	act := fmt.Sprintf("paint the %s %s and sit beside the %s on a %s day", pick(r, adjectives), pick(r, nouns), pick(r, nouns), pick(r, adjectives))
	needle := fmt.Sprintf("The best thing to do in %s is to %s.", town, act)
	text := sentences(hay(r.Uint64(), words))
	text = slices.Insert(text, len(text)*depth/100, needle)
	return Sample{
		Context:   "This is a very long story book: <book> " + strings.Join(text, " ") + " </book>.\n",
		Question:  fmt.Sprintf("What is the best thing to do in %s?\n", town),
		Prefix:    fmt.Sprintf("The best thing to do in %s is", town),
		Answers:   []string{"to " + act + "."},
		MaxTokens: 50,
		Details:   map[string]string{},
	}
}
