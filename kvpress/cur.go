package kvpress

import (
	"fmt"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// CUR keeps the pairs that a CUR decomposition of keys and values would choose: those of high leverage, approximated
// by squared norms relative to their neighbours. Sengupta et al., arXiv 2509.15038.
type CUR struct {
	Sinks    int    // first pairs that stay; 0 means 4, negative means none
	Leverage string // what counts: "kv_product" (also when empty), "key", "value" or "kv_avg"
	Random   bool   // project keys and values to 20 random dimensions first
	Window   int    // pairs among which norms are compared; 0 means 16, negative means the whole context
	Seed     uint64 // of the random projection
}

func init() { Register(Method{Name: "cur", Paper: "arXiv 2509.15038", Scorer: CUR{}}) }

// Name spells the scorer, such as "cur(leverage=key)".
func (s CUR) Name() string { return Spell("cur", s) }

// Score is the leverage of each pair; those of a head add up to 1, (KVHeads, Len). The sinks score 1 and are forced.
func (s CUR) Score(l *Layer) (Scores, error) {
	combine, ok := map[string]func(k, v float32) float32{
		"":           func(k, v float32) float32 { return k * v },
		"kv_product": func(k, v float32) float32 { return k * v },
		"kv_avg":     func(k, v float32) float32 { return (k + v) / 2 },
		"key":        func(k, _ float32) float32 { return k },
		"value":      func(_, v float32) float32 { return v },
	}[s.Leverage]
	if !ok {
		return Scores{}, fmt.Errorf("%w: leverage is %q: it is kv_product, kv_avg, key or value", ErrBadParameter, s.Leverage)
	}
	k, v, err := s.norms(l)
	if err != nil {
		return Scores{}, err
	}
	first, places, err := l.firstPlaces(wholeOrNone(s.Sinks, 4))
	if err != nil {
		return Scores{}, err
	}
	for h, n := range l.Lens {
		keys, vals := k.Row(h)[:n], v.Row(h)[:n]
		s.compare(keys)
		s.compare(vals)
		for i := range keys {
			keys[i] = combine(keys[i], vals[i])
		}
		tensor.Scale(keys, 1/nonzero(tensor.Sum(keys)))
		for _, i := range places[h] {
			keys[i] = 1
		}
	}
	return Scores{Values: k, Force: first}, nil
}

// norms are the L2 norms of keys and values, projected if that is wanted.
func (s CUR) norms(l *Layer) (keys, values tensor.Mat, err error) {
	if !s.Random {
		if keys, err = l.KeyNorms(); err == nil {
			values, err = l.ValueNorms()
		}
		return keys, values, err
	}
	const dimensions = 20
	gauss, err := l.Normal(l.Dim, dimensions, s.Seed)
	if err != nil {
		return keys, values, err
	}
	tensor.Scale(gauss.Data, float32(1/math.Sqrt(dimensions)))
	keys, values = tensor.New(l.KVHeads, l.Len), tensor.New(l.KVHeads, l.Len)
	for h := range l.KVHeads {
		for _, side := range []struct {
			read func(int) (tensor.Mat, error)
			dst  []float32
		}{{l.Keys, keys.Row(h)}, {l.Values, values.Row(h)}} {
			x, err := side.read(h)
			if err != nil {
				return keys, values, err
			}
			small := tensor.New(x.Rows, dimensions)
			tensor.Mul(small, x, gauss)
			for i := range small.Rows {
				side.dst[i] = tensor.Norm(small.Row(i))
			}
		}
	}
	return keys, values, nil
}

// compare squares the norms and divides each by the sum of its window.
func (s CUR) compare(norms []float32) {
	for i, x := range norms {
		norms[i] = x * x
	}
	window := s.Window
	switch {
	case window == 0:
		window = 16
	case window < 0:
		return
	}
	for from := 0; from < len(norms); from += window {
		part := norms[from:min(from+window, len(norms))]
		tensor.Scale(part, 1/nonzero(tensor.Sum(part)))
	}
}

// nonzero guards a division.
func nonzero(x float32) float32 {
	if x == 0 {
		return 1
	}
	return x
}
