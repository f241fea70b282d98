package kvpress

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// LUKV gives every head of every layer its own share of the budget, from curves that were measured once for a model
// and a scorer. arXiv 2602.08585.
type LUKV struct {
	Scorer Scorer // the one that the curve was measured with; spelled without one, expected_attention(epsilon=0.02)
	Budget Budget
	Curve  []tensor.Mat // 99 times (Layers, KVHeads): what goes from each head at ratios 0.01, 0.02, ... 0.99
	Sinks  int          // first pairs that stay; 0 means 4, negative means none
	Window int          // last pairs that stay; 0 means 1, negative means none
}

func init() {
	Register(Method{Name: "lukv", Paper: "arXiv 2602.08585", Press: LUKV{Scorer: ExpectedAttention{Epsilon: 0.02}}})
}

// Name spells the press, such as "lukv(knorm):0.5".
func (p LUKV) Name() string { return Spell("lukv", p) }

// Plan keeps the best pairs of each head, as many as its curve says.
func (p LUKV) Plan(l *Layer) (Plan, error) {
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	ratio := p.Budget.RatioOf(l)
	removed, err := p.removed(l, ratio)
	if err != nil {
		return Plan{}, l.at("lukv", err)
	}
	s, _, err := score(p.Scorer, l, ratio)
	if err != nil {
		return Plan{}, err
	}
	first, err := l.First(wholeOrNone(p.Sinks, 4))
	if err != nil {
		return Plan{}, err
	}
	last, err := l.Last(wholeOrNone(p.Window, 1))
	if err != nil {
		return Plan{}, err
	}
	protected := append(slices.Concat(first, last), s.Force...)
	slices.Sort(protected)
	safe, err := l.Protect(s.Values.Clone(), slices.Compact(protected)) // equals, so that sinks come before the window
	if err != nil {
		return Plan{}, l.at("lukv", err)
	}
	force, err := l.places(safe.Force)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: s.Values, Force: safe.Force}
	for h, keep := range counts(removed, l.Lens) {
		plan.Keep[h] = best(safe.Values.Row(h)[:l.Lens[h]], force[h], keep)
	}
	return plan, nil
}

// removed is the part of each head that goes at a ratio.
func (p LUKV) removed(l *Layer, ratio float64) ([]float32, error) {
	if len(p.Curve) != 99 || l.Index >= p.Curve[0].Rows {
		return nil, untrained("budget curve", len(p.Curve))
	}
	m := p.Curve[min(max(int(math.RoundToEven(100*ratio))-1, 0), 98)]
	if m.Cols != l.KVHeads || l.Index >= m.Rows {
		return nil, fmt.Errorf("the budget curve is (%d, %d), the layer has %d heads: take that of this model", m.Rows, m.Cols, l.KVHeads)
	}
	return m.Row(l.Index), nil
}

// counts shares the pairs that stay among the heads: whole numbers whose sum is the rounded sum of the exact shares.
func counts(removed []float32, lens []int) []int {
	keep, fraction := make([]int, len(lens)), make([]float32, len(lens))
	var sum float32
	pairs, whole := 0, 0
	for h, n := range lens {
		exact := min(max(1-removed[h], 0), 1) * float32(n)
		keep[h] = int(exact)
		fraction[h] = exact - float32(keep[h])
		sum += exact
		pairs += n
		whole += keep[h]
	}
	total := max(len(lens), min(pairs, int(math.RoundToEven(float64(sum)))))
	order := span(0, len(lens))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(fraction[b], fraction[a]) })
	for _, h := range order[:min(len(lens), max(0, total-whole))] {
		keep[h]++
	}
	for h, n := range lens {
		keep[h] = min(max(keep[h], 1), n)
	}
	return keep
}
