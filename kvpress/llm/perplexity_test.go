package llm_test

import (
	"context"
	"math"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// TestPerplexity compares with what the model says of each token when it is asked, token by token. A context holds one
// token at least, and a question too: so two tokens come before the first one that is asked about.
func TestPerplexity(t *testing.T) {
	m, ctx := loadNeedle(t), context.Background()
	ids := someTokens(m, 70, 5) // more than are looked at together
	unsure := func(n int) float64 {
		p, err := m.PerplexityTokens(ctx, ids[:n])
		if err != nil {
			t.Fatal(err)
		}
		return math.Log(p) * float64(n-1)
	}
	s, err := m.PrefillTokens(ctx, ids[:1], llm.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	want := unsure(2)
	for n := 2; n < len(ids); n++ {
		if _, err := s.AskTokens(ctx, ids[1:n], 1, nil, func(_ int, row []float32) {
			sum := 0.0
			for _, v := range row {
				sum += math.Exp(float64(v))
			}
			want += math.Log(sum) - float64(row[ids[n]])
		}); err != nil {
			t.Fatal(err)
		}
	}
	if got := unsure(len(ids)); math.Abs(got-want) > 1e-4*want {
		t.Errorf("all tokens together are worth %g, one by one %g", got, want)
	}
	if _, err := m.PerplexityTokens(ctx, ids[:1]); err == nil {
		t.Error("one token has no perplexity, and no error says so")
	}
}
