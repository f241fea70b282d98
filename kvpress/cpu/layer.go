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
	host := &kvpress.Host{Tokens: p.Tokens, TokensAt: p.Positions, Dim: p.Dim, Group: p.Heads / p.KVHeads, Scale: p.Scale, Window: p.Window, Rope: p.RopeFor, Memo: p.Memo}
	for h := range p.KVHeads {
		host.Pages = append(host.Pages, cache.layers[p.Layer][h].seen())
		host.At = append(host.At, cache.Positions(p.Layer, h))
	}
	again := &projected{p: p}
	host.Output = again.outputOf
	host.Project = func(head int, states tensor.Mat) (tensor.Mat, error) {
		return again.block(again.product(states, head+1), head), nil
	}
	if p.Hidden.Rows > 0 && p.Hidden.Rows == p.Tokens {
		host.States = func() (tensor.Mat, error) { return mat(p.Hidden).Clone(), nil }
	}
	host.Query = func(head, last int) (tensor.Mat, error) {
		if last > p.Hidden.Rows {
			return (&kvpress.Host{}).Queries(head, last) // says what to record
		}
		return again.column(head, last), nil
	}
	host.KeyStart = func(head int) (tensor.Mat, error) { return again.keys(host, head) }
	return host, nil
}

// keys are the keys of a head before RoPE: those of the cache turned back, as long as all are there.
func (p *projected) keys(host *kvpress.Host, head int) (tensor.Mat, error) {
	if len(host.At[head]) == host.Tokens {
		return host.KeysTurnedBack(head)
	}
	if p.p.Hidden.Rows < p.p.Tokens {
		return (&kvpress.Host{}).KeysBeforeRope(head) // says what to record
	}
	return p.block(p.product(mat(p.p.Hidden), p.p.Heads+p.p.KVHeads), p.p.Heads+head), nil
}

// projected computes queries and keys again from hidden states.
type projected struct {
	p       llm.Projections
	mu      sync.Mutex
	queries tensor.Mat // of the last queries.Rows tokens, all heads
}

// column returns the last queries of one head.
func (p *projected) column(head, last int) tensor.Mat {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queries.Rows < last {
		p.queries = p.product(mat(p.p.Hidden.Slice(p.p.Hidden.Rows-last, p.p.Hidden.Rows)), p.p.Heads)
	}
	return p.block(p.queries.Slice(p.queries.Rows-last, p.queries.Rows), head)
}

// product computes the first blocks, queries and then keys, before RoPE, of hidden states.
func (p *projected) product(states tensor.Mat, blocks int) tensor.Mat {
	w := p.p.QKV.Mem.(*tensor.Weight)
	out := tensor.New(states.Rows, blocks*p.p.Dim)
	w.MulTRows(out, states, 0, out.Cols)
	for i := range out.Rows {
		if p.p.Bias.Mem != nil {
			tensor.Add(out.Row(i), p.p.Bias.Mem.([]float32)[:out.Cols])
		}
		for h := range blocks {
			norm := p.p.QueryNorm
			if h >= p.p.Heads {
				norm = p.p.KeyNorm
			}
			normHead(out.Row(i)[h*p.p.Dim:(h+1)*p.p.Dim], norm, p.p.Epsilon)
		}
	}
	return out
}

// block copies the columns of one head.
func (p *projected) block(x tensor.Mat, block int) tensor.Mat {
	return x.Columns(block*p.p.Dim, (block+1)*p.p.Dim)
}

// outputOf returns the block of the output projection that belongs to a query head, (Width, Dim).
func (p *projected) outputOf(head int) (tensor.Mat, error) {
	w := p.p.Output.Mem.(*tensor.Weight)
	out := tensor.New(w.Out, p.p.Dim)
	w.Columns(out, head*p.p.Dim)
	return out, nil
}
