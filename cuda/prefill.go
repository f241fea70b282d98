//go:build cuda && cgo

package cuda

/*
#include <cuda.h>
#include <string.h>

// memory_map is a map of all memory as pages of rows of dim numbers, 64 rows at once: the address of a page is its last two
// coordinates, in steps of 256 bytes and of 256 MB.
static int memory_map(void *map, int dim) {
	CUtensorMap m;
	cuuint64_t sizes[4] = {dim, 64, 1 << 20, 1 << 20}, strides[3] = {2 * dim, 256, 1 << 28};
	cuuint32_t box[4] = {64, 64, 1, 1}, ones[4] = {1, 1, 1, 1};
	int r = cuTensorMapEncodeTiled(&m, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, NULL, sizes, strides, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
		CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	memcpy(map, &m, sizeof m);
	return r;
}

// matrix_map is a map of a matrix, 128 rows of 64 columns at once.
static int matrix_map(void *map, size_t at, int rows, int columns) {
	CUtensorMap m;
	cuuint64_t sizes[2] = {columns, rows}, stride = 2 * (cuuint64_t)columns;
	cuuint32_t box[2] = {64, 128}, ones[2] = {1, 1};
	int r = cuTensorMapEncodeTiled(&m, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, (void *)at, sizes, &stride, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
		CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	memcpy(map, &m, sizeof m);
	return r;
}

// rows_map is a map of rows of query heads, 128 rows of a head at once.
static int rows_map(void *map, size_t at, int dim, int heads, int rows) {
	CUtensorMap m;
	cuuint64_t sizes[3] = {dim, heads, rows}, strides[2] = {2 * dim, 2 * (cuuint64_t)dim * heads};
	cuuint32_t box[3] = {64, 1, 128}, ones[3] = {1, 1, 1};
	int r = cuTensorMapEncodeTiled(&m, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, (void *)at, sizes, strides, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
		CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	memcpy(map, &m, sizeof m);
	return r;
}
*/
import "C"

import (
	"fmt"
	"os"
	"slices"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Many tokens go from verb to verb in bfloat16, for that is what matrix products want. A narrow matrix is what the last
// verb left in that form for a product that may follow; any other verb settles it first.
type narrow struct {
	of, at  cu.DevicePtr // the matrix, and its narrow form
	numbers int
	only    bool        // the matrix itself is not written yet
	owner   interface{} // of the matrix, which must not go before
}

// settle writes the matrix that is there in its narrow form only, and forgets the form.
func (d *device) settle() {
	n := d.narrow
	d.narrow = narrow{}
	if n.only {
		d.launch("widen", size{x: (n.numbers + 2047) / 2048, y: 1, threads: 256}, n.of, n.at, int64(n.numbers))
	}
}

// narrowed is the narrow form of a matrix. The matrix that was there in this form only is not written any more: it has
// served.
func (d *device) narrowed(x cu.DevicePtr, numbers int) cu.DevicePtr {
	if d.narrow.of == x && d.narrow.numbers == numbers {
		d.narrow.only = false
		return d.narrow.at
	}
	d.settle()
	at := d.room("narrow", int64(2*numbers))
	d.launch("to_bf16", size{x: (numbers + 511) / 512, y: 1, threads: 256}, at, x, int64(numbers))
	return at
}

// A product of many rows waits for the next verb, which may want its result added to another matrix, or in bfloat16.
type product struct {
	b             *Backend
	dst, x        cu.DevicePtr // x in its narrow form
	w             *owner
	rows, out, in int
	owner         interface{} // of dst, which must not go before
}

// manyRows tells whether a product is one for the tensor cores.
func (b *Backend) manyRows(rows int, w *owner, out, in int) bool {
	return rows > few && b.kind == half && w.kind == half && in%8 == 0 && (b.blas != nil || b.device.wide && out%8 == 0 || out%128 == 0 && in%32 == 0)
}

// fuses tells whether more can be done with the result of a product than write it.
func (p product) fuses() bool { return p.b.blas != nil || p.own() }

// own tells whether our kernel for compute capability 9.0 multiplies.
func (p product) own() bool { return p.b.blas == nil && p.b.device.wide && p.out%8 == 0 }

// run multiplies, into any matrix of the right size; add adds to what is there.
func (p product) run(dst cu.DevicePtr, add bool) {
	d := p.b.device
	switch {
	case p.b.blas != nil:
		d.fail(p.b.blas.product(dst, single, p.x, p.w.at, half, p.rows, p.out, p.in, add))
	case p.own():
		how := int32(0)
		if add {
			how = 1
		}
		p.wide(dst, how, 0)
	default:
		d.launch("tensor_gemm", size{x: p.out / 128, y: (p.rows + 127) / 128, threads: 256}, dst, p.x, p.w.at, int32(p.rows), int32(p.out), int32(p.in))
	}
}

// wide multiplies with our own kernel; how is one of its ways to end.
func (p product) wide(dst cu.DevicePtr, how, curve int32) {
	d, x, w := p.b.device, &tensorMap{}, &tensorMap{}
	r := C.matrix_map(unsafe.Pointer(x), C.size_t(p.x), C.int(p.rows), C.int(p.in))
	if r == 0 {
		r = C.matrix_map(unsafe.Pointer(w), C.size_t(p.w.at), C.int(p.out), C.int(p.in))
	}
	if r != 0 {
		d.fail(fmt.Errorf("cuda: kernel product_wide: no map of a matrix (%d, %d) can be made (error %d)", p.out, p.in, int(r)))
		return
	}
	d.launch("product_wide", size{x: d.processors &^ 1, y: 1, threads: 384, shared: 1024 + 4*3*128*128}, dst, x, w, int32(p.rows), int32(p.out), int32(p.in), how, curve)
}

// catchUp does what was put off.
func (d *device) catchUp() {
	if p := d.waiting; p.b != nil {
		d.waiting = product{}
		p.run(p.dst, false)
	}
	d.run()
}

// waits takes the product that waits, if it makes this matrix and nothing came since; else it catches up. Either way no
// narrow form is left.
func (d *device) waits(dst cu.DevicePtr, numbers int) (product, bool) {
	p := d.waiting
	if p.b == nil || !p.fuses() || p.dst != dst || p.rows*p.out != numbers || len(d.queue.verbs) > 0 {
		d.catchUp()
		d.settle()
		return p, false
	}
	d.waiting = product{}
	d.settle()
	return p, true
}

// normWide is Norm for many rows.
func (b *Backend) normWide(dst, x llm.Buf, w llm.Weight, epsilon float32) {
	d, numbers := b.device, x.Rows*x.Cols
	also := d.room("narrow", int64(2*numbers))
	d.launch("norm_wide", size{x: x.Rows, y: 1, threads: min(512, (x.Cols+127)/128*32)}, pointer(dst), also, pointer(x), vector(w), int32(x.Cols), epsilon)
	d.narrow = narrow{of: pointer(dst), at: also, numbers: numbers, owner: dst.Mem}
}

// gateWide is Gate for many rows.
func (b *Backend) gateWide(dst, gateUp llm.Buf, curve int32) {
	d, numbers, k := b.device, dst.Rows*dst.Cols, single
	d.lock()
	defer d.leave()
	p, ok := d.waits(pointer(gateUp), 2*numbers)
	if ok && p.own() {
		to := d.room("gated", int64(2*numbers)) // p reads the other room
		d.narrow = narrow{of: pointer(dst), at: to, numbers: numbers, only: true, owner: dst.Mem}
		p.wide(to, 2, curve)
		return
	}
	if ok {
		k = half
		d.fail(b.blas.product(p.dst, k, p.x, p.w.at, half, p.rows, p.out, p.in, false))
	}
	to := d.room("narrow", int64(2*numbers))
	d.narrow = narrow{of: pointer(dst), at: to, numbers: numbers, only: true, owner: dst.Mem}
	d.launch("gate_wide_"+string(k), size{x: (dst.Cols + 2047) / 2048, y: dst.Rows, threads: 256}, to, pointer(gateUp), int32(dst.Cols), curve)
}

// wideKernel is the kernel for the attention of many tokens, and the shared memory that it wants; none is "".
func (b *Backend) wideKernel(dim int) (name string, shared int) {
	if b.device.wide {
		parts, tile, stages := (dim+63)/64, 128, 2
		switch dim {
		case 64:
			stages = 3
		case 256:
			tile = 64
		case 80, 96, 128:
		default:
			return "", 0
		}
		return fmt.Sprintf("wide_%d", dim), 1024 + 128*parts*(128+2*stages*tile)
	}
	if dim == 64 || dim == 128 {
		return fmt.Sprintf("flash_%d", dim), 2 * (128 + 2*2*pagePairs) * dim
	}
	return "", 0
}

// attendWide is Attend for many tokens, whose pairs have their place in the cache already.
func (b *Backend) attendWide(kernel string, shared int, dst, qkv llm.Buf, t table, s *shape, before *lens, turn []interface{}) {
	d, n, width := b.device, int(s.tokens), int(s.heads*s.dim)
	block := b.RowBlock()
	rows := (n + block - 1) / block * block // cuDNN writes whole blocks
	queries, out := d.room("queries", int64(2*rows*width)), d.room("narrow", int64(2*rows*width))
	d.launch("rotate_wide", size{x: n, y: 1, threads: 256}, append([]interface{}{queries, pointer(qkv), t.at, s, before}, turn...)...)
	d.narrow = narrow{of: pointer(dst), at: out, numbers: n * width, only: true, owner: dst.Mem}
	if b.attendDNN(queries, out, rows, t, s, before) {
		return
	}
	grid := size{x: int(s.heads), y: (n + 127) / 128, threads: 128, shared: shared}
	if !d.wide {
		d.launch(kernel, grid, out, queries, t.at, s, before)
		return
	}
	memory, list := &tensorMap{}, &tensorMap{}
	r := C.memory_map(unsafe.Pointer(memory), C.int(s.dim))
	if r == 0 {
		r = C.rows_map(unsafe.Pointer(list), C.size_t(queries), C.int(s.dim), C.int(s.heads), C.int(n))
	}
	if r != 0 {
		d.fail(fmt.Errorf("cuda: kernel %s: no map of the memory can be made (error %d)", kernel, int(r)))
		return
	}
	grid.threads = 384
	d.launch(kernel, grid, out, memory, list, t.at, s, before)
}

// A tensorMap is a CUtensorMap.
type tensorMap [16]uint64

// fewForDNN is how many tokens are worth cuDNN.
const fewForDNN = 256

// attendDNN attends with cuDNN, where it is there and can.
func (b *Backend) attendDNN(queries, out cu.DevicePtr, rows int, t table, s *shape, before *lens) bool {
	d, kvHeads, dim := b.device, int(s.kvHeads), int(s.dim)
	longest := int(slices.Max(before[:kvHeads])) + int(s.tokens)
	if s.tokens < fewForDNN || s.window > 0 || dim != 64 && dim != 128 || longest > mostPairs {
		return false
	}
	page := cu.DevicePtr(4 * pagePairs * dim)
	if t.apart || d.skew != 0 || (d.highest-d.lowest)/page > mostPages {
		return false
	}
	if d.wide && os.Getenv(DNNVariable) == "" { // our own kernel is faster
		return false
	}
	if !b.sought {
		var err error
		b.dnn, err = openDNN(d)
		d.fail(err)
		b.sought = true
	}
	if b.dnn == nil {
		return false
	}
	p := b.dnn.plan(planned{kvHeads, int(s.heads) / kvHeads, dim, rows})
	if p.c == nil {
		return false
	}
	const most = mostPairs / pagePairs
	numbers := d.room("page numbers", 4*int64(kvHeads*(most+2)))
	own := numbers + cu.DevicePtr(4*kvHeads*most)
	workspace := d.room("cudnn", max(p.workspace, 256))
	d.launch("number_pages", size{x: (pagesFor(longest) + 255) / 256, y: kvHeads, threads: 256}, numbers, own, t.at, s, before, d.lowest, int32(most))
	if d.err == nil {
		d.fail(b.dnn.attend(p, kvHeads, dim, queries, d.lowest, out, own, numbers, workspace, s.scale))
	}
	return true
}
