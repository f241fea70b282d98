//go:build cuda && cgo

package cuda

import (
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// A kind is how numbers are stored.
type kind string

const (
	single  kind = "f32"
	half    kind = "bf16"
	float16 kind = "f16" // of weights only
)

// bytes of a number.
func (k kind) bytes() int64 {
	if k == single {
		return 4
	}
	return 2
}

// A Backend does the arithmetic of models on one GPU. It is safe for several sessions at once.
type Backend struct {
	device  *device
	options Options
	kind    kind // of keys, values and weights
	blas    *blas
	dnn     *dnn
	sought  bool                // cuDNN was, and dnn is nil where there is none
	freq    map[*float32]*owner // rotations on the device, by where they lie on the host
}

// Built tells whether this binary has the CUDA backend.
const Built = true

// New starts a GPU.
func New(o Options) (llm.Backend, error) {
	d, err := openDevice(o.Device)
	if err != nil {
		return nil, err
	}
	b := &Backend{device: d, options: o, kind: half, freq: map[*float32]*owner{}}
	if o.Float32 {
		b.kind = single
	} else {
		d.enter()
		b.blas, err = openBLAS(d)
		d.leave()
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return b, nil
}

// Name is "cuda".
func (b *Backend) Name() string { return "cuda" }

// Memory is how many bytes of the device are held now, and the most since the last call.
func (b *Backend) Memory() (held, peak int64) {
	d := b.device
	d.enter()
	defer d.leave()
	d.trim()
	d.collect()
	d.trim() // of caches that Go found
	held, peak = d.held, d.peak
	d.peak = held
	return held, peak
}

// Close frees everything on the device.
func (b *Backend) Close() error {
	b.device.enter() // what waits may want cuBLAS
	b.device.leave()
	b.blas.close()
	b.dnn.close()
	return b.device.close()
}

// RowBlock is enough rows for the tensor cores.
func (b *Backend) RowBlock() int { return 4096 }

// PairBytes is 2 bytes for each number, 4 with Options.Float32.
func (b *Backend) PairBytes(dim int) int { return 2 * dim * int(b.kind.bytes()) }

// pointer is where a matrix begins.
func pointer(x llm.Buf) cu.DevicePtr {
	return x.Mem.(*owner).at + cu.DevicePtr(4*x.Offset)
}

// vector is where a weight lies; nil for none.
func vector(w llm.Weight) cu.DevicePtr {
	if w.Mem == nil {
		return 0
	}
	return w.Mem.(*owner).at
}

// Alloc makes a matrix of float32 on the device.
func (b *Backend) Alloc(rows, cols int) (llm.Buf, error) {
	b.device.enter()
	defer b.device.leave()
	o, err := b.device.own(int64(4*rows*cols), single)
	return llm.Buf{Rows: rows, Cols: cols, Mem: o}, err
}

// Upload copies weights to the device: vectors as float32, matrices as bfloat16 or float16 where they are stored so, and
// as bfloat16 where the backend computes so.
func (b *Backend) Upload(parts ...weights.Tensor) (llm.Weight, error) {
	in, out, stored := parts[0].Shape[len(parts[0].Shape)-1], 0, parts[0].DType
	for _, p := range parts {
		rows := 1
		if len(p.Shape) == 2 {
			rows = p.Shape[0]
		}
		out += rows
		if p.DType != stored {
			stored = weights.F32
		}
	}
	k := single
	switch {
	case out == 1:
	case stored == weights.F16:
		k = float16
	case stored == weights.BF16 || b.kind == half:
		k = half
	}
	b.device.enter()
	defer b.device.leave()
	o, err := b.device.own(int64(out*in)*k.bytes(), k)
	if err != nil {
		return llm.Weight{}, err
	}
	at := o.at
	for _, p := range parts {
		data := p.Data
		if k == half && p.DType != weights.BF16 {
			x, err := p.Float32()
			if err != nil {
				return llm.Weight{}, err
			}
			data = make([]byte, 2*len(x))
			tensor.ToBF16(data, x)
		}
		if k == single {
			x, err := p.Float32()
			if err != nil {
				return llm.Weight{}, err
			}
			upload(b.device, at, x)
		} else {
			upload(b.device, at, data)
		}
		at += cu.DevicePtr(int64(p.Elements()) * k.bytes())
	}
	return llm.Weight{Out: out, In: in, Bytes: int64(out*in) * k.bytes(), Mem: o}, b.device.err
}

// Embed copies rows of the table, times scale.
func (b *Backend) Embed(dst llm.Buf, table llm.Weight, ids []int, scale float32) {
	b.device.enter()
	defer b.device.leave()
	list := make([]int32, len(ids))
	for i, id := range ids {
		list[i] = int32(id)
	}
	at := b.device.room("ids", int64(4*len(ids)))
	upload(b.device, at, list)
	w := table.Mem.(*owner)
	b.device.launch("embed_"+string(w.kind), size{x: len(ids), y: 1, threads: 256}, pointer(dst), w.at, at, int32(dst.Cols), scale)
}

// Norm is the root-mean-square norm of each row; dst may be x.
func (b *Backend) Norm(dst, x llm.Buf, w llm.Weight, epsilon float32) {
	if b.single(x.Rows) {
		b.later(verb{do: normRow, w: vector(w), in: int32(x.Cols), number: epsilon}, dst, x)
		return
	}
	b.device.enter()
	defer b.device.leave()
	if b.kind == half && x.Rows > few && x.Cols%4 == 0 {
		b.normWide(dst, x, w, epsilon)
		return
	}
	b.device.norm(pointer(dst), pointer(x), vector(w), x.Rows, x.Cols, epsilon)
}

// few is the largest number of rows that a product takes one by one.
const few = 8

// MatMul is dst = x · wᵀ.
func (b *Backend) MatMul(dst, x llm.Buf, w llm.Weight) {
	if k := w.Mem.(*owner).kind; b.single(x.Rows) && k != single && w.In%8 == 0 && w.In <= mostLine {
		b.later(verb{do: productRow, w: vector(w), kind: k, out: int32(w.Out), in: int32(w.In)}, dst, x)
		return
	}
	d, o := b.device, w.Mem.(*owner)
	d.lock()
	defer d.leave()
	d.catchUp()
	if b.manyRows(x.Rows, o, w.Out, w.In) {
		d.waiting = product{b, pointer(dst), d.narrowed(pointer(x), x.Rows*w.In), o, x.Rows, w.Out, w.In, dst.Mem}
		return
	}
	b.product(pointer(dst), pointer(x), x.Rows, o, w.Out, w.In)
}

// product is dst (rows, out) = x (rows, in) · wᵀ.
func (b *Backend) product(dst, x cu.DevicePtr, rows int, w *owner, out, in int) {
	d, k := b.device, string(w.kind)
	if b.manyRows(rows, w, out, in) {
		product{b, dst, d.narrowed(x, rows*in), w, rows, out, in, nil}.run(dst, false)
		return
	}
	d.settle()
	if rows > few && w.kind == float16 && b.kind == half && in%8 == 0 {
		x16 := d.room("float16", int64(2*rows*in))
		d.launch("to_f16", size{x: (rows*in + 255) / 256, y: 1, threads: 256}, x16, x, int64(rows*in))
		if b.blas != nil {
			d.fail(b.blas.product(dst, single, x16, w.at, float16, rows, out, in, false))
			return
		}
		if out%128 == 0 && in%32 == 0 {
			d.launch("tensor_gemm_f16", size{x: out / 128, y: (rows + 127) / 128, threads: 256}, dst, x16, w.at, int32(rows), int32(out), int32(in))
			return
		}
	}
	if rows > few || in%8 != 0 {
		d.launch("gemm_"+k, size{x: (out + 63) / 64, y: (rows + 63) / 64, threads: 256}, dst, x, w.at, int32(rows), int32(out), int32(in))
		return
	}
	name := "gemv_" + k + "_8"
	if rows == 1 {
		name = "gemv_" + k + "_1"
	}
	d.launch(name, size{x: (out + 15) / 16, y: 1, threads: 256}, dst, x, w.at, int32(out), int32(in), int32(rows))
}

// later puts a verb on one row off.
func (b *Backend) later(v verb, dst, x llm.Buf) {
	v.dst, v.x = pointer(dst), pointer(x)
	d := b.device
	d.mu.Lock()
	if d.narrow.only {
		d.mu.Unlock()
		d.enter()
		d.leave()
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	d.later(v, dst.Mem, x.Mem)
}

// AddRow adds a vector to every row.
func (b *Backend) AddRow(dst llm.Buf, w llm.Weight) {
	n := dst.Rows * dst.Cols
	if b.single(dst.Rows) {
		b.later(verb{do: addBias, w: vector(w), in: int32(n)}, dst, dst)
		return
	}
	b.device.enter()
	defer b.device.leave()
	b.device.addRow(pointer(dst), vector(w), n, dst.Cols)
}

// Gate is dst = a(gate) * up, where a row of gateUp holds gate and up one after the other.
func (b *Backend) Gate(dst, gateUp llm.Buf, a llm.Activation) {
	curve := int32(0)
	if a == llm.GELUTanh {
		curve = 1
	}
	if b.single(dst.Rows) {
		b.later(verb{do: gateRow, in: int32(dst.Cols), curve: curve}, dst, gateUp)
		return
	}
	if b.kind == half && dst.Rows > few && dst.Cols%8 == 0 {
		b.gateWide(dst, gateUp, curve)
		return
	}
	b.device.enter()
	defer b.device.leave()
	b.device.gate(pointer(dst), pointer(gateUp), dst.Rows, dst.Cols, curve)
}

// Add is dst += x.
func (b *Backend) Add(dst, x llm.Buf) {
	n := dst.Rows * dst.Cols
	if b.single(dst.Rows) {
		b.later(verb{do: addRow, in: int32(n)}, dst, x)
		return
	}
	d := b.device
	d.lock()
	defer d.leave()
	if pointer(dst) == pointer(x) {
		d.catchUp()
		d.settle()
	} else if p, ok := d.waits(pointer(x), n); ok {
		p.run(pointer(dst), true)
		return
	}
	d.add(pointer(dst), pointer(x), n)
}

// Read waits for all work and copies a matrix, or reports the first failure since the last Read.
func (b *Backend) Read(dst []float32, x llm.Buf) error {
	n := x.Rows * x.Cols
	if n > len(dst) {
		return fmt.Errorf("cuda: %d numbers do not fit into %d", n, len(dst))
	}
	d := b.device
	d.lock()
	defer d.leave()
	d.catchUp()
	if n > 0 {
		d.settle()
		download(d, dst[:n], pointer(x))
	} else {
		d.wait()
		d.rest()
	}
	return d.failure()
}

// failure takes the first failure: what comes after starts afresh.
func (d *device) failure() error {
	err := d.err
	d.err = nil
	if err == nil {
		return nil
	}
	if stopped := d.stopped(); stopped != nil {
		return fmt.Errorf("%w: %w", err, stopped)
	}
	return err
}

// Write copies numbers into a matrix.
func (b *Backend) Write(dst llm.Buf, src []float32) error {
	if n := dst.Rows * dst.Cols; n != len(src) {
		return fmt.Errorf("cuda: %d numbers for a matrix of %d", len(src), n)
	}
	b.device.enter()
	defer b.device.leave()
	upload(b.device, pointer(dst), src)
	return b.device.failure()
}

var errChannels = errors.New("cuda: heads must have a multiple of 8 channels, 256 at most: use the CPU backend for this model")

// Attend rotates queries and keys, appends keys and values to the cache, and attends: a token sees every pair that its
// KV head still has from before, and the new ones up to its own.
func (b *Backend) Attend(dst, qkv llm.Buf, c llm.Cache, a llm.Attention) {
	d, cache := b.device, c.(*Cache)
	kernels := lookKernels
	if cache.few(a.Layer) {
		kernels = lookFewKernels
	}
	one := b.single(qkv.Rows) && kernels[int32(a.Dim)] != ""
	if one {
		d.lock()
		d.settle()
	} else {
		d.enter()
	}
	defer d.leave()
	if a.Dim%8 != 0 || a.Dim > 256 || a.KVHeads > maxHeads {
		d.fail(errChannels)
		return
	}
	if err := cache.squeeze(a.Layer); err != nil {
		d.fail(err)
		return
	}
	n := qkv.Rows
	var before lens
	for h := range a.KVHeads {
		before[h] = int32(cache.Len(a.Layer, h))
	}
	if err := cache.extend(a.Layer, a.Positions); err != nil {
		d.fail(err)
		return
	}
	table := cache.tables[a.Layer]
	s := &shape{int32(a.Heads), int32(a.KVHeads), int32(a.Dim), int32(n), int32(table.room), int32(a.Window), a.Scale}
	if one {
		d.trim()
		s.room = 0 // place has it
		d.queue.places = append(d.queue.places, place{table.at, int32(table.room), int32(a.Positions[0]), before})
		d.later(verb{do: attendRow, dst: pointer(dst), x: pointer(qkv), look: look{
			shape: *s, kernel: kernels[s.dim], freq: b.rotation(a.Rope), half: int32(len(a.Rope.Freq)),
			ropeScale: a.Rope.Scale, queryNorm: vector(a.QueryNorm), keyNorm: vector(a.KeyNorm), epsilon: a.Epsilon,
		}}, dst.Mem, qkv.Mem)
		return
	}
	table = cache.widened(a.Layer)
	s.room = int32(table.room)
	positions, from := b.positions(a.Positions)
	turn := []interface{}{positions, from, b.rotation(a.Rope), int32(len(a.Rope.Freq)), a.Rope.Scale, vector(a.QueryNorm), vector(a.KeyNorm), a.Epsilon}
	if kernel, shared := b.wideKernel(a.Dim); kernel != "" && cache.kind == half && n > few {
		b.attendWide(kernel, shared, dst, qkv, table, s, &before, turn)
		return
	}
	d.launch("rotate_"+string(cache.kind), size{x: a.Heads + 2*a.KVHeads, y: n, threads: 64, shared: 4 * a.Dim},
		append([]interface{}{pointer(qkv), table.at, s, &before}, turn...)...)
	b.pieces(dst, qkv, string(cache.kind), table, s, &before)
}

// wanted is the number of pieces that keep a card busy.
const wanted = 528

// pieces attends piece by piece, each of the same length, and puts the pieces together.
func (b *Backend) pieces(dst, qkv llm.Buf, kind string, table table, s *shape, before *lens) {
	d, n, dim := b.device, int(s.tokens), int(s.dim)
	total := 0
	for h := range int(s.kvHeads) {
		total += int(before[h]) + n
	}
	parts := &split{}
	length := max(1, total*n/wanted)
	length = (length + pagePairs - 1) / pagePairs * pagePairs
	parts.length = int32(length)
	for h := range int(s.kvHeads) {
		parts.first[h+1] = parts.first[h] + int32((int(before[h])+n+length-1)/length)
	}
	group, lanes, heads := int(s.heads/s.kvHeads), 8, 4
	for lanes*8 < dim {
		lanes *= 2
	}
	for heads > 1 && heads/2 >= group {
		heads /= 2
	}
	pieces := int(parts.first[s.kvHeads])
	room := d.room("pieces", int64(4*n*pieces*group*(dim+2)))
	name := fmt.Sprintf("attend_%s_%d_%d", kind, lanes, heads)
	d.launch(name, size{x: pieces, y: n, z: (group + heads - 1) / heads, threads: 256}, room, pointer(qkv), table.at, s, before, parts)
	d.launch("combine", size{x: int(s.heads), y: n, threads: (dim + 31) / 32 * 32}, pointer(dst), room, s, parts)
}

// positions puts positions on the device, unless they follow each other: then the first one says it all.
func (b *Backend) positions(at []int) (list cu.DevicePtr, from int32) {
	if at[len(at)-1]-at[0] == len(at)-1 && slices.IsSorted(at) {
		return 0, int32(at[0])
	}
	numbers := make([]int32, len(at))
	for i, p := range at {
		numbers[i] = int32(p)
	}
	room := b.device.room("positions", int64(4*len(at)))
	upload(b.device, room, numbers)
	return room, 0
}

// rotation puts the angles of a rotation on the device, once.
func (b *Backend) rotation(r tensor.Rope) cu.DevicePtr {
	if len(r.Freq) == 0 {
		return 0
	}
	o, ok := b.freq[&r.Freq[0]]
	if !ok {
		var err error
		if o, err = b.device.own(int64(4*len(r.Freq)), single); err != nil {
			b.device.fail(err)
			return 0
		}
		upload(b.device, o.at, r.Freq)
		b.freq[&r.Freq[0]] = o
	}
	return o.at
}
