package llm_test

import (
	"context"
	"testing"
)

// TestDecodingAllocatesNothing: 64 tokens more of an answer are at most a few allocations more, the pages that hold
// their pairs.
func TestDecodingAllocatesNothing(t *testing.T) {
	s := prefilled(t, 300)
	question := someTokens(s.Model(), 5, 3)
	allocations := func(tokens int) float64 {
		return testing.AllocsPerRun(3, func() {
			if _, err := s.AskTokens(context.Background(), question, tokens, nil, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := allocations(8), allocations(72)
	t.Logf("8 tokens: %v allocations, 72 tokens: %v", few, many)
	if many > few+8 {
		t.Errorf("an answer of 8 tokens allocates %v times, one of 72 tokens %v times", few, many)
	}
}
