package llm_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
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
	if many > few+24 {
		t.Errorf("an answer of 8 tokens allocates %v times, one of 72 tokens %v times", few, many)
	}
}

// TestBitsOfLogits: logits have the same bits on any number of cores, and wherever the context ends and the question
// begins: what a token finds depends on the tokens before it, not on those that come with it.
func TestBitsOfLogits(t *testing.T) {
	before := tensor.Threads()
	defer tensor.SetThreads(before)
	m := loadNeedle(t)
	ids := someTokens(m, 700, 9)
	var first [][]float32
	for _, c := range []struct{ threads, context int }{{1, 690}, {2, 690}, {3, 690}, {2, 699}, {2, 660}, {2, 300}} {
		tensor.SetThreads(c.threads)
		s, err := m.PrefillTokens(context.Background(), ids[:c.context], llm.KeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		rows := logits(t, s, ids[c.context:])
		s.Close()
		if first == nil {
			first = rows
		} else if !reflect.DeepEqual(rows, first) {
			t.Errorf("%d threads, a context of %d of the tokens: other bits than with one thread and 690", c.threads, c.context)
		}
	}
}
