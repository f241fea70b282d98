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

// A number hidden in noise, after Mohtashami and Jaggi, arXiv 2305.16300; the words are InfiniteBench's. It is right
// when the first number of the answer is the number.
var passkeyBenchmark = Benchmark{
	Name:  "passkey",
	About: "a number of five digits hidden in noise; generated",
	Samples: func(ctx context.Context, m *llm.LLM, o Options) ([]Sample, error) {
		if _, err := o.wanted([]string{"passkey"}); err != nil {
			return nil, err
		}
		return generate(ctx, m, o, "passkey", draft{make: passkey, fewest: 1, fill: true})
	},
	Measure: func(s Sample, answer string) []Measure {
		return []Measure{{Metric: "accuracy", Got: metrics.FirstNumber(answer, s.Answers[0]), Of: 1}}
	},
}

func passkey(r *rand.Rand, lines, words int) Sample {
	key := strconv.Itoa(10000 + r.IntN(90000))
	text := noiseLines(lines, words)
	at := r.IntN(len(text) + 1)
	text = slices.Insert(text, at, fmt.Sprintf("The pass key is %s. Remember it. %s is the pass key.", key, key))
	return Sample{
		Context: "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. " +
			"I will quiz you about the important information there.\n\n" + strings.Join(text, " ") + "\n\n",
		Question:  "What is the pass key?\n",
		Prefix:    "The pass key is",
		Answers:   []string{key},
		MaxTokens: 16,
		Details:   map[string]string{"depth": strconv.Itoa(100 * at / len(text))},
	}
}
