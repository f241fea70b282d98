package kvpress

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// matrixLayer makes a layer of plain matrices: one query head per KV head.
func matrixLayer(keys, values []tensor.Mat) *Layer {
	host := &Host{K: keys, V: values, Dim: keys[0].Cols, Group: 1, Tokens: keys[0].Rows}
	sizes := Layer{Layers: 1, Heads: len(keys), KVHeads: len(keys), Dim: keys[0].Cols, Len: keys[0].Rows, Tokens: keys[0].Rows}
	return NewLayer(sizes, host)
}

// plainLayer makes a layer whose scores come from elsewhere.
func plainLayer(heads, n int) *Layer {
	var k []tensor.Mat
	for range heads {
		k = append(k, tensor.New(n, 2))
	}
	return matrixLayer(k, k)
}

func plan(t *testing.T, p Press, l *Layer) Plan {
	t.Helper()
	plan, err := p.Plan(l)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Check(l); err != nil {
		t.Fatal(err)
	}
	return plan
}

func lens(p Plan) []int {
	var n []int
	for _, keep := range p.Keep {
		n = append(n, len(keep))
	}
	return n
}

// ramp scores rise along the text and from head to head.
func ramp(heads, n int) Scorer {
	values := tensor.New(heads, n)
	for i := range values.Data {
		values.Data[i] = float32(i)
	}
	return Fixed("ramp", []Scores{{Values: values}})
}

func TestHeadWiseBudgets(t *testing.T) {
	tests := []struct {
		n            int
		ratio        float64
		ada, fork    int // pairs of the layer, 8 heads
		adaFloor     int // pairs of the worst head
		safeguardOff int
	}{
		{4096, 0.5, 16384, 16384, 409, 0},
		{1001, 0.3, 5600, 5605, 140, 0},
		{21, 0.5, 80, 84, 2, 0},
	}
	for _, test := range tests {
		l, s := plainLayer(8, test.n), ramp(8, test.n)
		ada := plan(t, AdaKV{Scorer: s, Budget: Ratio(test.ratio)}, l)
		if ada.Kept() != test.ada || len(ada.Keep[0]) != test.adaFloor {
			t.Errorf("adakv keeps %d of 8 x %d, the worst head %d; want %d and %d", ada.Kept(), test.n, len(ada.Keep[0]), test.ada, test.adaFloor)
		}
		none := plan(t, AdaKV{Scorer: s, Budget: Ratio(test.ratio), Floor: -1}, l)
		if none.Kept() != test.ada || len(none.Keep[0]) != test.safeguardOff {
			t.Errorf("without a floor the worst head keeps %d", len(none.Keep[0]))
		}
		fork := plan(t, AdaScorer{Scorer: s, Budget: Ratio(test.ratio)}, l)
		if fork.Kept() != test.fork {
			t.Errorf("adascorer keeps %d of 8 x %d, want %d", fork.Kept(), test.n, test.fork)
		}
	}
}

// The example of the fork's notebook: two heads stay whole, the others keep four sinks and the most recent pairs.
func TestAdaScorerLikeTheNotebook(t *testing.T) {
	values := tensor.New(8, 21)
	for h := range 8 {
		for i := range 21 {
			values.Set(h, i, float32(i))
			if h < 2 || i < 4 {
				values.Set(h, i, math.MaxFloat32)
			}
		}
	}
	p := plan(t, AdaScorer{Scorer: Fixed("my", []Scores{{Values: values}}), Budget: Ratio(0.5)}, plainLayer(8, 21))
	if want := []int{21, 21, 7, 7, 7, 7, 7, 7}; !slices.Equal(lens(p), want) {
		t.Errorf("heads keep %v, want %v", lens(p), want)
	}
	if want := []int{0, 1, 2, 3, 18, 19, 20}; !slices.Equal(p.Keep[5], want) {
		t.Errorf("head 5 keeps %v, want %v", p.Keep[5], want)
	}
}

func TestPyramidSteps(t *testing.T) {
	tests := []struct {
		n                         int
		ratio                     float64
		first, second, last, mean int
	}{
		{4096, 0.5, 3994, 3868, 102, 2048},
		{4096, 0.25, 4032, 3970, 2112, 3072},
		{4096, 0.75, 1024, 1024, 1024, 1024},
		{1024, 0.8, 205, 205, 205, 205},
	}
	for _, test := range tests {
		var steps []int
		sum := 0
		for layer := range 32 {
			steps = append(steps, PyramidKV{}.step(float64(test.n)*(1-test.ratio), test.n, 64, 20, layer, 32))
			sum += steps[layer]
		}
		if steps[0] != test.first || steps[1] != test.second || steps[31] != test.last {
			t.Errorf("%d pairs, ratio %v: %v", test.n, test.ratio, steps)
		}
		if got := float64(sum) / 32; math.Abs(got-float64(test.mean)) > 0.001*float64(test.mean) {
			t.Errorf("%d pairs, ratio %v: %v pairs in the mean, want %d", test.n, test.ratio, got, test.mean)
		}
	}
	if got := (PyramidKV{}).step(50, 100, 8, 20, 0, 1); got < 1 || got > 100 {
		t.Errorf("a model of one layer keeps %d of 100", got)
	}
}

func TestCountsOfLUKV(t *testing.T) {
	tests := []struct {
		removed []float32
		lens    []int
		want    []int
	}{
		{[]float32{0.84, 0.76, 0.9}, []int{10, 10, 10}, []int{2, 2, 1}}, // exact 1.6, 2.4, 1.0
		{[]float32{1, 1}, []int{10, 10}, []int{1, 1}},
		{[]float32{0, -3}, []int{4, 4}, []int{4, 4}},
		{[]float32{0.5, 0.5}, []int{10, 4}, []int{5, 2}},
	}
	for _, test := range tests {
		if got := counts(test.removed, test.lens); !slices.Equal(got, test.want) {
			t.Errorf("removing %v of %v leaves %v, want %v", test.removed, test.lens, got, test.want)
		}
	}
}

func TestGlobalSharesOneBudget(t *testing.T) {
	var layers []Scores
	for i := range 3 {
		values := tensor.New(2, 10)
		for j := range values.Data {
			values.Data[j] = float32(100*i + j%10)
		}
		layers = append(layers, Scores{Values: values, Force: []int{0}})
	}
	s := Fixed("three", layers)
	for _, p := range []Press{Global(s, Ratio(0.5), 0.2), Lowest{Scorer: s, Budget: Ratio(0.5)}} {
		plans := make([]Plan, 3)
		var l *Layer
		for i := range plans {
			l = plainLayer(2, 10)
			l.Index, l.Layers = i, 3
			var err error
			if plans[i], err = p.Plan(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := plans[0].Wait(plans); err != nil {
			t.Fatal(err)
		}
		total := 0
		for i, plan := range plans {
			if err := plan.Check(l); err != nil {
				t.Errorf("%s: layer %d: %v", p.Name(), i, err)
			}
			total += plan.Kept()
			for h, keep := range plan.Keep {
				if len(keep) == 0 || keep[0] != 0 {
					t.Errorf("%s: layer %d, head %d lost its sink: %v", p.Name(), i, h, keep)
				}
			}
		}
		if total != 30 {
			t.Errorf("%s keeps %d of 60", p.Name(), total)
		}
		if plans[2].Kept() != 20 {
			t.Errorf("%s: the best layer keeps %d of 20", p.Name(), plans[2].Kept())
		}
	}
}

func TestChunkShareDividesTokens(t *testing.T) {
	l := plainLayer(1, 100)
	sum := 0
	for from := 0; from < 100; from += 30 {
		sum += chunkShare(Tokens(33), l, 100, from, min(from+30, 100))
	}
	if sum != 33 {
		t.Errorf("chunks keep %d of 33 tokens", sum)
	}
}

func TestMergingWeights(t *testing.T) {
	keys := tensor.Mat{Rows: 4, Cols: 2, Data: []float32{1, 0, 0, 1, 3, 3, -1, 0}}
	values := tensor.Mat{Rows: 4, Cols: 2, Data: []float32{1, 0, 0, 3, 0, 1, 5, 5}}
	l := matrixLayer([]tensor.Mat{keys}, []tensor.Mat{values})
	scores := tensor.Mat{Rows: 1, Cols: 4, Data: []float32{9, 8, 1, 0}}
	p := plan(t, Merging{Scorer: Fixed("two", []Scores{{Values: scores}}), Budget: Ratio(0.5)}, l)
	// Pair 2 lies between the kept keys (cosine 0.707; the first one wins a tie), pair 3 points away from the nearest.
	if len(p.Merge[0]) != 1 || p.Merge[0][0].From != 2 || p.Merge[0][0].To != 0 {
		t.Fatalf("merges are %+v", p.Merge)
	}
	if got, want := p.Merge[0][0].Weight, float32(math.Sqrt2/2*1/(1+1)); math.Abs(float64(got-want)) > 1e-5 {
		t.Errorf("weight is %v, want %v", got, want)
	}
	if p := plan(t, Merging{Scorer: Fixed("two", []Scores{{Values: scores}}), Budget: Ratio(0.5), Threshold: 0.8}, l); len(p.Merge[0]) != 0 {
		t.Errorf("keys that are not alike enough merge: %+v", p.Merge)
	}
}

func TestWaitingPressesStayOutside(t *testing.T) {
	l := plainLayer(2, 10)
	_, err := Rerotate{Press: Global(ramp(2, 10), Ratio(0.5), 0.2)}.Plan(l)
	if err == nil || !strings.Contains(err.Error(), "waits for the scores of all layers") {
		t.Errorf("%v does not say why", err)
	}
	_, err = Rerotate{Press: Ada(ramp(2, 10), Ratio(0.5), 0.2)}.Plan(l)
	if err == nil || !strings.Contains(err.Error(), "different lengths cannot be rotated") {
		t.Errorf("%v does not say why", err)
	}
}

func TestMissingScorersAndPressesAreErrors(t *testing.T) {
	l := plainLayer(2, 10)
	half := Ratio(0.5)
	for _, p := range []Press{
		TopK(nil, half), Ada(nil, half, 0.2), Global(nil, half, 0.2),
		AdaScorer{Budget: half},
		CriticalAdaKV{Budget: half},
		TopK(CriticalKV{}, half),
		ChunkKV{Budget: half, Length: 2},
		EntropyChunkKV{Budget: half},
		Chunk{Budget: half},
		Block{Budget: half},
		PerLayer{Ratios: []float64{0.5}},
		Rerotate{},
		Composed{Presses: []Press{nil}},
		Merging{Budget: half},
		DMS{},
		Lowest{Budget: half},
	} {
		name := p.Name()
		if _, err := p.Plan(l); err == nil || !strings.Contains(err.Error(), "is missing: set") {
			t.Errorf("%s: %v does not tell the cure", name, err)
		}
	}
}
