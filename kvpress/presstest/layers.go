package presstest

import (
	"math"
	"math/rand/v2"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Sizes of the model that presses are checked on.
const (
	Depth   = 3  // layers
	Heads   = 6  // query heads
	KVHeads = 3  // key-value heads
	Dim     = 16 // channels of a head
	Width   = 48 // channels of the model
)

// Layers makes the layers of a small invented model right after the prefill of a context: queries, keys and values
// are projections of random hidden states, as in a real one. The same numbers of tokens give the same layers.
func Layers(tokens int) []*kvpress.Layer {
	layers := make([]*kvpress.Layer, Depth)
	for i := range layers {
		layers[i] = layer(i, tokens, 1)
	}
	return layers
}

// layer makes one layer; spread 0 makes all its numbers equal, so that every score ties.
func layer(index, tokens int, spread float32) *kvpress.Layer {
	r := rand.New(rand.NewPCG(uint64(index), uint64(tokens)))
	normal := func(rows, cols int, scale float32) tensor.Mat {
		m := tensor.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = float32(r.NormFloat64()) * scale
		}
		return m
	}
	hidden := normal(tokens, Width, spread)
	query, output := make([]tensor.Mat, Heads), make([]tensor.Mat, Heads)
	for head := range Heads {
		query[head], output[head] = normal(Dim, Width, 0.2), normal(Width, Dim, 0.2)
	}
	rope := tensor.Rope{Scale: 1}
	for i := range Dim / 2 {
		rope.Freq = append(rope.Freq, float32(math.Pow(10000, -float64(2*i)/Dim)))
	}
	host := &kvpress.Host{Tokens: tokens, Dim: Dim, Group: Heads / KVHeads, Rope: func(int) tensor.Rope { return rope }}
	host.States = func() (tensor.Mat, error) { return hidden.Clone(), nil }
	host.Project = func(head int, states tensor.Mat) (tensor.Mat, error) { return product(states, query[head]), nil }
	host.Query = func(head, last int) (tensor.Mat, error) {
		return product(tensor.Mat{Rows: last, Cols: Width, Data: hidden.Data[(tokens-last)*Width:]}, query[head]), nil
	}
	host.Output = func(head int) (tensor.Mat, error) { return output[head], nil }
	starts := make([]tensor.Mat, KVHeads)
	host.KeyStart = func(head int) (tensor.Mat, error) { return starts[head].Clone(), nil }
	for h := range KVHeads {
		starts[h] = product(hidden, normal(Dim, Width, 0.1*float32(h+1))) // heads that concentrate differently
		keys := starts[h].Clone()
		for i := range keys.Rows {
			rope.Rotate(keys.Row(i), i)
		}
		host.K, host.V = append(host.K, keys), append(host.V, product(hidden, normal(Dim, Width, 0.2)))
	}
	return kvpress.NewLayer(sizes(index, tokens), host)
}

func sizes(index, tokens int) kvpress.Layer {
	return kvpress.Layer{
		Index: index, Layers: Depth, Heads: Heads, KVHeads: KVHeads, Dim: Dim, Width: Width,
		Len: tokens, Tokens: tokens, PairBytes: 8 * Dim,
	}
}

// broken makes a layer whose keys and values hold numbers that are none.
func broken(tokens int) *kvpress.Layer {
	host := &kvpress.Host{Tokens: tokens, Dim: Dim, Group: Heads / KVHeads}
	for range KVHeads {
		nan := tensor.New(tokens, Dim)
		for i := range nan.Data {
			nan.Data[i] = float32(math.NaN())
		}
		host.K, host.V = append(host.K, nan), append(host.V, nan)
	}
	return kvpress.NewLayer(sizes(0, tokens), host)
}

// product is x·wᵀ.
func product(x, w tensor.Mat) tensor.Mat {
	y := tensor.New(x.Rows, w.Rows)
	tensor.MulT(y, x, w)
	return y
}
