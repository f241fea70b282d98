package kvpress

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// attentionLayer is a layer of two KV heads and one channel whose last query pays the given logits to each pair.
func attentionLayer(logits ...[]float32) *Layer {
	host := &Host{Dim: 1, Group: 1, Tokens: len(logits[0])}
	for _, row := range logits {
		k := tensor.Mat{Rows: len(row), Cols: 1, Data: row}
		host.K, host.V = append(host.K, k), append(host.V, k)
	}
	host.Query = func(_, last int) (tensor.Mat, error) {
		q := tensor.New(last, 1)
		for i := range q.Data {
			q.Data[i] = 1
		}
		return q, nil
	}
	return NewLayer(Layer{Layers: 1, Heads: len(logits), KVHeads: len(logits), Dim: 1, Len: host.Tokens, Tokens: host.Tokens}, host)
}

func values(t *testing.T, s Scorer, l *Layer) Scores {
	t.Helper()
	scores, err := s.Score(l)
	if err != nil {
		t.Fatal(err)
	}
	return scores
}

func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-5 })
}

func log(x float64) float32 { return float32(math.Log(x)) }

func TestSnapKVByHand(t *testing.T) {
	// One query, softmax 0.1 0.2 0.3 0.4; the window is the last pair; an average over 3 divides by 3 at the ends too.
	l := attentionLayer([]float32{log(1), log(2), log(3), log(4)})
	s := values(t, SnapKV{Window: 1, Kernel: 3}, l)
	if want := []float32{0.1, 0.2, 0.5 / 3, 1.2}; !near(s.Values.Data, want) {
		t.Errorf("scores %v, want %v", s.Values.Data, want)
	}
	if !slices.Equal(s.Force, []int{3}) {
		t.Errorf("positions %v are forced", s.Force)
	}
}

func TestTOVAByHand(t *testing.T) {
	l := attentionLayer([]float32{log(1), log(2), log(1)}, []float32{log(2), log(1), log(5)})
	s := values(t, TOVA{}, l)
	want := []float32{0.25, (0.5 + 0.125) / 2, 1.3125}
	if !near(s.Values.Row(0), want) || !near(s.Values.Row(1), want) {
		t.Errorf("scores %v, want %v twice", s.Values.Data, want)
	}
}

func TestObservedAttentionByHand(t *testing.T) {
	// Query i sees pairs 0..i with equal logits: pair 0 gets 1 + 1/2 + 1/3 from three queries.
	s := values(t, ObservedAttention{}, attentionLayer([]float32{0, 0, 0}))
	if want := []float32{(1 + 1./2 + 1./3) / 3, (1./2 + 1./3) / 2, 1. / 3}; !near(s.Values.Data, want) {
		t.Errorf("scores %v, want %v", s.Values.Data, want)
	}
}

func TestStreamingLLMByHand(t *testing.T) {
	l := plainLayer(1, 10)
	for ratio, want := range map[float64][]int{0.5: {0, 1, 8, 9, 7}, 0.8: {0}, 0.3: {0, 1, 5, 6, 7, 8, 9}} {
		slices.Sort(want)
		if p := plan(t, TopK(StreamingLLM{Sinks: 2}, Ratio(ratio)), l); !slices.Equal(p.Keep[0], want) {
			t.Errorf("ratio %v keeps %v, want %v", ratio, p.Keep[0], want)
		}
	}
	if p := plan(t, TopK(StreamingLLM{Sinks: -1}, Tokens(3)), l); !slices.Equal(p.Keep[0], []int{7, 8, 9}) {
		t.Errorf("without sinks %v stay", p.Keep[0])
	}
}

func TestKeyDiffByHand(t *testing.T) {
	keys := tensor.Mat{Rows: 3, Cols: 2, Data: []float32{2, 0, 5, 0, 0, 1}}
	s := values(t, KeyDiff{}, matrixLayer([]tensor.Mat{keys}, []tensor.Mat{keys}))
	far, close := float32(-2/math.Sqrt(5)), float32(-1/math.Sqrt(5)) // the anchor is (2, 1)
	if !near(s.Values.Data, []float32{far, far, close}) {
		t.Errorf("scores %v", s.Values.Data)
	}
}

func TestLagKVFallsBackToRecency(t *testing.T) {
	s := values(t, LagKV{Sinks: 1, Lag: 4}, plainLayer(1, 5))
	if want := []float32{1, 0, 0.25, 0.5, 0.75}; !near(s.Values.Data, want) {
		t.Errorf("scores %v, want %v", s.Values.Data, want)
	}
	if !slices.Equal(s.Force, []int{0}) {
		t.Errorf("positions %v are forced", s.Force)
	}
}

func TestLagKVProtectsSinksAndTail(t *testing.T) {
	keys := tensor.New(13, 3)
	for i := range keys.Data {
		keys.Data[i] = float32((i*i)%7) / 3
	}
	s := values(t, LagKV{Sinks: 2, Lag: 4}, matrixLayer([]tensor.Mat{keys}, []tensor.Mat{keys}))
	if !slices.Equal(s.Force, []int{0, 1, 6, 7, 8, 9, 10, 11, 12}) { // two partitions; the second and 3 pairs more are the tail
		t.Errorf("positions %v are forced", s.Force)
	}
	ranks := slices.Sorted(slices.Values(s.Values.Row(0)[2:6]))
	if !near(ranks, []float32{0, 0.25, 0.5, 0.75}) {
		t.Errorf("ranks of the first partition are %v", ranks)
	}
}

func TestRandomIsSeeded(t *testing.T) {
	l := plainLayer(2, 50)
	a, b, c := values(t, Random{Seed: 1}, l), values(t, Random{Seed: 1}, l), values(t, Random{Seed: 2}, l)
	if !slices.Equal(a.Values.Data, b.Values.Data) {
		t.Error("one seed, two draws")
	}
	if slices.Equal(a.Values.Data, c.Values.Data) {
		t.Error("two seeds, one draw")
	}
	l.Draws = []tensor.Mat{tensor.New(2, 50)}
	if s := values(t, Random{}, l); slices.Max(s.Values.Data) != 0 || len(l.Draws) != 0 {
		t.Error("fed numbers are not used once")
	}
}

func TestErrorsTellPlaceAndCure(t *testing.T) {
	tests := []struct {
		press Press
		layer *Layer
		want  string
		is    error
	}{
		{TopK(SnapKV{}, Ratio(0.5)), attentionLayer(make([]float32, 40)), "layer 0: snapkv: 40 tokens, the window is 64: lower Window or use a longer context", nil},
		{TopK(SnapKV{Window: 2, Kernel: 4}, Ratio(0.5)), attentionLayer(make([]float32, 40)), "kernel is 4: it is an odd number", ErrBadParameter},
		{TopK(SnapKV{Window: -2}, Ratio(0.5)), attentionLayer(make([]float32, 40)), "window is -2: it must be at least 1", ErrBadParameter},
		{TopK(SnapKV{Window: 4}, Ratio(0.5)), plainLayer(1, 40), "layer 0: snapkv(window=4): queries: not recorded", ErrNotRecorded},
		{TopK(StreamingLLM{}, Ratio(0.5)), plainLayer(1, 4), "4 tokens, the sinks are 4: lower Sinks", nil},
		{TopK(ExpectedAttention{}, Ratio(0.5)), attentionLayer(make([]float32, 40)), "layer 0: expected_attention: rotations: not recorded", ErrNotRecorded},
		{TopK(Knorm{}, Ratio(1.5)), plainLayer(1, 4), "layer 0: bad parameter: ratio 1.5", ErrBadParameter},
		{TopK(CUR{Leverage: "x"}, Ratio(0.5)), plainLayer(1, 4), `leverage is "x": it is kv_product`, ErrBadParameter},
		{TopK(QFilter{}, Ratio(0.5)), plainLayer(1, 4), "qfilter: it has no filters: load those of this model", nil},
		{TopK(CriticalKV{Scorer: Knorm{}}, Ratio(0.5)), plainLayer(1, 4), "criticalkv(knorm): output projection: not recorded", ErrNotRecorded},
		{AdaKV{Scorer: Knorm{}, Budget: Ratio(0.5), Floor: 2}, plainLayer(1, 4), "floor is 2: it is a share, from 0 to 1", ErrBadParameter},
		{PerLayer{Scorer: Knorm{}, Ratios: []float64{1, 2}}, plainLayer(1, 4), "there are 2 ratios, the model has 1 layers", ErrBadParameter},
		{PyramidKV{Budget: Ratio(0.5), Beta: 0.5}, plainLayer(1, 4), "beta is 0.5: it is at least 1", ErrBadParameter},
		{AdaSnapKV{Budget: Ratio(0.25), Window: 4, Floor: 1}, attentionLayer(make([]float32, 7)), "lower Floor", nil},
		{TopK(Fixed("mine", nil), Ratio(0.5)), plainLayer(1, 4), "layer 0: mine: there are scores of 0 layers", nil},
		{TopK(Fixed("mine", []Scores{{Values: tensor.New(1, 3)}}), Ratio(0.5)), plainLayer(1, 4), "return one number for each", nil},
		{TopK(Fixed("mine", []Scores{{Values: tensor.New(1, 4), Force: []int{9}}}), Ratio(0.5)), plainLayer(1, 4), "position 9 is to stay", nil},
	}
	for _, test := range tests {
		_, err := test.press.Plan(test.layer)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v does not say %q", test.press.Name(), err, test.want)
			continue
		}
		if test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %v is not %v", test.press.Name(), err, test.is)
		}
		if strings.Count(err.Error(), "layer 0") != 1 {
			t.Errorf("%s: %v says the layer more or less than once", test.press.Name(), err)
		}
	}
}

func TestScoresThatAreNoNumbers(t *testing.T) {
	nan := tensor.New(1, 4)
	nan.Data[2] = float32(math.NaN())
	_, err := TopK(Fixed("mine", []Scores{{Values: nan}}), Ratio(0.5)).Plan(plainLayer(1, 4))
	if err == nil || !strings.Contains(err.Error(), "the score of KV head 0, pair 2 is not a number") {
		t.Errorf("%v does not tell the place", err)
	}
}
