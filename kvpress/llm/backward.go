package llm

import (
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// The way back through a block: vector-Jacobian products, written by hand. Of a function y = f(x) and the gradient of
// some number with respect to y they make its gradient with respect to x. Weights and the context are constants.

// throughMLP takes a gradient (n, Width) from behind the block to between its attention and its MLP. It is also the
// gradient with respect to what the attention adds to the residual stream.
func (b *hostBlock) throughMLP(p *passage, after tensor.Mat) tensor.Mat {
	inner := b.down.forward.In
	gateUp := product(norm(p.middle, b.mlpNorm, b.attention.Epsilon), b.gateUp.forward)
	gated := product(after, b.down.backward)
	tensor.Parallel(gateUp.Rows, func(i int) {
		gate, up := gateUp.Row(i)[:inner], gateUp.Row(i)[inner:]
		for j, g := range gated.Row(i) {
			s := sigmoid(gate[j])
			silu := gate[j] * s
			gate[j], up[j] = g*up[j]*(s+silu*(1-s)), g*silu
		}
	})
	before := product(gateUp, b.gateUp.backward)
	throughNorm(before, p.middle, b.mlpNorm, b.attention.Epsilon)
	tensor.Add(before.Data, after.Data)
	return before
}

// throughAttention takes a gradient (n, Width) from between attention and MLP to before the block.
func (b *hostBlock) throughAttention(p *passage, middle tensor.Mat) tensor.Mat {
	a := b.attention
	group := a.Heads / a.KVHeads
	attended := product(middle, b.output.backward)
	raw := tensor.New(p.raw.Rows, p.raw.Cols)
	tensor.Parallel(a.KVHeads, func(h int) {
		keys, values := tensor.New(raw.Rows, a.Dim), tensor.New(raw.Rows, a.Dim)
		for head := h * group; head < (h+1)*group; head++ {
			queries := b.throughHead(p, head, columns(attended, head, a.Dim), keys, values)
			b.throughRotation(raw, queries, p.raw, head, b.queryNorm)
		}
		b.throughRotation(raw, keys, p.raw, a.Heads+h, b.keyNorm)
		for i := range raw.Rows {
			copy(raw.Row(i)[(a.Heads+a.KVHeads+h)*a.Dim:], values.Row(i))
		}
	})
	before := product(raw, b.qkv.backward)
	throughNorm(before, p.in, b.attentionNorm, a.Epsilon)
	tensor.Add(before.Data, middle.Data)
	return before
}

// throughHead takes the gradient (n, Dim) of what one query head attended to back to its queries, which it returns, and
// adds to those of the new tokens' keys and values.
func (b *hostBlock) throughHead(p *passage, head int, out, keys, values tensor.Mat) tensor.Mat {
	h := head * b.attention.KVHeads / b.attention.Heads
	n, context := out.Rows, p.keys[h].Rows-out.Rows
	queries := tensor.New(n, out.Cols)
	b.eachRows(p, head, func(from int, weights tensor.Mat) {
		to := from + weights.Rows
		grad := tensor.New(weights.Rows, weights.Cols) // of the weights, then of what the softmax got
		tensor.MulT(grad, out.Slice(from, to), p.values[h])
		addProduct(values, weights, context, out.Slice(from, to))
		for i := range grad.Rows {
			row, w := grad.Row(i), weights.Row(i)
			mean := tensor.Dot(row, w)
			for j, share := range w {
				row[j] = share * (row[j] - mean) * b.attention.Scale
			}
		}
		tensor.Mul(queries.Slice(from, to), grad, p.keys[h])
		addProduct(keys, grad, context, p.queries[head].Slice(from, to))
	})
	return queries
}

// addProduct is dst += aᵀ · x, without the first columns of a.
func addProduct(dst, a tensor.Mat, skip int, x tensor.Mat) {
	sum := tensor.New(a.Cols-skip, x.Cols)
	tensor.MulT(sum, tensor.Transposed(a).Slice(skip, a.Cols), tensor.Transposed(x))
	tensor.Add(dst.Data, sum.Data)
}

// throughRotation takes the gradient of one head's queries or keys back to before RoPE and norm, into the head's columns
// of into.
func (b *hostBlock) throughRotation(into, grad, raw tensor.Mat, head int, weight []float32) {
	for i := range grad.Rows {
		b.attention.Rope.Rotate(grad.Row(i), -b.attention.Positions[i])
	}
	if weight != nil {
		throughNorm(grad, columns(raw, head, grad.Cols), weight, b.attention.Epsilon)
	}
	for i := range grad.Rows {
		copy(into.Row(i)[head*grad.Cols:], grad.Row(i))
	}
}

// throughNorm takes a gradient back through the root-mean-square norm of the rows of x, in place: of y = x·r·w with
// r = 1/sqrt(mean(x²)+ε) it makes r·(w·g - x·r²·mean(x·w·g)).
func throughNorm(grad, x tensor.Mat, weight []float32, epsilon float32) {
	for i := range grad.Rows {
		g, row := grad.Row(i), x.Row(i)
		r := float32(1 / math.Sqrt(float64(tensor.Dot(row, row)/float32(x.Cols)+epsilon)))
		for j, w := range weight {
			g[j] *= w
		}
		along := r * r * tensor.Dot(row, g) / float32(x.Cols)
		for j, v := range row {
			g[j] = r * (g[j] - v*along)
		}
	}
}
