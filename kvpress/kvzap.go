package kvpress

import (
	"errors"
	"fmt"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// KVzap reads from the hidden states, with a small trained net per layer, how much KVzip would want each pair: the
// logarithm of its score. Made for a threshold (see DMS). Jégou et al., arXiv 2601.07891. Only right after a prefill.
type KVzap struct {
	Nets [][]Affine // per layer: one map (linear), or two with a GELU between them (mlp)
}

// Affine is a trained map x to W·x + b.
type Affine struct {
	Weight tensor.Mat // (out, in)
	Bias   []float32  // out
}

func init() { Register(Method{Name: "kvzap", Paper: "arXiv 2601.07891", Scorer: KVzap{}}) }

// Name spells the scorer.
func (KVzap) Name() string { return "kvzap" }

// Score is what the layer's net says of each token, (KVHeads, Len).
func (s KVzap) Score(l *Layer) (Scores, error) {
	if l.Index >= len(s.Nets) {
		return Scores{}, untrained("nets", len(s.Nets))
	}
	x, err := l.Hidden()
	if err != nil {
		return Scores{}, err
	}
	for i, a := range s.Nets[l.Index] {
		if i > 0 {
			gelu(x.Data)
		}
		if x, err = a.apply(x); err != nil {
			return Scores{}, err
		}
	}
	if x.Cols != l.KVHeads {
		return Scores{}, fmt.Errorf("the net scores %d heads, the layer has %d: take that of this model", x.Cols, l.KVHeads)
	}
	return perToken(l, x)
}

// perToken makes scores of a number for every token and KV head, (Tokens, KVHeads).
func perToken(l *Layer, x tensor.Mat) (Scores, error) {
	values := tensor.New(l.KVHeads, l.Len)
	start := l.Next - l.Tokens
	for h := range l.KVHeads {
		at, err := l.Positions(h)
		if err != nil {
			return Scores{}, err
		}
		for i, p := range at {
			if p < start {
				return Scores{}, errors.New("the hidden states of older pairs are gone: score them while they are new")
			}
			values.Row(h)[i] = x.At(p-start, h)
		}
	}
	return Scores{Values: values}, nil
}

// apply maps every row of x.
func (a Affine) apply(x tensor.Mat) (tensor.Mat, error) {
	if a.Weight.Cols != x.Cols || len(a.Bias) != 0 && len(a.Bias) != a.Weight.Rows {
		return x, fmt.Errorf("trained weights (%d, %d) with %d biases do not fit %d channels: take those of this model", a.Weight.Rows, a.Weight.Cols, len(a.Bias), x.Cols)
	}
	y := tensor.New(x.Rows, a.Weight.Rows)
	blocks := (x.Rows + rowBlock - 1) / rowBlock
	tensor.Parallel(blocks, func(b int) {
		from, to := b*rowBlock, min((b+1)*rowBlock, x.Rows)
		tensor.MulT(y.Slice(from, to), x.Slice(from, to), a.Weight)
		for i := from; i < to && len(a.Bias) > 0; i++ {
			tensor.Add(y.Row(i), a.Bias)
		}
	})
	return y, nil
}

// gelu is the exact one, in place.
func gelu(x []float32) {
	for i, v := range x {
		x[i] = float32(float64(v) / 2 * (1 + math.Erf(float64(v)/math.Sqrt2)))
	}
}
