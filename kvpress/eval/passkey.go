package eval

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

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
		return []Measure{{Metric: "accuracy", Got: share(slices.Contains(s.Answers, firstDigits(answer))), Of: 1}}
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

// firstDigits is the first run of digits of a text.
func firstDigits(text string) string {
	other := func(r rune) bool { return r < '0' || r > '9' }
	if digits := strings.FieldsFunc(text, other); len(digits) > 0 {
		return digits[0]
	}
	return ""
}

// share is 1 for yes and 0 for no.
func share(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
