package kvpress

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Cap keeps the pairs that add most to what the layer can still say: the leverage of each value among all values,
// where both count as much as the key points to where future queries look. CapKV, arXiv 2604.25975.
type Cap struct {
	Tau     float64 // sharpness of the weights; 0 means 5
	Future  int     // next positions over which rotations are averaged; 0 means 512
	Sinks   int     // first pairs that stay; 0 means 4, negative means none
	Epsilon float64 // least weight of a value; 0 means 1e-6, negative means none
}

func init() { Register(Method{Name: "cap", Paper: "arXiv 2604.25975", Scorer: Cap{}}) }

// Name spells the scorer, such as "cap(tau=2)".
func (s Cap) Name() string { return Spell("cap", s) }

// Score is weight times leverage of each pair, (KVHeads, Len); the sinks are forced.
func (s Cap) Score(l *Layer) (Scores, error) {
	tau, err := number("tau", s.Tau, 5)
	if err != nil {
		return Scores{}, err
	}
	epsilon, err := number("epsilon", s.Epsilon, 1e-6)
	if err != nil {
		return Scores{}, err
	}
	future, err := whole("future", s.Future, 512)
	if err != nil {
		return Scores{}, err
	}
	sinks := wholeOrNone(s.Sinks, 4)
	if n := min(l.Len, l.Tokens); n <= sinks {
		return Scores{}, fmt.Errorf("%d tokens, the sinks are %d: lower Sinks or use a longer context", n, sinks)
	}
	mean, _, err := l.QueryMoments(sinks)
	if err != nil {
		return Scores{}, err
	}
	turn, err := l.MeanRope(l.Next, future)
	if err != nil {
		return Scores{}, err
	}
	first, places, err := l.firstPlaces(sinks)
	if err != nil {
		return Scores{}, err
	}
	norms, err := l.KeyNorms()
	if err != nil {
		return Scores{}, err
	}
	byHead := tensor.New(l.Heads, l.Len)
	err = eachHead(l.KVHeads, func(h int) error {
		keys, err := l.rows(h, false)
		if err != nil {
			return err
		}
		vals, err := l.rows(h, true)
		if err != nil {
			return err
		}
		skip := len(places[h])
		keys, vals = keys.Slice(skip, keys.Rows), vals.Slice(skip, vals.Rows)
		for head := h * l.Group(); head < (h+1)*l.Group(); head++ {
			row := byHead.Row(head)[skip:l.Lens[h]]
			relevance(row, times(turn, mean.Row(head)), keys, norms.Row(h)[skip:], tau)
			if err := weightedLeverage(row, vals, epsilon); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Scores{}, err
	}
	return l.Protect(l.GroupMean(byHead), first)
}

// relevance writes exp(tau·cos(anchor, key)), scaled so that the largest is 1.
func relevance(row, anchor []float32, keys tensor.Mat, norms []float32, tau float64) {
	normalize(anchor)
	for i := range row {
		cosine := tensor.Dot(anchor, keys.Row(i)) / max(norms[i], 1e-8)
		row[i] = float32(tau) * min(max(cosine, -1), 1)
	}
	tensor.Exponentials(row)
}

// weightedLeverage multiplies weights by the leverage of their values in I + Σ (weight + epsilon)·v·vᵀ.
func weightedLeverage(weights []float32, vals tensor.Mat, epsilon float64) error {
	added := make([]float32, len(weights))
	for i, w := range weights {
		added[i] = w + float32(epsilon)
	}
	lev, err := leverages(vals, tensor.Gram(vals, added), 1)
	for i := range lev {
		weights[i] *= lev[i]
	}
	return err
}
