package eval

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
)

// Needles says which texts with hidden facts are asked about. The zero value is a sensible small run.
type Needles struct {
	Texts     int   // generated texts; 0 means 10
	Sentences int   // sentences of a text; 0 means 110, about 1,000 tokens of the needle model
	Facts     int   // facts hidden in a text; 0 means a quarter of the sentences
	Questions int   // questions about each text, from all over it; 0 means 6
	Seed      int64 // of the first text; text i has Seed+i
}

// Needle asks a model about facts hidden in generated texts, for every press, and for no press first. Each text is
// prefilled once and pressed many times. An answer counts when it equals the fact's answer, blanks around it aside.
// It is a short way to Run with the benchmark "needle".
func Needle(ctx context.Context, m *llm.LLM, n Needles, presses []kvpress.Press) ([]Score, error) {
	asked := needleBenchmark
	asked.Samples = func(context.Context, *llm.LLM, Options) ([]Sample, error) { return n.samples(), nil }
	report, err := Run(ctx, m, Sweep{Benchmark: asked, Presses: presses})
	if err != nil {
		return nil, err
	}
	return report.Scores(), report.firstFailure()
}

// The needle world: facts hidden among filler sentences, each asked for by itself. The needle model was trained for it,
// so that questions cost milliseconds and curves are smooth.
var needleBenchmark = Benchmark{
	Name:  "needle",
	About: "facts hidden in the little world that the needle model knows; generated",
	Samples: func(_ context.Context, m *llm.LLM, o Options) ([]Sample, error) {
		if _, err := o.wanted([]string{"facts"}); err != nil {
			return nil, err
		}
		return needleSamples(m, o)
	},
	Measure: func(s Sample, answer string) []Measure {
		m := Measure{Metric: "exact_match", Of: 1}
		if strings.TrimSpace(answer) == s.Answers[0] {
			m.Got = 1
		}
		return []Measure{m}
	},
}

const (
	// needleQuestions is how many questions the benchmark asks about a text, where it has so many facts.
	needleQuestions = 20
	// needleAnswer is the longest answer to a question of this world, in tokens.
	needleAnswer = 10
)

// needleSamples makes texts of the wanted length until there are enough questions.
func needleSamples(m *llm.LLM, o Options) ([]Sample, error) {
	n := Needles{Questions: needleQuestions, Facts: o.Facts}
	world := needle.NewWorld()
	tokens := func(t needle.Text) int { return len(m.Tokenizer.Encode(t.String())) }
	var samples []Sample
	for text := int64(0); len(samples) < o.samples(); text++ {
		n.Seed = o.Seed + text
		n.Sentences = most(1, func(sentences int) bool {
			n.Sentences = sentences
			return tokens(world.Text(n.Seed, sentences, n.withDefaults().Facts)) <= o.tokens()
		})
		made := world.Text(n.Seed, n.Sentences, n.withDefaults().Facts)
		some := n.of(made)
		if len(some) == 0 || tokens(made) > o.tokens() {
			return nil, fmt.Errorf("a text of %d tokens has no room for a fact: ask for longer ones", o.tokens())
		}
		samples = append(samples, some[:min(len(some), o.samples()-len(samples))]...)
	}
	return samples, nil
}

// samples are the questions about all texts.
func (n Needles) samples() []Sample {
	n = n.withDefaults()
	world := needle.NewWorld()
	var samples []Sample
	for range n.Texts {
		samples = append(samples, n.of(world.Text(n.Seed, n.Sentences, n.Facts))...)
		n.Seed++
	}
	return samples
}

// of are the questions about one text, whose seed is n's.
func (n Needles) of(text needle.Text) []Sample {
	var samples []Sample
	for _, f := range spread(text.Facts, n.Questions) {
		samples = append(samples, Sample{
			ID:   fmt.Sprintf("facts-%d-%d-%d", n.Seed, len(text.Sentences), f.Index),
			Task: "facts", Context: text.String(), Question: "\n" + f.Question, Answers: []string{f.Answer}, MaxTokens: needleAnswer,
			Details: map[string]string{"depth": strconv.Itoa(100 * f.Index / len(text.Sentences))},
		})
	}
	return samples
}

// spread picks n facts from all over a text.
func spread(facts []needle.Fact, n int) []needle.Fact {
	if n >= len(facts) {
		return facts
	}
	picked := make([]needle.Fact, max(0, n))
	for i := range picked {
		picked[i] = facts[i*len(facts)/n]
	}
	return picked
}

func (n Needles) withDefaults() Needles {
	n.Texts, n.Sentences, n.Questions = cmp.Or(n.Texts, 10), cmp.Or(n.Sentences, 110), cmp.Or(n.Questions, 6)
	n.Facts = cmp.Or(n.Facts, n.Sentences/4)
	return n
}
