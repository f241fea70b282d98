package cpu

import (
	"sync"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// attendRows is the number of tokens whose attention is one piece of work.
const attendRows = 32

var attendScratch = sync.Pool{New: func() interface{} { return new(scratch) }}

type scratch struct{ q, out []float32 }

func (s *scratch) size(n int) {
	if cap(s.q) < n {
		s.q, s.out = make([]float32, n), make([]float32, n)
	}
	s.q, s.out = s.q[:n], s.out[:n]
}

// Attend rotates queries and keys, appends keys and values to the cache, and attends: a token sees every pair that
// its KV head still has from before, and the new ones up to its own.
func (b *Backend) Attend(dst, qkv llm.Buf, c llm.Cache, a llm.Attention) {
	x, out, cache := mat(qkv), mat(dst), c.(*Cache)
	group, queries, keys := a.Heads/a.KVHeads, a.Heads*a.Dim, a.KVHeads*a.Dim
	n := x.Rows
	tensor.Parallel(a.KVHeads, func(h int) {
		head := &cache.layers[a.Layer][h]
		for i := 0; i < n; i++ {
			row := x.Row(i)
			key := row[queries+h*a.Dim : queries+(h+1)*a.Dim]
			normHead(key, a.KeyNorm, a.Epsilon)
			a.Rope.Rotate(key, a.Positions[i])
			value := row[queries+keys+h*a.Dim : queries+keys+(h+1)*a.Dim]
			head.append(cache.ledger, key, value, a.Positions[i])
		}
	})
	blocks := (n + attendRows - 1) / attendRows
	tensor.Parallel(a.KVHeads*blocks, func(task int) {
		// The last blocks see the most pairs: they come first, so that no core idles at the end.
		h, block := task%a.KVHeads, blocks-1-task/a.KVHeads
		from, to := block*attendRows, min(n, (block+1)*attendRows)
		s := attendScratch.Get().(*scratch)
		width := group * a.Dim
		s.size((to - from) * width)
		for i := from; i < to; i++ {
			q := s.q[(i-from)*width : (i-from+1)*width]
			copy(q, x.Row(i)[h*width:(h+1)*width])
			for g := 0; g < group; g++ {
				normHead(q[g*a.Dim:(g+1)*a.Dim], a.QueryNorm, a.Epsilon)
				a.Rope.Rotate(q[g*a.Dim:(g+1)*a.Dim], a.Positions[i])
			}
		}
		pages := cache.layers[a.Layer][h].pages
		pages.Len -= n - to
		rows := (to - from) * group
		tensor.Attend(tensor.Mat{Rows: rows, Cols: a.Dim, Data: s.out}, tensor.Mat{Rows: rows, Cols: a.Dim, Data: s.q}, group, pages, a.Scale, a.Window)
		for i := from; i < to; i++ {
			copy(out.Row(i)[h*width:(h+1)*width], s.out[(i-from)*width:(i-from+1)*width])
		}
		attendScratch.Put(s)
	})
}

// normHead norms one head of one token in place, if the model does that.
func normHead(x []float32, w llm.Weight, epsilon float32) {
	if w.Mem != nil {
		tensor.RMSNorm(x, x, w.Mem.([]float32), epsilon)
	}
}
