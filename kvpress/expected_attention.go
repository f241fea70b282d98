package kvpress

import (
	"fmt"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// ExpectedAttention keeps what future queries are expected to look at: queries before RoPE are close to a Gaussian,
// so the mean attention that the next positions will pay to a key has a closed form, and is weighted by the norm of
// the value. Devoto et al., arXiv 2510.00636.
type ExpectedAttention struct {
	Future       int     // next positions over which rotations are averaged; 0 means 512
	Sinks        int     // first pairs that stay; 0 means 4, negative means none
	Epsilon      float64 // added to the expected attention before values weigh it
	NoCovariance bool    // use the mean of the queries alone
	NoValueNorm  bool    // do not weigh by the norms of the values
}

func init() {
	Register(Method{Name: "expected_attention", Paper: "arXiv 2510.00636", Scorer: ExpectedAttention{}})
}

// Name spells the scorer, such as "expected_attention(epsilon=0.01)".
func (s ExpectedAttention) Name() string { return Spell("expected_attention", s) }

// Score is the expected attention of each pair, (KVHeads, Len); the sinks are forced.
func (s ExpectedAttention) Score(l *Layer) (Scores, error) {
	sinks := wholeOrNone(s.Sinks, 4)
	if l.Tokens <= sinks {
		return Scores{}, fmt.Errorf("%d tokens, the sinks are %d: lower Sinks or use a longer context", l.Tokens, sinks)
	}
	mean, cov, err := l.QueryMoments(sinks)
	if err != nil {
		return Scores{}, err
	}
	return s.scoreFor(l, sinks, mean, cov)
}

// scoreFor scores the pairs for future queries of the given mean (Heads, Dim) and covariance (Dim, Dim) per head,
// before RoPE.
func (s ExpectedAttention) scoreFor(l *Layer, sinks int, mean tensor.Mat, cov []tensor.Mat) (Scores, error) {
	future, err := whole("future", s.Future, 512)
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
	attention := tensor.New(l.Heads, l.Len)
	err = eachHead(l.KVHeads, func(h int) error {
		keys, err := l.Keys(h)
		if err != nil {
			return err
		}
		skip := len(places[h])
		rest := keys.Slice(skip, keys.Rows)
		for head := h * l.Group(); head < (h+1)*l.Group(); head++ {
			row := attention.Row(head)[skip:keys.Rows]
			s.expect(row, rest, times(turn, mean.Row(head)))
			if !s.NoCovariance {
				addSpread(row, rest, turned(turn, cov[head]))
			}
			tensor.Softmax(row)
		}
		return nil
	})
	if err != nil {
		return Scores{}, err
	}
	values := l.GroupMean(attention)
	if !s.NoValueNorm {
		norms, err := l.ValueNorms()
		if err != nil {
			return Scores{}, err
		}
		for i, n := range norms.Data {
			values.Data[i] = (values.Data[i] + float32(s.Epsilon)) * n
		}
	}
	return l.Protect(values, first)
}

// expect writes the logits of a query that is exactly the mean.
func (s ExpectedAttention) expect(row []float32, keys tensor.Mat, mean []float32) {
	tensor.MulT(tensor.Mat{Rows: 1, Cols: len(row), Data: row}, tensor.Mat{Rows: 1, Cols: len(mean), Data: mean}, keys)
	tensor.Scale(row, float32(1/math.Sqrt(float64(keys.Cols))))
}

// addSpread adds kᵀ·cov·k / 2d: the mean of exp(q·k/sqrt(d)) grows with the variance of q·k.
func addSpread(row []float32, keys, cov tensor.Mat) {
	spread := tensor.New(keys.Rows, keys.Cols)
	tensor.MulT(spread, keys, cov) // the covariance is symmetric
	for i := range row {
		row[i] += tensor.Dot(spread.Row(i), keys.Row(i)) / float32(2*keys.Cols)
	}
}

// times is r·x.
func times(r tensor.Mat, x []float32) []float32 {
	y := make([]float32, r.Rows)
	tensor.MulT(tensor.Mat{Rows: 1, Cols: len(y), Data: y}, tensor.Mat{Rows: 1, Cols: len(x), Data: x}, r)
	return y
}

// turned is r·c·rᵀ for a symmetric c.
func turned(r, c tensor.Mat) tensor.Mat {
	half, out := tensor.New(r.Rows, c.Rows), tensor.New(r.Rows, r.Rows)
	tensor.MulT(half, r, c)
	tensor.MulT(out, half, r)
	return out
}
