package viz

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

func TestMemoryTellsTheTruth(t *testing.T) {
	s := pressed(t, "adasnapkv(window=16):0.5")
	c := Memory(whole(t), s)
	layer, err := s.Layer(0)
	if err != nil {
		t.Fatal(err)
	}
	pairs := 0
	for l, lens := range s.Lens() {
		inLayer := 0
		for h := range lens {
			inLayer += len(s.Kept(l, h))
		}
		pairs += inLayer
		if got, want := named(t, c, s.PressName())[l][1], float64(inLayer*layer.PairBytes)/(1<<20); !close5(got, want) {
			t.Errorf("layer %d holds %g MiB, the chart shows %g", l, want, got)
		}
	}
	b := s.Bytes()
	held := float64(pairs*layer.PairBytes) / (1 << 20)
	for name, want := range map[string]float64{"pairs held": held, "free room in their pages": float64(b.KV)/(1<<20) - held, "freed": float64(b.Full-b.KV) / (1 << 20), "peak": float64(b.Peak) / (1 << 20)} {
		if got := named(t, c, name)[0]; !close5(got[0], want) || got[1] != 0 { // the last session lies at the bottom
			t.Errorf("%s: %g MiB, the chart shows %v", name, want, got)
		}
	}
}

func TestLatencyTellsTheTruth(t *testing.T) {
	c := LatencyOf(Timing{"b", 100, 2}, Timing{"a", 300, 4}, Timing{"a", 200, 3}, Timing{"a", math.NaN(), 3})
	if got := named(t, c, "a"); len(got) != 2 || got[0][0] != 200 || got[1][1] != 4 {
		t.Errorf("press a: %v", got)
	}
	if got := named(t, c, "straight line through all"); !close5(got[0][1], 1) || !close5(got[1][1], 4) {
		t.Errorf("1 ms and a hundredth for each pair: the line goes through %v", got)
	}
	timed, err := Timed(context.Background(), pressed(t, "adakv(knorm):0.5"), 3)
	if err != nil || !(timed.Millis > 0) || math.Abs(timed.Pairs-float64(whole(t).Len())/2) > 1 {
		t.Errorf("half of %d pairs: %+v, %v", whole(t).Len(), timed, err)
	}
}

func TestCostsTellTheTruth(t *testing.T) {
	c := CostsOf([]Trial{{Press: "a", Ratio: 0.9, KVBytes: 1 << 20, TokenMillis: 2}, {Press: "a", KVBytes: 10 << 20, TokenMillis: 5}, {Press: "b", Ratio: 0.5, KVBytes: 5 << 20, TokenMillis: 4}})
	if want := "a: a token comes 2.50 times as fast, from 10 % of the memory, with 90 % of the pairs removed"; c.Title() != want {
		t.Errorf("the title is %q, want %q", c.Title(), want)
	}
	if got := named(t, c, "a"); len(got) != 4 || got[0][1] != 10 || got[1][0] != 0.9 || got[1][1] != 1 || got[2][1] != 5 || got[3][1] != 2 {
		t.Errorf("press a is drawn at %v", got)
	}
}

func TestCostsSayWhatWasMeasured(t *testing.T) {
	c := CostsOf([]Trial{{Press: "x", Ratio: 0.1, TokenMillis: 4}, {Press: "x", Ratio: 0.5, TokenMillis: 2}})
	if want := "x: a token comes 2.00 times as fast, with 50 % of the pairs removed\nx: 4.00 ms a token with 10 % of the pairs removed\nx: 2.00 ms a token with 50 % of the pairs removed"; c.Text() != want {
		t.Errorf("got\n%s\nwant\n%s", c.Text(), want)
	}
}

func TestLostTellsTheTruth(t *testing.T) {
	s, first := whole(t), 100
	d, err := pruning(s, 1, first, []string{"knorm"})
	if err != nil {
		t.Fatal(err)
	}
	c := LostOf(d)
	layer, err := s.Layer(1)
	if err != nil {
		t.Fatal(err)
	}
	attention, err := layer.Attention(s.Len()-first, nil)
	if err != nil {
		t.Fatal(err)
	}
	norms, err := layer.KeyNorms()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range named(t, c, "knorm") {
		lost := 0.0
		for h := range layer.KVHeads {
			order := make([]int, first) // the longest keys go first
			for i := range order {
				order[i] = i
			}
			sort.SliceStable(order, func(i, j int) bool { return norms.At(h, order[i]) > norms.At(h, order[j]) })
			gone, total := 0.0, 0.0
			for k, at := range order {
				for g := range layer.Group() {
					v := float64(attention.At(h*layer.Group()+g, at))
					total += v
					if k < int(p[0]) {
						gone += v
					}
				}
			}
			lost += 100 * gone / total / float64(layer.KVHeads)
		}
		if math.Abs(lost-p[1]) > 0.01 {
			t.Errorf("%g pairs less lose %g %% of the attention, the chart shows %g", p[0], lost, p[1])
		}
	}
	best := named(t, c, "optimal")
	for i, p := range named(t, c, "knorm") {
		if best[i][1] > p[1]+1e-3 {
			t.Errorf("%g pairs less: the optimum loses %g %%, knorm %g", p[0], best[i][1], p[1])
		}
	}
}

func TestGaussianTellsTheTruth(t *testing.T) {
	const n = 4000
	r := rand.New(rand.NewPCG(1, 2))
	m := tensor.New(n, 3)
	for i := range n {
		m.Set(i, 0, float32(3+2*r.NormFloat64()))
		m.Set(i, 1, float32(i)) // uniform
		m.Set(i, 2, 7)          // always the same: no channel to draw
	}
	c := QueryGaussianOf(Sampled{Of: "test", Values: m})
	var close, far channel
	close, _ = standard(m, 0)
	far, _ = standard(m, 1)
	// The uniform distribution is 0.057 away from the Gaussian of its deviation.
	if close.distance > 0.025 || math.Abs(far.distance-0.0572) > 0.002 {
		t.Errorf("distances %g and %g, want below 0.025 and 0.057", close.distance, far.distance)
	}
	if len(seriesOf(t, c)) != 4 {
		t.Errorf("%d series: a histogram and a bell for each of two channels are wanted", len(seriesOf(t, c)))
	}
	sum := 0.0
	for _, p := range named(t, c, "tokens")[:41] {
		lo, hi := 3+2*(p[0]-0.1), 3+2*(p[0]+0.1)
		count := 0
		for i := range n {
			if v := float64(m.At(i, 0)); v >= lo && v < hi {
				count++
			}
		}
		if math.Abs(p[1]-100*float64(count)/n) > 0.8 { // mean and deviation of the sample are not quite 3 and 2
			t.Errorf("%d tokens lie at %g deviations, the chart shows %g %%", count, p[0], p[1])
		}
		sum += p[1]
	}
	if sum < 99.5 || sum > 100.01 {
		t.Errorf("the histogram holds %g %% of the tokens", sum)
	}
	if c := QueryGaussian(whole(t), 1, 0); len(seriesOf(t, c)) < 6 {
		t.Errorf("queries of a session: %s", c.Text())
	}
}

func TestForeseenTellsTheTruth(t *testing.T) {
	seen, scores := tensor.New(2, 8), tensor.New(2, 8)
	for i := range 8 {
		scores.Set(1, i, float32(i+1))
		seen.Set(1, i, float32([]float64{9, 9, 9, 9, 0.1, 0.2, 0.4, 0.3}[i])) // the first four are left out
	}
	c := ForeseenOf(Pruning{Observed: seen, Names: []string{"x"}, Scores: []tensor.Mat{scores}}, 1)
	if want := "rank correlation of 0.80"; !strings.Contains(c.Title(), want) { // 1 - 6·2/(4·15)
		t.Errorf("%s: want %s", c.Title(), want)
	}
	dots := seriesOf(t, c)[0].Data
	if len(dots) != 4 || *dots[2].Value[0] != 7 || !close5(*dots[2].Value[1], 0.4) {
		t.Errorf("%d dots, the third of token 6: %v", len(dots), dots[2].Name)
	}
}
