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

// A JSON object of UUIDs, and the key of one of its values, after Liu et al., arXiv 2307.03172; the words are
// InfiniteBench's. It is right when the value is a word of the answer.
var kvRetrievalBenchmark = Benchmark{
	Name:  "kv_retrieval",
	About: "the value of a key in a JSON object of UUIDs; generated",
	Samples: func(ctx context.Context, m *llm.LLM, o Options) ([]Sample, error) {
		if _, err := o.wanted([]string{"kv_retrieval"}); err != nil {
			return nil, err
		}
		return generate(ctx, m, o, "kv_retrieval", draft{make: object, fill: true})
	},
	Measure: func(s Sample, answer string) []Measure {
		return []Measure{{"accuracy", metrics.KVRetrieval(answer, s.Answers[0]), 1}}
	},
}

// object asks for one pair among others; the last pair is cut to the characters that fill the text up.
func object(r *rand.Rand, others, characters int) Sample {
	f := newFresh(r)
	pair := func(key, value string) string { return fmt.Sprintf("%q: %q", key, value) }
	key, value := f.draw(uuid4), f.draw(uuid4)
	place := r.Float64()
	var pairs []string
	for range others {
		pairs = append(pairs, pair(f.draw(uuid4), f.draw(uuid4)))
	}
	at := int(place * float64(others+1))
	pairs = slices.Insert(pairs, at, pair(key, value))
	if characters > 0 {
		k, v := f.draw(uuid4), f.draw(uuid4)
		n := min(characters, len(k)+len(v))
		pairs = append(pairs, pair(k[:min(n, len(k))], v[:max(0, n-len(k))]))
	}
	return Sample{
		Context:   "Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:\n{" + strings.Join(pairs, ", ") + "}\n\n",
		Question:  fmt.Sprintf("Key: %q\n", key),
		Prefix:    "The value associated with the specified key is",
		Answers:   []string{value},
		MaxTokens: 70,
		Details:   map[string]string{"depth": strconv.Itoa(100 * at / len(pairs))},
	}
}
