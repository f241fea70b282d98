//go:build cuda && cgo

package cuda

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// memory is what a device has given out.
type memory struct {
	blocks map[cu.DevicePtr]int64
	held   int64 // bytes of blocks
	peak   int64 // most ever held
	since  int64 // bytes given out since Go last collected what nobody points to

	lost struct { // blocks whose owner is gone; finalizers run beside everything else
		sync.Mutex
		list   []cu.DevicePtr
		caches []*Cache
	}

	retired []cu.DevicePtr     // blocks to be freed when the card has done its work: to free one is to wait for it
	lent    map[int64][]*owner // matrices that presses are done with, by their bytes: the next layer asks for the same
	slabs   map[int64][]*slab  // with free pages, by the bytes of a page
	spare   []cu.DevicePtr     // memory of slabs that no page is left of: the next slab may have it
	lowest  cu.DevicePtr       // where the first slab ever taken begins, by address
	highest cu.DevicePtr       // and the last one ends
	skew    cu.DevicePtr       // bits of the addresses of slabs below 2 MiB, of all slabs; cuMemAlloc has always given none
	scratch map[string]block   // rooms that verbs use one after the other, by purpose
}

// A block is memory of the device.
type block struct {
	at    cu.DevicePtr
	bytes int64
}

// collectAfter is how much may be given out before Go is asked which of it nobody needs any more. Go does not see the
// memory of the device and would wait for long.
const collectAfter = 2 << 30

// alloc takes memory from the device.
func (d *device) alloc(bytes int64) (cu.DevicePtr, error) {
	if bytes == 0 {
		return 0, nil
	}
	if d.since += bytes; d.since > collectAfter {
		d.collect()
	}
	at, err := cu.MemAlloc(bytes)
	for try := 0; err != nil && try < 3; try++ {
		d.trim()
		d.collect()
		at, err = cu.MemAlloc(bytes)
	}
	if err != nil {
		if err := d.stopped(); err != nil {
			return 0, err
		}
		free, total, _ := cu.MemInfo()
		return 0, fmt.Errorf("cuda: out of memory: %s asked for, %s of %s free: close sessions, press while prefilling (PrefillWith), or use a shorter context", gib(bytes), gib(free), gib(total))
	}
	if d.blocks == nil {
		d.blocks = map[cu.DevicePtr]int64{}
	}
	d.blocks[at] = bytes
	d.held += bytes
	d.peak = max(d.peak, d.held)
	return at, nil
}

// free gives memory back.
func (d *device) free(at cu.DevicePtr) {
	if bytes, ok := d.blocks[at]; ok {
		delete(d.blocks, at)
		d.held -= bytes
		d.fail(cu.MemFree(at))
	}
}

// retire is free for a block that kernels under way still read.
func (d *device) retire(at cu.DevicePtr) { d.retired = append(d.retired, at) }

// rest frees what was retired: the card has nothing to do.
func (d *device) rest() {
	for _, at := range d.retired {
		d.free(at)
	}
	d.retired = nil
}

// collect frees what Go finds nobody points to.
func (d *device) collect() {
	d.since = 0
	d.rest()
	done := make(chan struct{})
	mark := &struct{ p *int }{new(int)}
	runtime.SetFinalizer(mark, func(interface{}) { close(done) }) // runs behind those of the blocks
	runtime.GC()
	<-done
	d.lost.Lock()
	list, caches := d.lost.list, d.lost.caches
	d.lost.list, d.lost.caches = nil, nil
	d.lost.Unlock()
	for _, c := range caches {
		c.drop()
	}
	for _, at := range list {
		d.free(at)
	}
}

// An owner is memory that is freed when nobody points to its owner any more.
type owner struct {
	at   cu.DevicePtr
	kind kind
}

// own takes memory that the garbage collector gives back.
func (d *device) own(bytes int64, k kind) (*owner, error) {
	at, err := d.alloc(bytes)
	if err != nil {
		return nil, err
	}
	o := &owner{at: at, kind: k}
	runtime.SetFinalizer(o, func(o *owner) {
		d.lost.Lock()
		defer d.lost.Unlock()
		d.lost.list = append(d.lost.list, o.at)
	})
	return o, nil
}

// borrow is own for matrices that are given back.
func (d *device) borrow(bytes int64) (*owner, error) {
	if list := d.lent[bytes]; len(list) > 0 {
		d.lent[bytes] = list[:len(list)-1]
		return list[len(list)-1], nil
	}
	return d.own(bytes, single)
}

// returned takes a matrix back that was borrowed and that no kernel asked for from now on uses.
func (b *Backend) returned(x llm.Buf) {
	d, bytes := b.device, int64(4*x.Rows*x.Cols)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lent == nil {
		d.lent = map[int64][]*owner{}
	}
	d.lent[bytes] = append(d.lent[bytes], x.Mem.(*owner))
}

// room is scratch memory for one purpose, of at least so many bytes. What a verb leaves there lasts until the next one.
func (d *device) room(purpose string, bytes int64) cu.DevicePtr {
	have := d.scratch[purpose]
	if have.bytes >= bytes {
		return have.at
	}
	d.free(have.at)
	bytes = max(bytes+bytes/4, 1<<16)
	at, err := d.alloc(bytes)
	if err != nil {
		d.fail(err)
		bytes = 0
	}
	if d.scratch == nil {
		d.scratch = map[string]block{}
	}
	d.scratch[purpose] = block{at, bytes}
	return at
}

func (d *device) freeAll() {
	for at := range d.blocks {
		d.free(at)
	}
	d.lent, d.slabs, d.spare, d.scratch, d.retired = nil, nil, nil, nil, nil
}

// slabBytes is how much memory pages are taken from the device at a time.
const slabBytes = 8 << 20

// A slab is memory for pages of one size.
type slab struct {
	at    cu.DevicePtr
	free  []cu.DevicePtr
	all   int
	bytes int64 // of a page
}

// A page holds pairs of one KV head. Several caches may share it; it is counted by the one that made it.
type page struct {
	at    cu.DevicePtr
	slab  *slab
	users int
	maker *ledger
}

// newPage takes a page.
func (d *device) newPage(bytes int64, maker *ledger) (*page, error) {
	slabs := d.slabs[bytes]
	if len(slabs) == 0 {
		at, err := d.slabMemory(max(slabBytes, bytes))
		if err != nil {
			return nil, err
		}
		d.fail(cu.MemsetD8Async(at, 0, max(slabBytes, bytes), d.stream)) // nothing times what is not a number is not nothing
		if d.lowest == 0 || at < d.lowest {
			d.lowest = at
		}
		d.skew |= at % (2 << 20)
		d.highest = max(d.highest, at+cu.DevicePtr(max(slabBytes, bytes)))
		s := &slab{at: at, all: int(max(slabBytes, bytes) / bytes), bytes: bytes}
		for i := s.all - 1; i >= 0; i-- {
			s.free = append(s.free, at+cu.DevicePtr(int64(i)*bytes))
		}
		slabs = append(slabs, s)
	}
	s := slabs[len(slabs)-1]
	last := len(s.free) - 1
	p := &page{at: s.free[last], slab: s, users: 1, maker: maker}
	if s.free = s.free[:last]; last == 0 {
		slabs = slabs[:len(slabs)-1]
	}
	if d.slabs == nil {
		d.slabs = map[int64][]*slab{}
	}
	d.slabs[bytes] = slabs
	maker.add(bytes)
	return p, nil
}

// dropPage lets go of a page; a slab without pages in use goes back to the device.
func (d *device) dropPage(p *page) {
	if p.users--; p.users > 0 {
		return
	}
	s := p.slab
	bytes := s.bytes
	p.maker.add(-bytes)
	if s.free = append(s.free, p.at); len(s.free) == 1 {
		d.slabs[bytes] = append(d.slabs[bytes], s)
	}
	if len(s.free) == s.all {
		d.slabs[bytes] = slices.DeleteFunc(d.slabs[bytes], func(other *slab) bool { return other == s })
		d.spare = append(d.spare, s.at)
	}
}

// slabMemory takes memory for a slab: spare memory first, for the driver waits for the card when it takes memory back.
func (d *device) slabMemory(bytes int64) (cu.DevicePtr, error) {
	for i, at := range d.spare {
		if d.blocks[at] == bytes {
			d.spare = slices.Delete(d.spare, i, i+1)
			return at, nil
		}
	}
	return d.alloc(bytes)
}

// trim gives spare memory back; that of matrices when Go finds that nobody points to it.
func (d *device) trim() {
	d.lent = nil
	for _, at := range d.spare {
		d.free(at)
	}
	d.spare = nil
}
