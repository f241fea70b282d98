package kvpress_test

import (
	"math/rand/v2"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// BenchmarkPresses times presses on layers like those of a small real model: 9 query heads, 3 KV heads of 64
// channels, 2,048 pairs. One operation is one layer.
func BenchmarkPresses(b *testing.B) {
	l := realLayer(2048)
	for _, spelling := range []string{
		"knorm:0.5", "random:0.5", "streaming_llm:0.5", "keydiff:0.5", "snapkv:0.5", "tova:0.5", "expected_attention:0.5",
		"adakv(snapkv):0.5", "adasnapkv:0.5", "criticalkv(snapkv):0.5", "lagkv:0.5", "cur:0.5", "cap:0.5", "leverage:0.5",
		"noncausal:0.5", "compactor:0.5", "chunkkv(snapkv):0.5", "pyramidkv:0.5", "think(ratio=0.5)", "merging(snapkv):0.5",
		"block(keydiff):0.5", "chunk(keydiff, length=256):0.5", "composed(snapkv:0.3, keydiff:0.3)", "observed_attention:0.5",
	} {
		p, err := kvpress.Parse(spelling)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(spelling, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Plan(l); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// realLayer is a layer with the query moments recorded, as a prefill leaves it.
func realLayer(tokens int) *kvpress.Layer {
	const heads, kvHeads, dim, width = 9, 3, 64, 576
	r := rand.New(rand.NewPCG(1, 1))
	normal := func(rows, cols int) tensor.Mat {
		m := tensor.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = float32(r.NormFloat64())
		}
		return m
	}
	rope := tensor.Rope{Scale: 1}
	for i := range dim / 2 {
		rope.Freq = append(rope.Freq, 1/float32(1+i*i))
	}
	host := &kvpress.Host{Tokens: tokens, Dim: dim, Group: heads / kvHeads, Rope: func(int) tensor.Rope { return rope }}
	var queries, outputs, moments []tensor.Mat
	mean := tensor.New(heads, dim)
	for head := range heads {
		queries, outputs = append(queries, normal(tokens, dim)), append(outputs, normal(width, dim))
		moments = append(moments, tensor.New(dim, dim))
		kvpress.Moments(mean.Row(head), moments[head], queries[head].Clone())
	}
	for range kvHeads {
		host.K, host.V = append(host.K, normal(tokens, dim)), append(host.V, normal(tokens, dim))
	}
	host.Moments = func(int) (tensor.Mat, []tensor.Mat, bool) { return mean, moments, true }
	host.Query = func(head, last int) (tensor.Mat, error) {
		return tensor.Mat{Rows: last, Cols: dim, Data: queries[head].Data[(tokens-last)*dim:]}.Clone(), nil
	}
	host.KeyStart = func(head int) (tensor.Mat, error) { return host.K[head].Clone(), nil }
	host.Output = func(head int) (tensor.Mat, error) { return outputs[head], nil }
	return kvpress.NewLayer(kvpress.Layer{
		Layers: 30, Heads: heads, KVHeads: kvHeads, Dim: dim, Width: width, Len: tokens, Tokens: tokens, PairBytes: 4 * dim,
	}, host)
}
