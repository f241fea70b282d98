//go:build cuda && cgo

package cuda

import (
	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// codings are how number.cuh calls ways to store numbers, by the bits of a plan.
var codings = map[int]cu.DevicePtr{8: 1, 4: 2, tensor.Float8: 3}

// asIs is how many of the newest pairs are stored as they are, at the least.
const asIs = 32

// fewBytes is the size of a page of few bits: packedBytes of number.cuh.
func (c *Cache) fewBytes(bits int) int64 {
	dim := c.shape.Dim
	codes := 2 * pagePairs * dim
	if bits == 4 {
		codes /= 2
	}
	return int64((codes + (pagePairs/asIs*dim+pagePairs)*6 + 15) / 16 * 16)
}

// squeeze stores the older pages of a layer in few bits, where the heads ask for that.
func (c *Cache) squeeze(layer int) error {
	d := c.device
	for h := range c.heads[layer] {
		head := &c.heads[layer][h]
		old := max(0, len(head.at)/asIs-1) * asIs / pagePairs
		if head.bits == 0 || old <= head.few {
			continue
		}
		var list []cu.DevicePtr
		from, left := head.few, append([]*page(nil), head.pages[head.few:old]...)
		for i := from; i < old; i++ {
			p, err := d.newPage(c.fewBytes(head.bits), c.ledger)
			if err != nil {
				return err
			}
			list = append(list, head.pages[i].at, p.at)
			head.pages[i] = p
			head.few = i + 1
		}
		room := d.room("squeeze", int64(8*len(list)))
		upload(d, room, list)
		d.launch("squeeze_"+string(c.kind), size{x: old - from, y: 1, threads: 256}, room, int32(c.shape.Dim), int32(codings[head.bits]))
		for _, p := range left {
			d.dropPage(p)
		}
		c.listHead(layer, h, from)
	}
	return nil
}

// few tells whether a layer has pages of few bits.
func (c *Cache) few(layer int) bool {
	for _, h := range c.heads[layer] {
		if h.few > 0 {
			return true
		}
	}
	return false
}

// widened is the table of a layer without pages of few bits: these are unpacked into scratch memory, where they stay until
// the next call.
func (c *Cache) widened(layer int) table {
	if !c.few(layer) {
		return c.tables[layer]
	}
	d, first, pages, most := c.device, &starts{}, &lens{}, 0
	for h, head := range c.heads[layer] {
		first[h+1] = first[h] + int32(head.few)
		pages[h] = int32(len(head.pages))
		most = max(most, len(head.pages))
	}
	heads := c.shape.KVHeads
	wide := table{d.room("wide pages", int64(8*heads*most)), most, true}
	d.launch("widen_"+string(c.kind), size{x: most, y: heads, threads: 256}, wide.at, c.tables[layer].at, d.room("wide", int64(first[heads])*c.pageBytes()),
		pages, first, int32(most), int32(c.tables[layer].room), int32(c.shape.Dim))
	return wide
}

// wholeLast unpacks the last page of a head, if it is of few bits and has room now.
func (c *Cache) wholeLast(layer, h int) error {
	head := &c.heads[layer][h]
	last := len(head.pages) - 1
	if last >= head.few || len(head.at)%pagePairs == 0 {
		head.few = min(head.few, len(head.pages))
		return nil
	}
	d := c.device
	c.widened(layer)
	before := 0
	for _, other := range c.heads[layer][:h] {
		before += other.few
	}
	p, err := d.newPage(c.pageBytes(), c.ledger)
	if err != nil {
		return err
	}
	d.fail(cu.MemcpyDtoDAsync(p.at, d.room("wide", 0)+cu.DevicePtr(int64(before+last)*c.pageBytes()), c.pageBytes(), d.stream))
	d.dropPage(head.pages[last])
	head.pages[last], head.few = p, last
	return nil
}
