package llm

import (
	"fmt"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A hostBlock is one block of a decoder with its weights as float32 on the host, where it can be differentiated
// (backward.go). It reads some new tokens behind a context whose keys and values are given.
type hostBlock struct {
	attention               Attention // Positions are those of the new tokens
	attentionNorm, mlpNorm  []float32
	queryNorm, keyNorm      []float32 // of each head; nil for none
	bias                    []float32 // of qkv; nil for none
	qkv, output             linear
	gateUp, down            linear
	contextKeys, contextVal []tensor.Mat // per KV head (context, Dim); keys after RoPE
}

// linear is a weight for products in both directions.
type linear struct {
	forward  *tensor.Weight // (Out, In)
	backward *tensor.Weight // its transpose
}

// A passage is what one reading of tokens left behind, for the way back. Rows are tokens.
type passage struct {
	in      tensor.Mat   // (n, Width) the residual stream before the block
	raw     tensor.Mat   // (n, (Heads+2·KVHeads)·Dim) queries, keys and values before norms and RoPE
	queries []tensor.Mat // per query head (n, Dim) after RoPE
	keys    []tensor.Mat // per KV head (context+n, Dim) after RoPE
	values  []tensor.Mat // per KV head (context+n, Dim)
	middle  tensor.Mat   // (n, Width) the residual stream between attention and MLP
}

// differentiable tells why a model's blocks are not of the shape that a hostBlock has.
func (d *decoder) differentiable() error {
	if l := d.layers[0]; d.activation != SiLU || l.afterAttention.Mem != nil || l.afterMLP.Mem != nil {
		return fmt.Errorf("only blocks of Llama's shape can be differentiated, and %s has others: use kvzip", d.config.Architecture)
	}
	return nil
}

// hostBlock copies the weights of a layer to the host.
func (d *decoder) hostBlock(layer int, a Attention) (*hostBlock, error) {
	c, l := d.config, d.layers[layer]
	b := &hostBlock{attention: a}
	for _, v := range []struct {
		into *[]float32
		from Weight
		n    int
	}{
		{&b.attentionNorm, l.attentionNorm, c.Width},
		{&b.mlpNorm, l.mlpNorm, c.Width},
		{&b.queryNorm, l.queryNorm, c.Dim},
		{&b.keyNorm, l.keyNorm, c.Dim},
	} {
		if v.from.Mem == nil {
			continue
		}
		// The norm of ones is the weight.
		x, err := d.onHost(1, v.n, ones(v.n), func(x Buf) { d.backend.Norm(x, x, v.from, 0) })
		if err != nil {
			return nil, err
		}
		*v.into = x.Data
	}
	if l.bias.Mem != nil {
		x, err := d.onHost(1, l.qkv.Out, make([]float32, l.qkv.Out), func(x Buf) { d.backend.AddRow(x, l.bias) })
		if err != nil {
			return nil, err
		}
		b.bias = x.Data
	}
	for into, from := range map[*linear]Weight{&b.qkv: l.qkv, &b.output: l.output, &b.gateUp: l.gateUp, &b.down: l.down} {
		m, err := d.onHost(from.Out, from.In, nil, func(x Buf) { d.backend.Embed(x, from, upTo(0, from.Out), 1) })
		if err != nil {
			return nil, err
		}
		if *into, err = newLinear(m); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// onHost lets the backend work on a matrix that begins with some numbers, and reads it.
func (d *decoder) onHost(rows, cols int, begin []float32, work func(x Buf)) (tensor.Mat, error) {
	out := tensor.New(rows, cols)
	x, err := d.backend.Alloc(rows, cols)
	if err == nil && begin != nil {
		err = d.backend.Write(x, begin)
	}
	if err != nil {
		return out, err
	}
	work(x)
	return out, d.backend.Read(out.Data, x)
}

func ones(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 1
	}
	return x
}

func newLinear(m tensor.Mat) (l linear, err error) {
	if l.forward, err = tensor.PackF32(m.Rows, m.Cols, m.Data); err != nil {
		return l, err
	}
	l.backward, err = tensor.PackF32(m.Cols, m.Rows, tensor.Transposed(m).Data)
	return l, err
}

// product is x · wᵀ.
func product(x tensor.Mat, w *tensor.Weight) tensor.Mat {
	out := tensor.New(x.Rows, w.Out)
	w.MulT(out, x)
	return out
}

// norm is the root-mean-square norm of every row.
func norm(x tensor.Mat, weight []float32, epsilon float32) tensor.Mat {
	out := tensor.New(x.Rows, x.Cols)
	for i := range x.Rows {
		tensor.RMSNorm(out.Row(i), x.Row(i), weight, epsilon)
	}
	return out
}

// read runs the residual stream x (n, Width) through the block's attention.
func (b *hostBlock) read(x tensor.Mat) *passage {
	a := b.attention
	p := &passage{in: x, raw: product(norm(x, b.attentionNorm, a.Epsilon), b.qkv.forward)}
	if b.bias != nil {
		for i := range p.raw.Rows {
			tensor.Add(p.raw.Row(i), b.bias)
		}
	}
	for head := range a.Heads {
		p.queries = append(p.queries, b.rotated(p.raw, head, b.queryNorm))
	}
	for h := range a.KVHeads {
		p.keys = append(p.keys, stacked(b.contextKeys[h], b.rotated(p.raw, a.Heads+h, b.keyNorm)))
		p.values = append(p.values, stacked(b.contextVal[h], columns(p.raw, a.Heads+a.KVHeads+h, a.Dim)))
	}
	attended := tensor.New(x.Rows, a.Heads*a.Dim)
	tensor.Parallel(a.Heads, func(head int) {
		h := head * a.KVHeads / a.Heads
		b.eachRows(p, head, func(from int, weights tensor.Mat) {
			out := tensor.New(weights.Rows, a.Dim)
			tensor.Mul(out, weights, p.values[h])
			for i := range weights.Rows {
				copy(attended.Row(from + i)[head*a.Dim:], out.Row(i))
			}
		})
	})
	p.middle = product(attended, b.output.forward)
	tensor.Add(p.middle.Data, x.Data)
	return p
}

// eachRows computes the attention of a query head, some rows at a time: weights (rows, context+n) of the tokens from
// one on, 0 for keys that come later.
func (b *hostBlock) eachRows(p *passage, head int, show func(from int, weights tensor.Mat)) {
	q, keys := p.queries[head], p.keys[head*b.attention.KVHeads/b.attention.Heads]
	for from := 0; from < q.Rows; from += replayRows {
		rows := min(replayRows, q.Rows-from)
		weights := tensor.New(rows, keys.Rows)
		tensor.MulT(weights, q.Slice(from, from+rows), keys)
		for i := range rows {
			seen := keys.Rows - q.Rows + from + i + 1
			row := weights.Row(i)
			tensor.Scale(row[:seen], b.attention.Scale)
			tensor.Softmax(row[:seen])
			clear(row[seen:])
		}
		show(from, weights)
	}
}

// rotated are the queries or keys of one head, normed and turned to their positions.
func (b *hostBlock) rotated(raw tensor.Mat, head int, weight []float32) tensor.Mat {
	m := columns(raw, head, b.attention.Dim)
	if weight != nil {
		m = norm(m, weight, b.attention.Epsilon)
	}
	for i := range m.Rows {
		b.attention.Rope.Rotate(m.Row(i), b.attention.Positions[i])
	}
	return m
}

// columns copies the columns of one head.
func columns(m tensor.Mat, head, dim int) tensor.Mat {
	out := tensor.New(m.Rows, dim)
	for i := range m.Rows {
		copy(out.Row(i), m.Row(i)[head*dim:])
	}
	return out
}

// stacked puts one matrix under the other.
func stacked(above, below tensor.Mat) tensor.Mat {
	out := tensor.New(above.Rows+below.Rows, below.Cols)
	copy(out.Data, above.Data)
	copy(out.Data[len(above.Data):], below.Data)
	return out
}

// sigmoid is 1 / (1 + exp(-x)).
func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
