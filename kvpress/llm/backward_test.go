package llm

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// randomBlock invents a block with everything that a block may have, more query heads than KV heads, and a context.
func randomBlock(t *testing.T, r *rand.Rand, context, tokens int) (*hostBlock, tensor.Mat) {
	t.Helper()
	const width, inner, heads, kvHeads, dim = 20, 28, 4, 2, 8
	normal := func(rows, cols int, deviation float64) tensor.Mat {
		m := tensor.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = float32(r.NormFloat64() * deviation)
		}
		return m
	}
	around := func(n int) []float32 {
		x := normal(1, n, 0.3).Data
		for i := range x {
			x[i]++
		}
		return x
	}
	rope := tensor.Rope{Freq: []float32{1, 0.3, 0.1}, Scale: 1.2} // two channels are not rotated
	b := &hostBlock{
		attention:     Attention{Heads: heads, KVHeads: kvHeads, Dim: dim, Rope: rope, Scale: 0.4, Epsilon: 1e-5, Positions: upTo(context, tokens)},
		attentionNorm: around(width), mlpNorm: around(width), queryNorm: around(dim), keyNorm: around(dim),
		bias: normal(1, (heads+2*kvHeads)*dim, 0.2).Data,
	}
	for _, w := range []struct {
		into    *linear
		out, in int
	}{{&b.qkv, (heads + 2*kvHeads) * dim, width}, {&b.output, width, heads * dim}, {&b.gateUp, 2 * inner, width}, {&b.down, width, inner}} {
		var err error
		if *w.into, err = newLinear(normal(w.out, w.in, 0.3)); err != nil {
			t.Fatal(err)
		}
	}
	for range kvHeads {
		b.contextKeys, b.contextVal = append(b.contextKeys, normal(context, dim, 1)), append(b.contextVal, normal(context, dim, 1))
	}
	return b, normal(tokens, width, 1)
}

// behind runs the block's MLP: the residual stream behind the block.
func (b *hostBlock) behind(middle tensor.Mat) tensor.Mat {
	gateUp := product(norm(middle, b.mlpNorm, b.attention.Epsilon), b.gateUp.forward)
	gated := tensor.New(middle.Rows, b.down.forward.In)
	for i := range gated.Rows {
		gate, up := gateUp.Row(i)[:gated.Cols], gateUp.Row(i)[gated.Cols:]
		for j := range gate {
			gated.Set(i, j, gate[j]*sigmoid(gate[j])*up[j])
		}
	}
	out := product(gated, b.down.forward)
	tensor.Add(out.Data, middle.Data)
	return out
}

// TestBackwardAgreesWithDifferences compares the gradients of a weighted sum of a block's outputs with what the sum does
// when its inputs move a little. Tokens fill more than one block of rows.
func TestBackwardAgreesWithDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []struct{ context, tokens int }{{5, 7}, {9, replayRows + 6}, {0, 3}} {
		b, x := randomBlock(t, r, size.context, size.tokens)
		weights := tensor.New(x.Rows, x.Cols)
		for i := range weights.Data {
			weights.Data[i] = float32(r.NormFloat64())
		}
		sum := func(y tensor.Mat) float64 {
			total := 0.0
			for i, v := range y.Data {
				total += float64(v) * float64(weights.Data[i])
			}
			return total
		}
		p := b.read(x)
		middle := b.throughMLP(p, weights)
		before := b.throughAttention(p, middle)
		compare := func(what string, at, grad tensor.Mat, f func(y tensor.Mat) float64) {
			worst, scale := 0.0, float64(tensor.Norm(grad.Data))/math.Sqrt(float64(len(grad.Data)))
			for i := 0; i < len(at.Data); i += 1 + len(at.Data)/97 {
				const step = 1.0 / 128
				moved := at.Clone()
				moved.Data[i] += step
				up := f(moved)
				moved.Data[i] -= 2 * step
				slope := (up - f(moved)) / (2 * step)
				worst = max(worst, math.Abs(slope-float64(grad.Data[i]))/scale)
			}
			t.Logf("%d tokens behind %d: %s: largest difference %.1e of the usual size", size.tokens, size.context, what, worst)
			if worst > 1e-2 {
				t.Errorf("%d tokens behind %d: the gradient through the %s differs by %g of its usual size", size.tokens, size.context, what, worst)
			}
		}
		compare("MLP", p.middle, middle, func(y tensor.Mat) float64 { return sum(b.behind(y)) })
		compare("whole block", x, before, func(y tensor.Mat) float64 { return sum(b.behind(b.read(y).middle)) })
	}
}
