package cpu

import (
	"sync"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Layer shows one layer of a cache to a press. Queries and keys before RoPE are computed again from the recorded
// hidden states, once for all heads.
func (b *Backend) Layer(c llm.Cache, p llm.Projections) (kvpress.Source, error) {
	cache := c.(*Cache)
	host := &kvpress.Host{Tokens: p.Tokens, TokensAt: p.Positions, Dim: p.Dim, Group: p.Heads / p.KVHeads, Scale: p.Scale, Rope: p.RopeFor}
	for h := range p.KVHeads {
		host.Pages = append(host.Pages, cache.layers[p.Layer][h].seen())
		host.At = append(host.At, cache.Positions(p.Layer, h))
	}
	again := &projected{p: p}
	host.Output = again.outputOf
	host.Project = func(head int, states tensor.Mat) (tensor.Mat, error) {
		return again.block(again.product(states), head), nil
	}
	if p.Hidden.Rows > 0 {
		host.States = func() (tensor.Mat, error) { return mat(p.Hidden).Clone(), nil }
		host.Query = func(head, last int) (tensor.Mat, error) { return again.column(head, last), nil }
		host.KeyStart = func(head int) (tensor.Mat, error) { return again.column(p.Heads+head, p.Tokens), nil }
	}
	return host, nil
}

// projected computes queries and keys again from hidden states, and takes the output projection apart.
type projected struct {
	p      llm.Projections
	mu     sync.Mutex
	qkv    tensor.Mat   // of the last qkv.Rows tokens
	output []tensor.Mat // per query head (Width, Dim)
}

// column returns the last rows of one head's block of the qkv product.
func (p *projected) column(block, last int) tensor.Mat {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.qkv.Rows < last {
		p.qkv = p.product(mat(p.p.Hidden.Slice(p.p.Hidden.Rows-last, p.p.Hidden.Rows)))
	}
	return p.block(p.qkv.Slice(p.qkv.Rows-last, p.qkv.Rows), block)
}

// product computes queries, keys and values before RoPE of hidden states.
func (p *projected) product(states tensor.Mat) tensor.Mat {
	w := p.p.QKV.Mem.(*tensor.Weight)
	out := tensor.New(states.Rows, w.Out)
	w.MulT(out, states)
	for i := range out.Rows {
		if p.p.Bias.Mem != nil {
			tensor.Add(out.Row(i), p.p.Bias.Mem.([]float32))
		}
		for h := range p.p.Heads + p.p.KVHeads {
			norm := p.p.QueryNorm
			if h >= p.p.Heads {
				norm = p.p.KeyNorm
			}
			normHead(out.Row(i)[h*p.p.Dim:(h+1)*p.p.Dim], norm, p.p.Epsilon)
		}
	}
	return out
}

// block copies the columns of one head, query heads first.
func (p *projected) block(qkv tensor.Mat, block int) tensor.Mat {
	m, dim := tensor.New(qkv.Rows, p.p.Dim), p.p.Dim
	for i := range qkv.Rows {
		copy(m.Row(i), qkv.Row(i)[block*dim:(block+1)*dim])
	}
	return m
}

// outputOf returns the block of the output projection that belongs to a query head, (Width, Dim).
func (p *projected) outputOf(head int) (tensor.Mat, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.output == nil {
		w, dim := p.p.Output.Mem.(*tensor.Weight), p.p.Dim
		p.output = make([]tensor.Mat, p.p.Heads)
		for h := range p.output {
			p.output[h] = tensor.New(w.Out, dim)
		}
		row := make([]float32, w.In)
		for i := range w.Out {
			w.Row(row, i)
			for h := range p.output {
				copy(p.output[h].Row(i), row[h*dim:(h+1)*dim])
			}
		}
	}
	return p.output[head], nil
}
