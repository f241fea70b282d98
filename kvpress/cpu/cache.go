package cpu

import (
	"fmt"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Cache holds the pairs of one sequence in pages of tensor.PageRows pairs, a list of pages for every KV head, so
// that heads may differ in length, appending costs the same at any length, and what a press drops is freed.
type Cache struct {
	shape  llm.CacheShape
	layers [][]head // [layer][KV head]
	ledger *ledger
}

// A head holds the pairs of one KV head.
type head struct {
	pages  tensor.Pages
	at     []int // token position of each pair
	shared int   // first pages that belong to another cache, which counts them
}

// A ledger counts the bytes of the pages that a cache allocated.
type ledger struct{ live, peak atomic.Int64 }

func (l *ledger) add(bytes int64) {
	live := l.live.Add(bytes)
	for {
		peak := l.peak.Load()
		if live <= peak || l.peak.CompareAndSwap(peak, live) {
			return
		}
	}
}

// NewCache makes an empty cache.
func (b *Backend) NewCache(shape llm.CacheShape) (llm.Cache, error) { return newCache(shape), nil }

func newCache(shape llm.CacheShape) *Cache {
	c := &Cache{shape: shape, layers: make([][]head, shape.Layers), ledger: &ledger{}}
	for l := range c.layers {
		c.layers[l] = make([]head, shape.KVHeads)
		for h := range c.layers[l] {
			c.layers[l][h].pages.Dim = shape.Dim
		}
	}
	return c
}

// pageBytes is the size of a page of keys and values.
func pageBytes(dim int) int64 { return int64(2 * dim * tensor.PageRows * 4) }

// grow adds an empty page.
func (h *head) grow(l *ledger) {
	size := h.pages.Dim * tensor.PageRows
	page := make([]float32, 2*size)
	h.pages.K = append(h.pages.K, page[:size:size])
	h.pages.V = append(h.pages.V, page[size:])
	l.add(pageBytes(h.pages.Dim))
}

// append adds one pair.
func (h *head) append(l *ledger, key, value []float32, position int) {
	row := h.pages.Len % tensor.PageRows
	if row == 0 && h.pages.Len/tensor.PageRows == len(h.pages.K) {
		h.grow(l)
	}
	page := h.pages.Len / tensor.PageRows
	k := h.pages.K[page][row:]
	for d, v := range key {
		k[d*tensor.PageRows] = v
	}
	copy(h.pages.V[page][row*h.pages.Dim:], value)
	h.at = append(h.at, position)
	h.pages.Len++
}

// key copies the key of pair i; channels that are not stored are 0.
func (h *head) key(dst []float32, i int) {
	page, row := i/tensor.PageRows, i%tensor.PageRows
	k := h.pages.K[page]
	if page < h.pages.Short {
		clear(dst)
		for at, d := range h.pages.Channels {
			dst[d] = k[at*tensor.PageRows+row]
		}
		return
	}
	for d := range dst {
		dst[d] = k[d*tensor.PageRows+row]
	}
}

// value is the value of pair i, in place.
func (h *head) value(i int) []float32 {
	row := i % tensor.PageRows
	return h.pages.V[i/tensor.PageRows][row*h.pages.Dim : (row+1)*h.pages.Dim]
}

// seen are the pages as they are now: what the head appends or drops later does not show.
func (h *head) seen() tensor.Pages {
	p := h.pages
	p.K, p.V = slices.Clone(p.K), slices.Clone(p.V)
	if last := len(p.K) - 1; p.Len%tensor.PageRows != 0 {
		p.K[last], p.V[last] = slices.Clone(p.K[last]), slices.Clone(p.V[last])
	}
	return p
}

// truncate drops all pairs from n on and frees pages without pairs.
func (h *head) truncate(l *ledger, n int) {
	pages := (n + tensor.PageRows - 1) / tensor.PageRows
	h.free(l, pages)
	h.pages.K, h.pages.V = h.pages.K[:pages], h.pages.V[:pages]
	h.pages.Len, h.at = n, h.at[:n]
	h.pages.Short, h.shared = min(h.pages.Short, pages), min(h.shared, pages)
}

// free lets go of the pages from number from on.
func (h *head) free(l *ledger, from int) {
	for i := from; i < len(h.pages.K); i++ {
		if i >= h.shared {
			l.add(-4 * int64(len(h.pages.K[i])+len(h.pages.V[i])))
		}
		h.pages.K[i], h.pages.V[i] = nil, nil
	}
}

// untouched is the number of first pages that a plan leaves as they are.
func (h *head) untouched(p kvpress.Plan, number int) int {
	if p.Rerotate || p.Merge != nil || p.Channels != nil {
		return 0
	}
	keep := p.Keep[number]
	same := sort.Search(len(keep), func(i int) bool { return keep[i] != i })
	return same / tensor.PageRows
}

// kept makes a head of what a plan keeps of this one, behind its first pages, which it takes over; number is the number
// of the KV head.
func (h *head) kept(l *ledger, p kvpress.Plan, number, pages int, rope tensor.Rope) head {
	keep := span(h.pages.Len)
	if p.Keep != nil {
		keep = p.Keep[number]
	}
	out := h.first(pages, len(keep))
	key := make([]float32, h.pages.Dim)
	var merged map[int][]float32
	if p.Merge != nil {
		merged = h.merged(p.Merge[number], p.MergeSum)
	}
	rope.Scale = 1 // the keys carry the model's own factor already
	for i := out.pages.Len; i < len(keep); i++ {
		j := keep[i]
		h.key(key, j)
		if p.Rerotate {
			rope.Rotate(key, i-h.at[j])
		}
		value, ok := merged[j]
		if !ok {
			value = h.value(j)
		}
		out.append(l, key, value, h.at[j])
	}
	switch {
	case p.Channels != nil && len(p.Channels[number]) < h.pages.Dim:
		out.shorten(l, both(h.pages.Channels, p.Channels[number]), out.pages.Len)
	case h.pages.Short > 0: // of the pairs that stay, the first ones are short already
		short := sort.SearchInts(keep, h.pages.Short*tensor.PageRows)
		out.shorten(l, h.pages.Channels, short/tensor.PageRows*tensor.PageRows)
	}
	return out
}

// first is a head that takes over the first pages, with room for n pairs.
func (h *head) first(pages, n int) head {
	out := head{at: make([]int, 0, n), shared: min(h.shared, pages)}
	out.pages = tensor.Pages{Dim: h.pages.Dim, Len: pages * tensor.PageRows, Short: min(h.pages.Short, pages), Channels: h.pages.Channels}
	out.pages.K = append(out.pages.K, h.pages.K[:pages]...)
	out.pages.V = append(out.pages.V, h.pages.V[:pages]...)
	out.at = append(out.at, h.at[:out.pages.Len]...)
	return out
}

// merged are the values that merges change, by the pair that takes them.
func (h *head) merged(merges []kvpress.Merge, sum bool) map[int][]float32 {
	values, total := map[int][]float32{}, map[int]float32{}
	for _, m := range merges {
		if values[m.To] == nil {
			values[m.To] = append([]float32(nil), h.value(m.To)...)
		}
		tensor.AddScaled(values[m.To], m.Weight, h.value(m.From))
		total[m.To] += m.Weight
	}
	for to, v := range values {
		if !sum {
			tensor.Scale(v, 1/(1+total[to]))
		}
	}
	return values
}

// both is what two ascending lists share; nil stands for everything.
func both(a, b []int) []int {
	if a == nil {
		return b
	}
	shared := []int{}
	for _, x := range a {
		if _, ok := slices.BinarySearch(b, x); ok {
			shared = append(shared, x)
		}
	}
	return shared
}

// shorten stores the first keys, up to number n, without the channels that are not listed. A last page of them that is
// not full keeps its shape, with zeros, for whole keys are appended to it later.
func (h *head) shorten(l *ledger, channels []int, n int) {
	done := h.pages.Short
	h.pages.Channels, h.pages.Short = channels, n/tensor.PageRows
	for i := done; i*tensor.PageRows < n; i++ {
		old := h.pages.K[i]
		short := make([]float32, 0, len(channels)*tensor.PageRows)
		for _, c := range channels {
			short = append(short, old[c*tensor.PageRows:(c+1)*tensor.PageRows]...)
		}
		if i < h.pages.Short {
			h.pages.K[i] = short
			h.pages.V[i] = slices.Clone(h.pages.V[i]) // lets go of the memory that it shared with the whole keys
			l.add(4 * int64(len(short)-len(old)))
			continue
		}
		clear(old)
		for at, c := range channels {
			copy(old[c*tensor.PageRows:], short[at*tensor.PageRows:(at+1)*tensor.PageRows])
		}
	}
}

// Shape is the shape of the cache.
func (c *Cache) Shape() llm.CacheShape { return c.shape }

// Len is the number of pairs of a head.
func (c *Cache) Len(layer, h int) int { return c.layers[layer][h].pages.Len }

// Positions lists the token position of each pair of a head.
func (c *Cache) Positions(layer, h int) []int { return c.layers[layer][h].at }

// Apply compacts one layer in place.
func (c *Cache) Apply(layer int, p kvpress.Plan, rope tensor.Rope) error {
	heads := c.layers[layer]
	tensor.Parallel(len(heads), func(h int) {
		old := heads[h]
		if len(p.Keep[h]) == old.pages.Len && !p.Rerotate && p.Channels == nil {
			return
		}
		pages := old.untouched(p, h)
		heads[h] = old.kept(c.ledger, p, h, pages, rope)
		old.free(c.ledger, pages)
	})
	return nil
}

// Copy makes a cache of what the plans keep; nil plans keep everything.
func (c *Cache) Copy(plans []kvpress.Plan, rope tensor.Rope) (llm.Cache, error) {
	out := newCache(c.shape)
	tensor.Parallel(c.shape.Layers*c.shape.KVHeads, func(i int) {
		layer, h := i/c.shape.KVHeads, i%c.shape.KVHeads
		from := &c.layers[layer][h]
		var plan kvpress.Plan
		if plans != nil {
			plan = plans[layer]
		}
		out.layers[layer][h] = from.kept(out.ledger, plan, h, 0, rope)
	})
	return out, nil
}

func span(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// Fork makes a cache that shares the full pages of this one; the last page of a head, if it has room, is copied.
// The fork counts only the pages that it allocates itself.
func (c *Cache) Fork() llm.Cache {
	out := newCache(c.shape)
	for l := range c.layers {
		for i := range c.layers[l] {
			from, to := &c.layers[l][i], &out.layers[l][i]
			*to = from.first(from.pages.Len/tensor.PageRows, from.pages.Len)
			to.shared = len(to.pages.K)
			key := make([]float32, c.shape.Dim)
			for j := to.pages.Len; j < from.pages.Len; j++ {
				from.key(key, j)
				to.append(out.ledger, key, from.value(j), from.at[j])
			}
		}
	}
	return out
}

// Mark remembers the lengths.
func (c *Cache) Mark() llm.Mark {
	m := make(llm.Mark, len(c.layers))
	for l := range c.layers {
		m[l] = make([]int, len(c.layers[l]))
		for h := range c.layers[l] {
			m[l][h] = c.layers[l][h].pages.Len
		}
	}
	return m
}

// Rewind drops what came after a mark.
func (c *Cache) Rewind(m llm.Mark) {
	for l := range c.layers {
		for h := range c.layers[l] {
			c.layers[l][h].truncate(c.ledger, min(m[l][h], c.layers[l][h].pages.Len))
		}
	}
}

// Bytes is the size of the pages held now.
func (c *Cache) Bytes() int64 { return c.ledger.live.Load() }

// Peak is the largest size the pages ever had.
func (c *Cache) Peak() int64 { return c.ledger.peak.Load() }

// Close drops all pages.
func (c *Cache) Close() {
	c.layers = newCache(c.shape).layers
	c.ledger.live.Store(0)
}

// Pairs copies the keys and values of a head, (Len, Dim) each.
func (c *Cache) Pairs(layer, h int) (keys, values tensor.Mat, err error) {
	pages := c.layers[layer][h].pages
	return pages.Keys(), pages.Values(), nil
}

// SetPairs fills an empty head.
func (c *Cache) SetPairs(layer, h int, keys, values tensor.Mat, positions []int) error {
	to := &c.layers[layer][h]
	if to.pages.Len != 0 || keys.Rows != values.Rows || keys.Rows != len(positions) || keys.Cols != c.shape.Dim || values.Cols != c.shape.Dim {
		return fmt.Errorf("layer %d: KV head %d: keys (%d, %d), values (%d, %d) and %d positions do not fit an empty head of %d channels",
			layer, h, keys.Rows, keys.Cols, values.Rows, values.Cols, len(positions), c.shape.Dim)
	}
	for i, p := range positions {
		to.append(c.ledger, keys.Row(i), values.Row(i), p)
	}
	return nil
}
