package kvpress

import (
	"errors"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Leverage keeps the keys that span the space of all keys before RoPE: their statistical leverage, estimated from a
// random sketch. Chari et al., arXiv 2507.08143. Only right after a prefill.
type Leverage struct {
	Sketch int    // dimensions of the sketch; 0 means 48
	Seed   uint64 // of the sketch; layers draw different ones
}

func init() { Register(Method{Name: "leverage", Paper: "arXiv 2507.08143", Scorer: Leverage{}}) }

// Name spells the scorer, such as "leverage(sketch=8)".
func (s Leverage) Name() string { return Spell("leverage", s) }

// errOnlyPrefill reports a scorer that needs the hidden states of all pairs.
var errOnlyPrefill = errors.New("compares all tokens of a context and works right after its prefill only: put it first")

// Score is the leverage of each key in units of the layer's deviation, (KVHeads, Len).
func (s Leverage) Score(l *Layer) (Scores, error) {
	sketch, err := whole("sketch", s.Sketch, 48)
	if err != nil {
		return Scores{}, err
	}
	if l.Ragged() || l.Tokens != l.Len {
		return Scores{}, errOnlyPrefill
	}
	gauss, err := l.Normal(l.KVHeads*l.Dim, sketch, s.Seed)
	if err != nil {
		return Scores{}, err
	}
	values := tensor.New(l.KVHeads, l.Len)
	err = eachHead(l.KVHeads, func(h int) error {
		keys, err := l.KeysBeforeRope(h)
		if err != nil {
			return err
		}
		mean := make([]float32, l.Dim)
		for i := range keys.Rows {
			tensor.AddScaled(mean, 1/float32(keys.Rows), keys.Row(i))
		}
		for i := range keys.Rows {
			tensor.AddScaled(keys.Row(i), -1, mean)
		}
		small := tensor.New(keys.Rows, sketch)
		tensor.Mul(small, keys, gauss.Slice(h*l.Dim, (h+1)*l.Dim))
		tensor.Scale(small.Data, float32(1/math.Sqrt(float64(sketch))))
		gram := tensor.New(sketch, sketch)
		tensor.TMul(gram, small, small)
		lev, err := leverages(small, gram, 1e-2)
		copy(values.Row(h), lev)
		return err
	})
	if err != nil {
		return Scores{}, err
	}
	standardize(l, values)
	return Scores{Values: values}, nil
}
