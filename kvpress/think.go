package kvpress

import (
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// ThinK drops channels of keys instead of pairs: those that matter least to the products of the last queries with
// all keys. Kept keys are stored shorter; no pair goes. Xu et al., arXiv 2407.21018.
type ThinK struct {
	Ratio  float64 // fraction of the channels of keys that goes, 0 to 1
	Window int     // last queries that count; 0 means 32
}

func init() {
	Register(Method{Name: "think", Paper: "arXiv 2407.21018", Example: "think(ratio=0.5)", Press: ThinK{}})
}

// Name spells the press, such as "think(ratio=0.5)".
func (p ThinK) Name() string { return Spell("think", p) }

// Plan keeps all pairs and, per KV head, the channels whose mean squares of queries and keys have the largest product.
func (p ThinK) Plan(l *Layer) (Plan, error) {
	window, err := whole("window", p.Window, 32)
	if err != nil {
		return Plan{}, l.at("think", err)
	}
	if err := Ratio(p.Ratio).Check(); err != nil {
		return Plan{}, l.at("think", err)
	}
	plan := KeepAll(l)
	gone := int(float64(l.Dim) * p.Ratio)
	if gone == 0 {
		return plan, nil
	}
	plan.Channels = make([][]int, l.KVHeads)
	err = eachHead(l.KVHeads, func(h int) error {
		keys, err := l.Keys(h)
		if err != nil {
			return err
		}
		seen := make([]float32, l.Dim)
		for head := h * l.Group(); head < (h+1)*l.Group(); head++ {
			q, err := l.QueriesAfterRope(head, min(window, l.Tokens))
			if err != nil {
				return err
			}
			tensor.Add(seen, meanSquares(q))
		}
		for c, k := range meanSquares(keys) {
			seen[c] *= k
		}
		plan.Channels[h] = best(seen, nil, l.Dim-gone)
		return nil
	})
	return plan, l.at("think", err)
}

// meanSquares is the mean of the squares of each column.
func meanSquares(x tensor.Mat) []float32 {
	sum := make([]float32, x.Cols)
	for i := range x.Rows {
		for c, v := range x.Row(i) {
			sum[c] += v * v
		}
	}
	tensor.Scale(sum, 1/float32(max(1, x.Rows)))
	return sum
}
