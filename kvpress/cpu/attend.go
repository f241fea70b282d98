package cpu

import (
	"sync"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// attendRows is the number of tokens whose attention is one piece of work: fewer share out the pairs instead.
const attendRows = 32

// An attending is an Attend at work. It is kept for the next one, so that decoding allocates nothing.
type attending struct {
	x, out tensor.Mat
	cache  *Cache
	heads  []head // of the layer
	a      llm.Attention
	few    []tensor.Head
	q, o   []float32 // queries and results, head after head

	rotate, attend func(task int) // the methods; to name one anew is an allocation
}

var attendings = sync.Pool{New: func() interface{} {
	w := new(attending)
	w.rotate, w.attend = w.rotateSome, w.attendSome
	return w
}}

// Attend rotates queries and keys, in place, appends keys and values to the cache, and attends: a token sees every pair
// that its KV head still has from before, and the new ones up to its own.
func (b *Backend) Attend(dst, qkv llm.Buf, c llm.Cache, a llm.Attention) {
	w := attendings.Get().(*attending)
	w.x, w.out, w.cache, w.a = mat(qkv), mat(dst), c.(*Cache), a
	w.heads = w.cache.layers[a.Layer]
	n := w.x.Rows
	for h := range w.heads {
		w.cache.extend(&w.heads[h], a.Positions)
	}
	tensor.Parallel(w.blocks(), w.rotate)
	for h := range w.heads {
		w.heads[h].pack(w.cache.ledger)
	}
	switch {
	case a.Unread:
	case n > attendRows:
		tensor.Parallel(a.KVHeads*w.blocks(), w.attend)
	default:
		w.attendFew()
	}
	w.x, w.out, w.cache, w.heads, w.a = tensor.Mat{}, tensor.Mat{}, nil, nil, llm.Attention{}
	attendings.Put(w)
}

// blocks is the number of pieces that the tokens are cut into.
func (w *attending) blocks() int { return (w.x.Rows + attendRows - 1) / attendRows }

func (w *attending) group() int { return w.a.Heads / w.a.KVHeads }

// rotateSome rotates the queries and keys of some tokens, and writes their keys and values into the cache.
func (w *attending) rotateSome(task int) {
	a, n := &w.a, w.x.Rows
	for i := task * attendRows; i < min(n, (task+1)*attendRows); i++ {
		row := w.x.Row(i)
		for g := range a.Heads + a.KVHeads {
			part, norm := row[g*a.Dim:(g+1)*a.Dim], a.QueryNorm
			if g >= a.Heads {
				norm = a.KeyNorm
			}
			normHead(part, norm, a.Epsilon)
			a.Rope.Rotate(part, a.Positions[i])
		}
		for h := range w.heads {
			key, value := a.Heads+h, a.Heads+a.KVHeads+h
			head := &w.heads[h]
			head.put(head.pages.Len-n+i, row[key*a.Dim:(key+1)*a.Dim], row[value*a.Dim:(value+1)*a.Dim])
		}
	}
}

// queries copies the queries of some tokens for a KV head; put is the way back, of the results.
func (w *attending) queries(q []float32, h, from, to int) {
	width := w.group() * w.a.Dim
	for i := from; i < to; i++ {
		copy(q[(i-from)*width:(i-from+1)*width], w.x.Row(i)[h*width:])
	}
}

func (w *attending) put(o []float32, h, from, to int) {
	width := w.group() * w.a.Dim
	for i := from; i < to; i++ {
		copy(w.out.Row(i)[h*width:(h+1)*width], o[(i-from)*width:])
	}
}

// attendFew lets all tokens attend at once, with the pairs shared out over the cores.
func (w *attending) attendFew() {
	n, rows := w.x.Rows, w.x.Rows*w.group()
	size := rows * w.a.Dim
	w.q, w.o, w.few = grown(w.q, len(w.heads)*size), grown(w.o, len(w.heads)*size), w.few[:0]
	for h := range w.heads {
		q, o := w.q[h*size:(h+1)*size], w.o[h*size:(h+1)*size]
		w.queries(q, h, 0, n)
		w.few = append(w.few, tensor.Head{
			Dst: tensor.Mat{Rows: rows, Cols: w.a.Dim, Data: o}, Q: tensor.Mat{Rows: rows, Cols: w.a.Dim, Data: q}, Pages: w.heads[h].pages,
		})
	}
	tensor.AttendHeads(w.few, w.group(), w.a.Scale, w.a.Window)
	for h := range w.heads {
		w.put(w.o[h*size:(h+1)*size], h, 0, n)
	}
	clear(w.few)
}

// A scratch holds the queries of a piece of work, and its results.
type scratch struct{ q, o []float32 }

var scratches = sync.Pool{New: func() interface{} { return new(scratch) }}

// attendSome lets some tokens attend to the pairs of one KV head.
func (w *attending) attendSome(task int) {
	// The last tokens see the most pairs: they come first, so that no core idles at the end.
	a, n, blocks := &w.a, w.x.Rows, w.blocks()
	h, block := task%a.KVHeads, blocks-1-task/a.KVHeads
	from, to := block*attendRows, min(n, (block+1)*attendRows)
	rows := (to - from) * w.group()
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.q, s.o = grown(s.q, rows*a.Dim), grown(s.o, rows*a.Dim)
	w.queries(s.q, h, from, to)
	pages := w.heads[h].pages
	pages.Len -= n - to
	tensor.Attend(tensor.Mat{Rows: rows, Cols: a.Dim, Data: s.o}, tensor.Mat{Rows: rows, Cols: a.Dim, Data: s.q}, w.group(), pages, a.Scale, a.Window)
	w.put(s.o, h, from, to)
}

func grown(x []float32, n int) []float32 {
	if cap(x) < n {
		return make([]float32, n)
	}
	return x[:n]
}

// normHead norms one head of one token in place, if the model does that.
func normHead(x []float32, w llm.Weight, epsilon float32) {
	if w.Mem != nil {
		tensor.RMSNorm(x, x, w.Mem.([]float32), epsilon)
	}
}
