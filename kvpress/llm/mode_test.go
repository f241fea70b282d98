package llm_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/eval"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// TestWeightModes asks the needle model, its weights held in every way, about facts, whole and pressed; right answers
// must hardly fall, and the weights must take what their groups take.
func TestWeightModes(t *testing.T) {
	whole := loadNeedle(t)
	list, err := kvpress.ParseList("snapkv(window=16):0.25")
	if err != nil {
		t.Fatal(err)
	}
	var right, bytes []int64
	for _, mode := range llm.WeightModes() {
		m, err := llm.Load("needle", cpu.New(), llm.Options{Weights: mode})
		if err != nil {
			t.Fatal(err)
		}
		ids := someTokens(m, 200, 3)
		var rows [2][]float32
		for i, from := range []*llm.LLM{whole, m} {
			s, err := from.PrefillTokens(context.Background(), ids, llm.KeysOnly())
			if err != nil {
				t.Fatal(err)
			}
			rows[i] = logits(t, s, ids[:5])[3]
		}
		like := cosine(rows[0], rows[1])
		scores, err := eval.Needle(context.Background(), m, eval.Needles{Texts: 3, Sentences: 110, Questions: 6}, list)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-6s: %.0f and %.0f of %.0f facts right, cosine of the logits %.5f, %d bytes", mode, scores[0].Right, scores[1].Right, scores[0].Of, like, m.Bytes())
		right, bytes = append(right, int64(scores[0].Right)), append(bytes, m.Bytes())
		if least := map[string]float64{"stored": 1 - 1e-9, "bf16": 1 - 1e-9, "int8": 0.999, "4bit": 0.98}[mode]; like < least {
			t.Errorf("%s: cosine of the logits is %v, at least %v is wanted", mode, like, least)
		}
		if int64(scores[0].Right) < right[0]-2 {
			t.Errorf("%s: %.0f facts are right, %d with the weights as stored", mode, scores[0].Right, right[0])
		}
	}
	if !(bytes[3] < bytes[2] && bytes[2] < bytes[1]*6/10) {
		t.Errorf("weights take %d bytes in the modes %v", bytes, llm.WeightModes())
	}
}

func TestWeightModesThatAreNotThere(t *testing.T) {
	t.Setenv("KVNOTES_WEIGHTS", "3bit")
	if _, err := llm.Load("needle", cpu.New()); err != nil {
		t.Errorf("the needle model, which the environment leaves alone: %v", err)
	}
	if _, err := llm.Load("another", cpu.New()); err == nil || !strings.Contains(err.Error(), "4bit") {
		t.Errorf("3bit in the environment: %v", err)
	}
	if _, err := llm.Load("needle", cpu.New(), llm.Options{Weights: "3bit"}); err == nil || !strings.Contains(err.Error(), "4bit") {
		t.Errorf("weights in 3bit: %v", err)
	}
	if _, err := llm.Load("needle", cpu.New(), llm.Options{}, llm.Options{}); err == nil {
		t.Error("two sets of options are accepted")
	}
}

// TestWeightsAreShared: a model that is loaded again takes no memory for its weights, and one held otherwise does.
func TestWeightsAreShared(t *testing.T) {
	var kept []*llm.LLM
	grown := func(o llm.Options) int64 {
		before := heap()
		m, err := llm.Load("needle", cpu.New(), o)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, m)
		return int64(heap()) - int64(before)
	}
	grown(llm.Options{})
	again, otherwise := grown(llm.Options{}), grown(llm.Options{Weights: "int8"})
	weights := kept[2].Bytes()
	if again > weights/4 || otherwise < weights {
		t.Errorf("loading again takes %d bytes, loading weights of %d bytes in int8 takes %d", again, weights, otherwise)
	}
	ids := someTokens(kept[0], 20, 1)
	for _, m := range kept {
		if _, err := m.PerplexityTokens(context.Background(), ids); err != nil {
			t.Fatal(err)
		}
	}
}

// heap is the memory in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
