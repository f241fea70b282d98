//go:build cuda && cgo

package cuda

import (
	"fmt"
	"sort"
	"sync"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Layer shows one layer of a cache to a press. Lengths and attention are found on the device; other numbers are copied
// to the host when a press first asks for them. Queries and keys before RoPE are computed again from the recorded
// hidden states.
func (b *Backend) Layer(c llm.Cache, p llm.Projections) (kvpress.Source, error) {
	cache := c.(*Cache)
	l := &layer{b: b, cache: cache, p: p}
	host := &kvpress.Host{
		Tokens: p.Tokens, TokensAt: p.Positions, Dim: p.Dim, Group: p.Heads / p.KVHeads, Scale: p.Scale, Window: p.Window, Rope: p.RopeFor, Memo: p.Memo,
		Fetch: func(head int) (keys, values tensor.Mat, err error) { return cache.Pairs(p.Layer, head) },
		Norms: l.lengths, Output: l.outputOf, Project: l.project,
	}
	for h := range p.KVHeads {
		host.At = append(host.At, cache.Positions(p.Layer, h))
	}
	l.at = host.At
	host.KeyStart = func(head int) (tensor.Mat, error) { return l.keys(host, head) }
	if p.Hidden.Rows > 0 {
		host.States = func() (tensor.Mat, error) { return b.host(p.Hidden) }
		host.Query = l.column
		host.Weigh = l.weigh
	}
	return host, nil
}

// host copies a matrix to the host.
func (b *Backend) host(x llm.Buf) (tensor.Mat, error) {
	m := tensor.New(x.Rows, x.Cols)
	return m, b.Read(m.Data, x)
}

// A layer computes queries and keys again from hidden states, and takes the output projection apart.
type layer struct {
	b     *Backend
	cache *Cache
	p     llm.Projections
	at    [][]int // per KV head: token position of each pair

	mu      sync.Mutex
	queries tensor.Mat   // before RoPE, of the last queries.Rows tokens, all heads
	output  []tensor.Mat // per query head (Width, Dim)
}

// borrow makes a matrix on the device that is to be returned.
func (b *Backend) borrow(rows, cols int) (llm.Buf, error) {
	b.device.enter()
	defer b.device.leave()
	o, err := b.device.borrow(int64(4 * rows * cols))
	return llm.Buf{Rows: rows, Cols: cols, Mem: o}, err
}

// product computes the first blocks, queries and then keys, before RoPE, of hidden states on the device.
func (l *layer) product(states llm.Buf, blocks int) (llm.Buf, error) {
	b, p := l.b, l.p
	out, err := b.borrow(states.Rows, blocks*p.Dim)
	if err != nil {
		return out, err
	}
	b.device.enter()
	b.product(pointer(out), pointer(states), states.Rows, p.QKV.Mem.(*owner), out.Cols, p.QKV.In)
	b.device.leave()
	if p.Bias.Mem != nil {
		b.AddRow(out, p.Bias)
	}
	if p.QueryNorm.Mem != nil { // the heads of queries and keys lie beside each other: the rows of both are normed in turn
		all, err := b.host(out)
		if err != nil {
			return out, err
		}
		query, err := b.host(llm.Buf{Rows: 1, Cols: p.Dim, Mem: p.QueryNorm.Mem})
		if err != nil {
			return out, err
		}
		key, err := b.host(llm.Buf{Rows: 1, Cols: p.Dim, Mem: p.KeyNorm.Mem})
		if err != nil {
			return out, err
		}
		for i := range all.Rows {
			for block := range blocks {
				weight := query.Data
				if block >= p.Heads {
					weight = key.Data
				}
				x := all.Row(i)[block*p.Dim : (block+1)*p.Dim]
				tensor.RMSNorm(x, x, weight, p.Epsilon)
			}
		}
		return out, b.Write(out, all.Data)
	}
	return out, nil
}

// hostProduct is product, copied to the host.
func (l *layer) hostProduct(states llm.Buf, blocks int) (tensor.Mat, error) {
	out, err := l.product(states, blocks)
	if err != nil {
		return tensor.Mat{}, err
	}
	defer l.b.returned(out)
	return l.b.host(out)
}

// last are the hidden states of the last tokens.
func (l *layer) last(n int) llm.Buf { return l.p.Hidden.Slice(l.p.Hidden.Rows-n, l.p.Hidden.Rows) }

// column returns the last queries of one head.
func (l *layer) column(head, last int) (tensor.Mat, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queries.Rows < last {
		var err error
		if l.queries, err = l.hostProduct(l.last(last), l.p.Heads); err != nil {
			return tensor.Mat{}, err
		}
	}
	return l.block(l.queries.Slice(l.queries.Rows-last, l.queries.Rows), head), nil
}

// project returns the queries of any hidden states.
func (l *layer) project(head int, states tensor.Mat) (tensor.Mat, error) {
	x, err := l.b.Alloc(states.Rows, states.Cols)
	if err == nil {
		err = l.b.Write(x, states.Data)
	}
	if err != nil {
		return tensor.Mat{}, err
	}
	all, err := l.hostProduct(x, head+1)
	if err != nil {
		return tensor.Mat{}, err
	}
	return l.block(all, head), nil
}

// block copies the columns of one head.
func (l *layer) block(x tensor.Mat, block int) tensor.Mat {
	return x.Columns(block*l.p.Dim, (block+1)*l.p.Dim)
}

// keys are the keys of a head before RoPE: those of the cache turned back, as long as all are there.
func (l *layer) keys(host *kvpress.Host, head int) (tensor.Mat, error) {
	if len(host.At[head]) == host.Tokens {
		return host.KeysTurnedBack(head)
	}
	if l.p.Hidden.Rows == 0 {
		return (&kvpress.Host{}).KeysBeforeRope(head) // says what to record
	}
	all, err := l.hostProduct(l.p.Hidden, l.p.Heads+l.p.KVHeads)
	if err != nil {
		return tensor.Mat{}, err
	}
	return l.block(all, l.p.Heads+head), nil
}

// outputOf returns the block of the output projection that belongs to a query head, (Width, Dim).
func (l *layer) outputOf(head int) (tensor.Mat, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.output == nil {
		w := l.p.Output
		x, err := l.b.Alloc(w.Out, w.In)
		if err != nil {
			return tensor.Mat{}, err
		}
		rows := make([]int, w.Out)
		for i := range rows {
			rows[i] = i
		}
		l.b.Embed(x, w, rows, 1)
		all, err := l.b.host(x)
		if err != nil {
			return tensor.Mat{}, err
		}
		for h := range l.p.Heads {
			l.output = append(l.output, l.block(all, h))
		}
	}
	return l.output[head], nil
}

// longest is the number of pairs of the longest head, and all numbers.
func (l *layer) longest() (int, *lens) {
	most, all := 0, &lens{}
	for h, at := range l.at {
		all[h] = int32(len(at))
		most = max(most, len(at))
	}
	return most, all
}

// look begins a piece of work that only reads pages of a layer. What was put off need not be done before, unless it appends
// to the layer: work on another layer goes on as if nobody had looked, and gives the same bits.
func (c *Cache) look(layer int) {
	d := c.device
	d.lock()
	for _, p := range d.queue.places {
		if p.table == c.tables[layer].at {
			d.catchUp()
			d.settle()
			return
		}
	}
}

// lengths are the L2 norms of keys or values, (KVHeads, Len).
func (l *layer) lengths(values bool) (tensor.Mat, error) {
	most, all := l.longest()
	which, what := int32(0), "the lengths of keys"
	if values {
		which, what = 1, "the lengths of values"
	}
	d := l.b.device
	l.cache.look(l.p.Layer)
	r, out := d.result(l.p.KVHeads, most)
	t := l.cache.widened(l.p.Layer)
	d.launch("lengths_"+string(l.cache.kind), size{x: (most + 7) / 8, y: l.p.KVHeads, threads: 256},
		pointer(out), t.at, all, int32(t.room), int32(l.p.Dim), int32(most), which)
	coming, err := d.send(r, out, what)
	d.leave()
	if err != nil {
		return tensor.Mat{}, err
	}
	return coming()
}

// scoreRows is QUERIES of press.cu.
const scoreRows = 64

// weigh begins to add up the softmax rows of the last queries, each times its weight, (Heads, Len).
func (l *layer) weigh(last int, weights []float32) (kvpress.Coming, error) {
	p, b, d := l.p, l.b, l.b.device
	most, _ := l.longest()
	queries, err := l.product(l.last(last), p.Heads)
	if err != nil {
		return nil, err
	}
	defer b.returned(queries)
	at := p.Positions[len(p.Positions)-last:]
	numbers := make([]int32, last)
	for i, position := range at {
		numbers[i] = int32(position)
	}
	rope := p.RopeFor(p.Positions[len(p.Positions)-1] + 1)
	d.enter()
	defer d.leave()
	r, out := d.result(p.Heads, most)
	positions := d.room("positions", int64(4*last))
	upload(d, positions, numbers)
	d.launch("turn", size{x: p.Heads, y: last, threads: 64}, pointer(queries), int32(p.Dim), cu.DevicePtr(0), float32(0),
		positions, b.rotation(rope), int32(len(rope.Freq)), rope.Scale)
	if l.cache.kind == half && p.Dim%16 == 0 {
		l.vote(out, queries, at, weights)
	} else {
		l.weighAlone(out, queries, at, weights)
	}
	return d.send(r, out, fmt.Sprintf("the attention of the last %d queries", last))
}

// vote is weigh for the pairs of all heads at once, on the tensor cores.
func (l *layer) vote(out, queries llm.Buf, at []int, weights []float32) {
	p, d, t := l.p, l.b.device, l.cache.widened(l.p.Layer)
	most, lens := l.longest()
	pages, group := pagesFor(most), p.Heads/p.KVHeads
	each := max(4, (pages*p.Heads+6*d.processors-1)/(6*d.processors))
	blocks := (pages + each - 1) / each
	grid := size{x: group, y: blocks, z: p.KVHeads, threads: 128, shared: 3 * scoreRows * 2 * (p.Dim + 8)}
	part := d.room("tops", int64(4*2*scoreRows*blocks*p.Heads))
	for from := 0; from < len(at); from += scoreRows {
		n := min(scoreRows, len(at)-from)
		v := &voters{int32(p.Heads), int32(p.KVHeads), int32(p.Dim), int32(t.room), int32(n), int32(most), int32(each), int32(blocks), p.Scale}
		factors, seen := d.room("factors", 4*scoreRows), d.room("seen", int64(4*2*scoreRows*p.KVHeads))
		upload(d, factors, weights[from:from+n])
		var list []int32
		for h := range p.KVHeads {
			list = append(list, l.seen(h, at[from:from+n])...)
		}
		upload(d, seen, list)
		q := pointer(queries.Slice(from, from+n))
		d.launch("vote_tops", grid, part, q, t.at, v, lens, seen)
		d.launch("vote_fold", grid, pointer(out), part, q, t.at, v, lens, seen, factors)
	}
}

// weighAlone is weigh for one query head after the other, in float32.
func (l *layer) weighAlone(out, queries llm.Buf, at []int, weights []float32) {
	p, d, t := l.p, l.b.device, l.cache.widened(l.p.Layer)
	most, _ := l.longest()
	scores := d.room("scores", int64(4*scoreRows*most))
	tops := d.room("tops", 4*2*scoreRows)
	for from := 0; from < len(at); from += scoreRows {
		n := min(scoreRows, len(at)-from)
		factors := d.room("factors", 4*scoreRows)
		upload(d, factors, weights[from:from+n])
		for h := range p.KVHeads {
			seen := d.room("seen", 4*2*scoreRows)
			upload(d, seen, l.seen(h, at[from:from+n]))
			pairs := len(l.at[h])
			for head := h * p.Heads / p.KVHeads; head < (h+1)*p.Heads/p.KVHeads; head++ {
				q := pointer(queries.Slice(from, from+n)) + cu.DevicePtr(4*head*p.Dim)
				d.launch("dots_"+string(l.cache.kind), size{x: pagesFor(pairs), y: 1, threads: 256}, scores, q, int32(p.Heads*p.Dim),
					t.at+cu.DevicePtr(8*h*t.room), int32(n), int32(pairs), int32(p.Dim), p.Scale)
				d.launch("tops", size{x: n, y: 1, threads: 512}, tops, scores, seen, int32(pairs))
				d.launch("fold", size{x: (pairs + 255) / 256, y: 1, threads: 256}, pointer(out.Slice(head, head+1)), scores, tops, seen, factors, int32(n), int32(pairs))
			}
		}
	}
}

// seen lists for each position where the pairs of a KV head begin that its query sees, and where they end.
func (l *layer) seen(h int, positions []int) []int32 {
	var list []int32
	for _, position := range positions {
		from := 0
		if l.p.Window > 0 {
			from = sort.SearchInts(l.at[h], position-l.p.Window+1)
		}
		list = append(list, int32(from), int32(sort.SearchInts(l.at[h], position+1)))
	}
	return list
}
