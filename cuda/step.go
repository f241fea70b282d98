//go:build cuda && cgo

package cuda

import (
	"slices"

	"gorgonia.org/cu"
)

// A verb is what one row of numbers goes through, in pointers and numbers: two tokens whose verbs are equal differ in
// nothing but what places say of them, so that one captured graph serves both.
type verb struct {
	do        action
	dst, x, w cu.DevicePtr
	kind      kind // of w, a matrix
	out, in   int32
	number    float32 // epsilon of a norm
	curve     int32   // of a gate: 1 is GELU
	look      look
}

type action int

const (
	normRow action = iota
	productRow
	addBias
	gateRow
	addRow
	attendRow
)

// A look is the attention of one token.
type look struct {
	shape
	kernel                   string
	freq, queryNorm, keyNorm cu.DevicePtr
	half                     int32
	ropeScale, epsilon       float32
}

// A place is Place of number.cuh.
type place struct {
	table          cu.DevicePtr
	room, position int32
	lens           lens
}

const placeBytes = 8 + 4*(2+maxHeads)

// A queue holds verbs of single rows until somebody asks for their result. Those of a token are then one graph: the
// processor starts it at once, and kernels follow each other without a gap.
type queue struct {
	verbs  []verb
	places []place       // of each attention among the verbs
	last   []verb        // what was run last without a graph; the second time makes one
	graphs []graph       // the one that was made last comes last
	owners []interface{} // of the memory that verbs work on, which must not go before
}

// A graph is the verbs of a token, captured.
type graph struct {
	verbs []verb
	rooms rooms
	run   exec
}

// rooms are the scratch memory that a graph works in.
type rooms struct{ places, parts cu.DevicePtr }

// mostGraphs is how many graphs are kept: every session has one, for it has activations of its own.
const mostGraphs = 16

// later puts a verb off. The caller holds the device.
func (d *device) later(v verb, owners ...interface{}) {
	d.queue.verbs, d.queue.owners = append(d.queue.verbs, v), append(d.queue.owners, owners...)
}

// run does what was put off.
func (d *device) run() {
	q := &d.queue
	if len(q.verbs) == 0 {
		return
	}
	verbs := q.verbs
	defer func() { q.verbs, q.places, q.owners = verbs[:0], q.places[:0], nil }()
	var r rooms
	if len(q.places) > 0 {
		parts := int64(0)
		for _, v := range verbs {
			if s := v.look.shape; v.do == attendRow {
				parts = max(parts, int64(d.lookBlocks()+int(s.kvHeads))*int64(s.heads/s.kvHeads*(s.dim+2))*4)
			}
		}
		r = rooms{d.room("places", int64(placeBytes*len(q.places))), d.room("parts", parts)}
		upload(d, r.places, q.places)
	}
	at := slices.IndexFunc(q.graphs, func(g graph) bool { return g.rooms == r && slices.Equal(g.verbs, verbs) })
	if at < 0 && slices.Equal(q.last, verbs) && d.err == nil {
		q.last = q.last[:0]
		d.begin()
		d.all(verbs, r)
		if run, ok := d.end(); ok {
			if len(q.graphs) == mostGraphs {
				q.graphs[0].run.destroy()
				q.graphs = slices.Delete(q.graphs, 0, 1)
			}
			at = len(q.graphs)
			q.graphs = append(q.graphs, graph{slices.Clone(verbs), r, run})
		}
	}
	if at >= 0 {
		d.start(q.graphs[at].run)
		return
	}
	q.last = append(q.last[:0], verbs...)
	d.all(verbs, r)
}

// lookBlocks is how many blocks share the pages of a layer: two on each multiprocessor.
func (d *device) lookBlocks() int { return 2 * d.processors }

// all launches the kernels of verbs, where one does the work of several that follow each other.
func (d *device) all(verbs []verb, r rooms) {
	at := r.places
	for i := 0; i < len(verbs); i++ {
		v := verbs[i]
		n := int(v.in)
		switch v.do {
		case normRow:
			if i+1 < len(verbs) && verbs[i+1].do == productRow && verbs[i+1].x == v.dst && v.dst != v.x {
				i += d.line(verbs[i+1:], v)
				continue
			}
			d.norm(v.dst, v.x, v.w, 1, n, v.number)
		case productRow:
			i += d.line(verbs[i:], verb{}) - 1
		case addBias:
			d.addRow(v.dst, v.w, n, n)
		case gateRow:
			d.gate(v.dst, v.x, 1, n, v.curve)
		case addRow:
			d.add(v.dst, v.x, n)
		case attendRow:
			d.lookAt(v, at, r.parts)
			at += placeBytes
		}
	}
}

// norm, addRow, gate and add launch what the verbs of these names do, at once or from the queue.
func (d *device) norm(dst, x, w cu.DevicePtr, rows, cols int, epsilon float32) {
	d.launch("rms_norm", size{x: rows, y: 1, threads: min(1024, (cols+127)/128*32)}, dst, x, w, int32(cols), epsilon)
}

func (d *device) addRow(dst, w cu.DevicePtr, n, cols int) {
	d.launch("add_row", size{x: (n + 255) / 256, y: 1, threads: 256}, dst, w, int32(cols), int64(n))
}

func (d *device) gate(dst, gateUp cu.DevicePtr, rows, cols int, curve int32) {
	d.launch("gate", size{x: (cols + 255) / 256, y: rows, threads: 256}, dst, gateUp, int32(cols), curve)
}

func (d *device) add(dst, x cu.DevicePtr, n int) {
	d.launch("add", size{x: (n + 255) / 256, y: 1, threads: 256}, dst, x, int64(n))
}

// line launches a product, of what norm names if it has a weight, with the gate or the sum behind it, and returns how many
// verbs that was, norm not counted.
func (d *device) line(verbs []verb, norm verb) int {
	v, done := verbs[0], 1
	x, gated, total, curve := v.x, cu.DevicePtr(0), cu.DevicePtr(0), int32(0)
	if norm.w != 0 {
		x = norm.x
	}
	pairs := int(v.out+1) / 2
	if len(verbs) > 1 && verbs[1].x == v.dst && verbs[1].dst != x {
		switch behind := verbs[1]; {
		case behind.do == gateRow && 2*behind.in == v.out:
			gated, curve, done = behind.dst, behind.curve, 2
		case behind.do == addRow && behind.in == v.out:
			total, done = behind.dst, 2
		}
	}
	d.launch("line_"+string(v.kind), size{x: min((pairs+7)/8, 2*d.processors), y: 1, threads: 256, shared: int(4 * v.in), early: true},
		v.dst, x, v.w, v.out, v.in, norm.w, norm.number, norm.dst, gated, curve, total)
	return done
}

// lookAt launches the attention of one token.
func (d *device) lookAt(v verb, at, parts cu.DevicePtr) {
	l := &v.look
	s, heads := &l.shape, int(l.heads+2*l.kvHeads)
	d.launch("rotate_one", size{x: heads, y: 1, threads: 64, shared: int(4 * l.dim), early: true}, v.x, at, s, l.freq, l.half, l.ropeScale,
		l.queryNorm, l.keyNorm, l.epsilon)
	group, blocks := int(l.heads/l.kvHeads), d.lookBlocks()
	d.launch(l.kernel, size{x: blocks, y: (group + 7) / 8, threads: 128, shared: 3 * 2 * 2 * pagePairs * int(l.dim+8), early: true},
		parts, v.x, at, s)
	d.launch("gathered", size{x: int(l.heads), y: int(l.dim+31) / 32, threads: 512, early: true}, v.dst, parts, at, s, int32(blocks))
}

// lookKernels are the kernels for one token, by the channels of a head.
var lookKernels = map[int32]string{16: "look_16", 32: "look_32", 64: "look_64", 80: "look_80", 96: "look_96", 128: "look_128", 256: "look_256"}

// lookFewKernels are those for layers with pages of few bits.
var lookFewKernels = map[int32]string{64: "look_few_64", 128: "look_few_128"}

// single tells whether a verb on so many rows waits in the queue.
func (b *Backend) single(rows int) bool { return rows == 1 && b.kind == half }

// mostLine is the widest row that line holds in shared memory.
const mostLine = 32 << 10
