//go:build cuda && cgo

package cuda

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// pagePairs and maxHeads are PAIRS and HEADS of number.cuh.
const (
	pagePairs = 64
	maxHeads  = 64
)

// What kernels take by value; the structs of the same names in the kernels' files have these fields.
type (
	shape struct {
		heads, kvHeads, dim, tokens, room, window int32
		scale                                     float32
	}
	lens  [maxHeads]int32
	split struct {
		first  [maxHeads + 1]int32
		length int32
	}
	starts [maxHeads + 1]int32
	voters struct {
		heads, kvHeads, dim, room, rows, most, pages, blocks int32
		scale                                                float32
	}
)

// A Cache holds the pairs of one sequence in pages on the device, a list of pages for every KV head.
type Cache struct {
	device *device
	shape  llm.CacheShape
	kind   kind
	heads  [][]head // [layer][KV head]
	tables []table  // [layer]
	ledger *ledger
}

// A head is what the host knows of one KV head.
type head struct {
	pages []*page
	at    []int // token position of each pair
	bits  int   // in which older pages store a number; 0 keeps all as they are
	few   int   // how many of the first pages are of few bits
}

// A table lists the pages of a layer on the device: a row of so many places for each KV head.
type table struct {
	at    cu.DevicePtr
	room  int
	apart bool // some pages lie elsewhere than those of caches
}

// A ledger counts the bytes of the pages that a cache made.
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
func (b *Backend) NewCache(s llm.CacheShape) (llm.Cache, error) {
	if s.KVHeads > maxHeads {
		return nil, errChannels
	}
	return newCache(b.device, b.kind, s), nil
}

func newCache(d *device, k kind, s llm.CacheShape) *Cache {
	c := &Cache{device: d, shape: s, kind: k, heads: make([][]head, s.Layers), tables: make([]table, s.Layers), ledger: &ledger{}}
	for l := range c.heads {
		c.heads[l] = make([]head, s.KVHeads)
	}
	runtime.SetFinalizer(c, func(c *Cache) {
		d.lost.Lock()
		defer d.lost.Unlock()
		d.lost.caches = append(d.lost.caches, c)
	})
	return c
}

// pageBytes is the size of a page.
func (c *Cache) pageBytes() int64 { return int64(2*pagePairs*c.shape.Dim) * c.kind.bytes() }

// Shape is the shape of the cache.
func (c *Cache) Shape() llm.CacheShape { return c.shape }

// Len is the number of pairs of a head.
func (c *Cache) Len(layer, h int) int { return len(c.heads[layer][h].at) }

// Positions lists the token position of each pair of a head.
func (c *Cache) Positions(layer, h int) []int { return c.heads[layer][h].at }

// pagesFor is how many pages so many pairs take.
func pagesFor(pairs int) int { return (pairs + pagePairs - 1) / pagePairs }

// extend makes room for new pairs at the given positions in every head of a layer.
func (c *Cache) extend(layer int, positions []int) error {
	for h := range c.heads[layer] {
		if err := c.extendHead(layer, h, positions); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cache) extendHead(layer, h int, positions []int) error {
	to := &c.heads[layer][h]
	have, want := len(to.pages), pagesFor(len(to.at)+len(positions))
	for i := have; i < want; i++ {
		p, err := c.device.newPage(c.pageBytes(), c.ledger)
		if err != nil {
			return err
		}
		to.pages = append(to.pages, p)
	}
	to.at = append(to.at, positions...)
	if want > c.tables[layer].room {
		return c.list(layer)
	}
	c.listHead(layer, h, have)
	return nil
}

// list writes a new table of a layer, with room to grow.
func (c *Cache) list(layer int) error {
	t := &c.tables[layer]
	most := 0
	for _, h := range c.heads[layer] {
		most = max(most, len(h.pages))
	}
	c.device.retire(t.at)
	room := max(16, most+most/4)
	at, err := c.device.alloc(int64(8 * room * len(c.heads[layer])))
	if err != nil {
		*t = table{}
		return err
	}
	*t = table{at: at, room: room}
	for h := range c.heads[layer] {
		c.listHead(layer, h, 0)
	}
	return nil
}

// listHead writes the pages of a head from one on into the table.
func (c *Cache) listHead(layer, h, from int) {
	t, pages := c.tables[layer], c.heads[layer][h].pages
	if from == len(pages) {
		return
	}
	list := make([]cu.DevicePtr, 0, len(pages)-from)
	for i, p := range pages[from:] {
		at := p.at
		if h := c.heads[layer][h]; from+i < h.few {
			at |= codings[h.bits]
		}
		list = append(list, at)
	}
	upload(c.device, t.at+cu.DevicePtr(8*(h*t.room+from)), list)
}

// plain tells whether a plan only drops pairs, or stores them in few bits.
func plain(p kvpress.Plan) bool {
	return !p.Rerotate && p.Merge == nil && p.Channels == nil
}

// Apply compacts one layer in place.
func (c *Cache) Apply(layer int, p kvpress.Plan, rope tensor.Rope) error {
	c.device.enter()
	defer c.device.leave()
	return c.take(c, layer, p, rope)
}

// Copy makes a cache of what the plans keep; nil plans keep everything.
func (c *Cache) Copy(plans []kvpress.Plan, rope tensor.Rope) (llm.Cache, error) {
	c.device.enter()
	defer c.device.leave()
	out := newCache(c.device, c.kind, c.shape)
	for layer := range c.heads {
		p := kvpress.Plan{}
		if plans != nil {
			p = plans[layer]
		}
		if err := out.take(c, layer, p, rope); err != nil {
			out.drop()
			return nil, err
		}
	}
	return out, c.device.failure()
}

// take makes a layer of what a plan keeps of a layer of another cache, or of this one.
func (c *Cache) take(from *Cache, layer int, p kvpress.Plan, rope tensor.Rope) error {
	if p.Bits == 16 {
		return fmt.Errorf("layer %d: keys and values in 16 bits are for the processor: here those of a bfloat16 model have 16 bits already", layer)
	}
	if !plain(p) {
		return c.rewrite(from, layer, p, rope)
	}
	old, heads := from.heads[layer], make([]head, c.shape.KVHeads)
	first, most, lists := &starts{}, 0, p.Keep
	if lists == nil {
		for h := range heads {
			lists = append(lists, span(len(old[h].at)))
		}
	}
	for h, list := range lists {
		first[h+1] = first[h] + int32(len(list))
		most = max(most, len(list))
	}
	keep := make([]int32, first[len(heads)])
	for h, list := range lists {
		for range pagesFor(len(list)) {
			q, err := c.device.newPage(c.pageBytes(), c.ledger)
			if err != nil {
				return err
			}
			heads[h].pages = append(heads[h].pages, q)
		}
		if heads[h].bits = old[h].bits; p.Bits != 0 {
			heads[h].bits = p.Bits
		}
	}
	tensor.Parallel(len(heads), func(h int) {
		heads[h].at = make([]int, len(lists[h]))
		for i, k := range lists[h] {
			keep[int(first[h])+i] = int32(k)
			heads[h].at[i] = old[h].at[k]
		}
	})
	source, left := from.widened(layer), from.tables[layer]
	if c == from {
		c.tables[layer] = table{} // list must not free what gather still reads
	}
	c.heads[layer] = heads
	if err := c.list(layer); err != nil {
		return err
	}
	d := c.device
	room := d.room("keep", int64(4*len(keep)))
	upload(d, room, keep)
	row := int32(int64(c.shape.Dim) * c.kind.bytes() / 16)
	d.launch("gather", size{x: (most + 7) / 8, y: len(heads), threads: 256}, c.tables[layer].at, source.at, room, first, int32(c.tables[layer].room), int32(source.room), row)
	if c == from {
		d.retire(left.at)
		c.dropPages(old)
	}
	return c.squeeze(layer)
}

// rewrite makes a layer of a plan that changes keys or values: the host does it, as the CPU backend would.
func (c *Cache) rewrite(from *Cache, layer int, p kvpress.Plan, rope tensor.Rope) error {
	one := c.shape
	one.Layers = 1
	host, err := cpu.New().NewCache(one)
	if err != nil {
		return err
	}
	for h := range from.heads[layer] {
		keys, values := from.pairs(layer, h)
		if err := host.Append(0, h, keys, values, from.heads[layer][h].at); err != nil {
			return err
		}
	}
	bits := p.Bits
	p.Bits = 0
	if err := host.Apply(0, p, rope); err != nil {
		return err
	}
	heads := make([]head, c.shape.KVHeads)
	for h := range heads {
		if heads[h].bits = from.heads[layer][h].bits; bits != 0 {
			heads[h].bits = bits
		}
	}
	c.dropPages(c.heads[layer])
	c.heads[layer] = heads
	for h := range c.heads[layer] {
		keys, values, err := host.Pairs(0, h)
		if err != nil {
			return err
		}
		if err := c.append(layer, h, keys, values, host.Positions(0, h)); err != nil {
			return err
		}
	}
	return c.device.failure()
}

func span(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// Fork makes a cache that shares the full pages of this one; the last page of a head, if it has room, is copied.
func (c *Cache) Fork() llm.Cache {
	d := c.device
	d.enter()
	defer d.leave()
	out := newCache(d, c.kind, c.shape)
	for l := range c.heads {
		for h, from := range c.heads[l] {
			to := from
			to.pages, to.at = slices.Clone(from.pages), slices.Clone(from.at)
			for _, p := range to.pages {
				p.users++
			}
			out.heads[l][h] = to
			d.fail(out.ownLast(&out.heads[l][h]))
		}
		d.fail(out.list(l))
	}
	return out
}

// ownLast makes the last page of a head, if it has room and others use it too, the cache's own.
func (c *Cache) ownLast(h *head) error {
	last := len(h.pages) - 1
	if len(h.at)%pagePairs == 0 || h.pages[last].users == 1 {
		return nil
	}
	p, err := c.device.newPage(c.pageBytes(), c.ledger)
	if err != nil {
		return err
	}
	c.device.fail(cu.MemcpyDtoDAsync(p.at, h.pages[last].at, c.pageBytes(), c.device.stream))
	c.device.dropPage(h.pages[last])
	h.pages[last] = p
	return nil
}

// Mark remembers the lengths.
func (c *Cache) Mark() llm.Mark {
	m := make(llm.Mark, len(c.heads))
	for l := range c.heads {
		m[l] = make([]int, len(c.heads[l]))
		for h := range c.heads[l] {
			m[l][h] = len(c.heads[l][h].at)
		}
	}
	return m
}

// Rewind drops what came after a mark.
func (c *Cache) Rewind(m llm.Mark) {
	c.device.enter()
	defer c.device.leave()
	for l := range c.heads {
		for i := range c.heads[l] {
			h := &c.heads[l][i]
			h.at = h.at[:min(m[l][i], len(h.at))]
			pages := pagesFor(len(h.at))
			for _, p := range h.pages[pages:] {
				c.device.dropPage(p)
			}
			h.pages = h.pages[:pages]
			c.device.fail(c.wholeLast(l, i))
			c.device.fail(c.ownLast(h))
			if pages > 0 {
				c.listHead(l, i, pages-1)
			}
		}
	}
}

// Live is what the pairs take that are held now.
func (c *Cache) Live() int64 {
	var bytes int64
	for _, layer := range c.heads {
		for _, h := range layer {
			for i, p := range h.pages {
				bytes += p.slab.bytes * int64(min(pagePairs, len(h.at)-i*pagePairs)) / pagePairs
			}
		}
	}
	return bytes
}

// Bytes is the size of the pages held now.
func (c *Cache) Bytes() int64 { return c.ledger.live.Load() }

// Peak is the largest size the pages ever had.
func (c *Cache) Peak() int64 { return c.ledger.peak.Load() }

// Close frees the pages.
func (c *Cache) Close() {
	c.device.enter()
	defer c.device.leave()
	runtime.SetFinalizer(c, nil)
	c.drop()
	c.device.trim()
}

func (c *Cache) dropPages(heads []head) {
	for _, h := range heads {
		for _, p := range h.pages {
			c.device.dropPage(p)
		}
	}
}

func (c *Cache) drop() {
	for l := range c.heads {
		c.dropPages(c.heads[l])
		c.heads[l] = make([]head, c.shape.KVHeads)
		c.device.free(c.tables[l].at)
		c.tables[l] = table{}
	}
}

// Pairs copies the keys and values of a head, (Len, Dim) each.
func (c *Cache) Pairs(layer, h int) (keys, values tensor.Mat, err error) {
	c.look(layer)
	defer c.device.leave()
	keys, values = c.pairs(layer, h)
	return keys, values, c.device.failure()
}

// copyPairs is how many pairs are copied between host and device at a time.
const copyPairs = 16384

func (c *Cache) pairs(layer, h int) (keys, values tensor.Mat) {
	d, t, n, dim := c.device, c.widened(layer), len(c.heads[layer][h].at), c.shape.Dim
	keys, values = tensor.New(n, dim), tensor.New(n, dim)
	for from := 0; from < n; from += copyPairs {
		rows := min(copyPairs, n-from)
		room := d.room("pairs", int64(8*rows*dim))
		half := room + cu.DevicePtr(4*rows*dim)
		d.launch("unpack_"+string(c.kind), size{x: rows, y: 1, threads: 64}, room, half, t.at+cu.DevicePtr(8*h*t.room), int32(from), int32(dim))
		download(d, keys.Data[from*dim:(from+rows)*dim], room)
		download(d, values.Data[from*dim:(from+rows)*dim], half)
	}
	return keys, values
}

// Append adds pairs to a head.
func (c *Cache) Append(layer, h int, keys, values tensor.Mat, positions []int) error {
	c.device.enter()
	defer c.device.leave()
	if err := c.append(layer, h, keys, values, positions); err != nil {
		return err
	}
	return c.device.failure()
}

func (c *Cache) append(layer, h int, keys, values tensor.Mat, positions []int) error {
	d, dim, before := c.device, c.shape.Dim, len(c.heads[layer][h].at)
	if keys.Rows != values.Rows || keys.Rows != len(positions) || keys.Cols != dim || values.Cols != dim {
		return fmt.Errorf("layer %d: KV head %d: keys (%d, %d), values (%d, %d) and %d positions do not fit a head of %d channels",
			layer, h, keys.Rows, keys.Cols, values.Rows, values.Cols, len(positions), dim)
	}
	if err := c.extendHead(layer, h, positions); err != nil {
		return err
	}
	t := c.tables[layer]
	for from := 0; from < keys.Rows; from += copyPairs {
		rows := min(copyPairs, keys.Rows-from)
		room := d.room("pairs", int64(8*rows*dim))
		half := room + cu.DevicePtr(4*rows*dim)
		upload(d, room, keys.Data[from*dim:(from+rows)*dim])
		upload(d, half, values.Data[from*dim:(from+rows)*dim])
		d.launch("pack_"+string(c.kind), size{x: rows, y: 1, threads: 64}, t.at+cu.DevicePtr(8*h*t.room), room, half, int32(before+from), int32(dim))
	}
	return c.squeeze(layer)
}
