package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// The benchmarks have the shape of one layer of SmolLM2-135M.
const (
	benchWidth, benchInner               = 576, 1536
	benchHeads, benchKVHeads, benchDim   = 9, 3, 64
	benchQKV                             = (benchHeads + 2*benchKVHeads) * benchDim
	benchTokens, benchRows, benchEpsilon = 2048, 256, 1e-5
	benchQueries                         = benchHeads * benchDim
)

// benchBuf is a matrix of random numbers.
func benchBuf(b *testing.B, rows, cols int) llm.Buf {
	b.Helper()
	buf, err := New().Alloc(rows, cols)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	for i := range mat(buf).Data {
		mat(buf).Data[i] = float32(r.NormFloat64())
	}
	return buf
}

// benchWeight is a weight of random bfloat16 numbers.
func benchWeight(b *testing.B, out, in int) llm.Weight {
	b.Helper()
	data := make([]byte, 2*out*in)
	tensor.ToBF16(data, mat(benchBuf(b, out, in)).Data)
	w, err := New().Upload(weights.Tensor{DType: weights.BF16, Shape: []int{out, in}, Data: data})
	if err != nil {
		b.Fatal(err)
	}
	return w
}

func benchAttention(first, n int) llm.Attention {
	a := llm.Attention{Heads: benchHeads, KVHeads: benchKVHeads, Dim: benchDim, Scale: 0.125, Rope: tensor.Rope{Freq: make([]float32, benchDim/2), Scale: 1, Turns: &tensor.Turns{}}}
	for i := range a.Rope.Freq {
		a.Rope.Freq[i] = 1 / float32(i+1)
	}
	for i := range n {
		a.Positions = append(a.Positions, first+i)
	}
	return a
}

// benchCache is the cache of one layer that has seen random tokens.
func benchCache(b *testing.B, tokens int) *Cache {
	b.Helper()
	c := newCache(llm.CacheShape{Layers: 1, KVHeads: benchKVHeads, Dim: benchDim})
	for h := range benchKVHeads {
		pairs := mat(benchBuf(b, tokens, 2*benchDim))
		for i := range tokens {
			c.layers[0][h].append(c.ledger, pairs.Row(i)[:benchDim], pairs.Row(i)[benchDim:], i)
		}
	}
	return c
}

// BenchmarkAttend is the attention of a row block at the end of a prefill, and of a token after it.
func BenchmarkAttend(b *testing.B) {
	for _, rows := range []int{benchRows, 1} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			c, qkv, dst := benchCache(b, benchTokens-rows), benchBuf(b, rows, benchQKV), benchBuf(b, rows, benchQueries)
			a, mark := benchAttention(benchTokens-rows, rows), c.Mark()
			for b.Loop() {
				New().Attend(dst, qkv, c, a)
				c.Rewind(mark)
			}
		})
	}
}

// BenchmarkRows is what happens to the rows of a block beside products and attention.
func BenchmarkRows(b *testing.B) {
	backend, x, y, wide := New(), benchBuf(b, benchRows, benchWidth), benchBuf(b, benchRows, benchWidth), benchBuf(b, benchRows, 2*benchInner)
	gated, norm := benchBuf(b, benchRows, benchInner), llm.Weight{Out: 1, In: benchWidth, Mem: mat(benchBuf(b, 1, benchWidth)).Data}
	for name, f := range map[string]func(){
		"Norm": func() { backend.Norm(y, x, norm, benchEpsilon) },
		"Add":  func() { backend.Add(y, x) },
		"Gate": func() { backend.Gate(gated, wide, llm.SiLU) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f()
			}
		})
	}
}

// BenchmarkLayer is what presses ask a layer for.
func BenchmarkLayer(b *testing.B) {
	c, rope := benchCache(b, benchTokens), benchAttention(0, 0).Rope
	p := llm.Projections{
		Attention: benchAttention(0, benchTokens), QKV: benchWeight(b, benchQKV, benchWidth), Output: benchWeight(b, benchWidth, benchQueries),
		Hidden: benchBuf(b, benchTokens, benchWidth), Tokens: benchTokens, RopeFor: func(int) tensor.Rope { return rope },
	}
	for name, ask := range map[string]func(s kvpress.Source) error{
		"KeyNorms":      func(s kvpress.Source) error { _, err := s.KeyNorms(); return err },
		"ValueNorms":    func(s kvpress.Source) error { _, err := s.ValueNorms(); return err },
		"OutputNorms":   func(s kvpress.Source) error { _, err := s.OutputNorms(2); return err },
		"OutputSums":    func(s kvpress.Source) error { _, err := s.OutputNorms(1); return err },
		"Attention64":   func(s kvpress.Source) error { _, err := s.Attention(64, nil); return err },
		"AttentionSums": func(s kvpress.Source) error { _, err := s.AttentionSums(); return err },
		"QueryMoments":  func(s kvpress.Source) error { _, _, err := s.QueryMoments(4); return err },
		"Keys":          func(s kvpress.Source) error { _, err := s.Keys(0); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s, err := New().Layer(c, p)
				if err == nil {
					err = ask(s)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
