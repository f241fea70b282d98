package cpu

import (
	"fmt"
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
	spare  []tensor.Page // empty ones for the pairs of single tokens
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

// extend makes room in a head for pairs at the positions. While single tokens come, the pages for all heads are made in
// one piece: the heads want them at nearly the same time, and drop them together.
func (c *Cache) extend(h *head, positions []int) {
	h.at = append(h.at, positions...)
	h.pages.Len += len(positions)
	for len(h.pages.List)*tensor.PageRows < h.pages.Len {
		if len(positions) > 1 {
			h.add(c.ledger, tensor.NewPage(h.pages.Dim))
			continue
		}
		if len(c.spare) == 0 {
			c.spare = tensor.NewPages(c.shape.Layers*c.shape.KVHeads, c.shape.Dim)
		}
		h.add(c.ledger, &c.spare[0])
		c.spare = c.spare[1:]
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
		if len(p.Keep[h]) == old.pages.Len && !p.Rerotate && p.Channels == nil && (p.Bits == 0 || p.Bits == old.bits) {
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
			full := from.pages.Len / tensor.PageRows
			*to = from.first(full, from.pages.Len)
			to.lent, to.bits = make([]bool, full), from.bits
			for page := range to.lent {
				to.lent[page] = true
			}
			key, read := make([]float32, c.shape.Dim), from.pages.Reader()
			for j := to.pages.Len; j < from.pages.Len; j++ {
				to.append(out.ledger, key, read.Pair(key, j), from.at[j])
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

// Live is what the pairs take that are held now.
func (c *Cache) Live() int64 {
	var bytes int64
	for l := range c.layers {
		for h := range c.layers[l] {
			bytes += c.layers[l][h].live()
		}
	}
	return bytes
}

// Bytes is the size of the pages held now.
func (c *Cache) Bytes() int64 { return c.ledger.live.Load() }

// Peak is the largest size the pages ever had.
func (c *Cache) Peak() int64 { return c.ledger.peak.Load() }

// Close drops all pages.
func (c *Cache) Close() {
	c.layers, c.spare = newCache(c.shape).layers, nil
	c.ledger.live.Store(0)
}

// Pairs copies the keys and values of a head, (Len, Dim) each.
func (c *Cache) Pairs(layer, h int) (keys, values tensor.Mat, err error) {
	pages := c.layers[layer][h].pages
	return pages.Keys(), pages.Values(), nil
}

// Append adds pairs to a head.
func (c *Cache) Append(layer, h int, keys, values tensor.Mat, positions []int) error {
	to := &c.layers[layer][h]
	if keys.Rows != values.Rows || keys.Rows != len(positions) || keys.Cols != c.shape.Dim || values.Cols != c.shape.Dim {
		return fmt.Errorf("layer %d: KV head %d: keys (%d, %d), values (%d, %d) and %d positions do not fit a head of %d channels",
			layer, h, keys.Rows, keys.Cols, values.Rows, values.Cols, len(positions), c.shape.Dim)
	}
	for i, p := range positions {
		to.append(c.ledger, keys.Row(i), values.Row(i), p)
	}
	return nil
}
