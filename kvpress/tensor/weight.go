package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
)

// panelCols is how many outputs lie side by side in a packed weight: two registers of eight numbers.
const panelCols = 16

// kernelRows is how many rows of activations the inner kernel takes at once.
const kernelRows = 6

// A Weight is a matrix (Out, In) packed for products with rows of activations: panels of 16 outputs, in each panel
// the 16 numbers of one input together. bfloat16 weights stay 2 bytes each.
type Weight struct {
	Out, In int
	single  []float32 // packed float32, or
	half    []uint16  // packed bfloat16, or
	few     *groups   // 8 or 4 bits
}

func checkPack(out, in, numbers int) error {
	if out < 1 || in < 1 || numbers != out*in {
		return fmt.Errorf("a weight of %d outputs and %d inputs has %d numbers, %d were given", out, in, out*in, numbers)
	}
	return nil
}

// panels is the number of panels, the last of which may be filled up with zeros.
func (w *Weight) panels() int { return (w.Out + panelCols - 1) / panelCols }

// PackBF16 packs bfloat16 numbers, little endian, row after row.
func PackBF16(out, in int, data []byte) (*Weight, error) {
	if err := checkPack(out, in, len(data)/2); err != nil {
		return nil, err
	}
	w := &Weight{Out: out, In: in}
	w.half = make([]uint16, w.panels()*panelCols*in)
	Parallel(w.panels(), func(p int) {
		panel := w.half[p*panelCols*in : (p+1)*panelCols*in]
		for j := range min(panelCols, out-p*panelCols) {
			row := data[2*(p*panelCols+j)*in:]
			for k := range in {
				panel[k*panelCols+j] = binary.LittleEndian.Uint16(row[2*k:])
			}
		}
	})
	return w, nil
}

// PackF32 packs float32 numbers, row after row.
func PackF32(out, in int, data []float32) (*Weight, error) {
	if err := checkPack(out, in, len(data)); err != nil {
		return nil, err
	}
	w := &Weight{Out: out, In: in}
	w.single = make([]float32, w.panels()*panelCols*in)
	Parallel(w.panels(), func(p int) {
		packPanel(w.single[p*panelCols*in:(p+1)*panelCols*in], Mat{Rows: out, Cols: in, Data: data}, p*panelCols)
	})
	return w, nil
}

// packPanel writes 16 rows of m, from row first on, as a panel; rows past the end are zeros.
func packPanel(panel []float32, m Mat, first int) {
	for j := range panelCols {
		if first+j >= m.Rows {
			for k := range m.Cols {
				panel[k*panelCols+j] = 0
			}
			continue
		}
		for k, v := range m.Row(first + j) {
			panel[k*panelCols+j] = v
		}
	}
}

// Bytes is the size of the weight in memory.
func (w *Weight) Bytes() int64 {
	if w.few != nil {
		return int64(len(w.few.data))
	}
	return int64(4*len(w.single) + 2*len(w.half))
}

// Row writes row i as float32.
func (w *Weight) Row(dst []float32, i int) {
	if w.few != nil {
		w.few.row(w, dst[:w.In], i)
		return
	}
	at := i/panelCols*panelCols*w.In + i%panelCols
	for k := range w.In {
		if w.half != nil {
			dst[k] = math.Float32frombits(uint32(w.half[at+k*panelCols]) << 16)
		} else {
			dst[k] = w.single[at+k*panelCols]
		}
	}
}

// depth is how many inputs the product takes at a time, so that a piece of a panel stays in the first cache.
const depth = 256

// room is scratch memory of one task.
type room struct{ panel, a, c []float32 }

var rooms = sync.Pool{New: func() interface{} { return new(room) }}

func grown(x []float32, n int) []float32 {
	if cap(x) < n {
		return make([]float32, n)
	}
	return x[:n]
}

// MulT is dst (n, Out) = x (n, In) · wᵀ.
func (w *Weight) MulT(dst, x Mat) { w.MulTRows(dst, x, 0, w.Out) }

// MulTRows is MulT with the outputs from row from up to, not including, row to of the weight alone: dst is
// (n, to-from). from is a multiple of 16.
func (w *Weight) MulTRows(dst, x Mat, from, to int) {
	if x.Cols != w.In || dst.Cols != to-from || dst.Rows != x.Rows || from%panelCols != 0 || to > w.Out {
		panic("tensor: shapes of a product do not fit")
	}
	if x.Rows == 1 {
		w.gemv(dst.Data, x.Data, from, to)
		return
	}
	first, last := from/panelCols, (to+panelCols-1)/panelCols
	Parallel(last-first, func(i int) {
		r := rooms.Get().(*room)
		w.panel(r, dst, x, first+i, from, to)
		rooms.Put(r)
	})
}

// panel computes the outputs of one panel for all rows.
func (w *Weight) panel(r *room, dst, x Mat, p, from, to int) {
	b := w.single
	if w.few != nil {
		r.panel = grown(r.panel, w.blocks()*GroupLen*panelCols)
		w.few.widen(w, r.panel, panelCols, p)
		b = r.panel
	} else if w.half != nil {
		r.panel = grown(r.panel, w.In*panelCols)
		widen(r.panel, w.half[p*panelCols*w.In:(p+1)*panelCols*w.In])
		b = r.panel
	} else {
		b = b[p*panelCols*w.In : (p+1)*panelCols*w.In]
	}
	column := p*panelCols - from
	cols := min(panelCols, to-p*panelCols)
	for k := 0; k < w.In; k += depth {
		part := min(depth, w.In-k)
		for row := 0; row < x.Rows; row += kernelRows {
			product(r, min(kernelRows, x.Rows-row), cols, part, x.Data[row*x.Cols+k:], x.Cols, b[k*panelCols:], panelCols, dst.Data[row*dst.Cols+column:], dst.Cols, k > 0)
		}
	}
}

// product is the inner kernel for up to 6 rows and 16 columns; the rest is filled up in scratch memory.
func product(r *room, rows, cols, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	if rows == kernelRows && cols == panelCols {
		kernel(k, a, lda, b, ldb, c, ldc, add)
		return
	}
	r.c = grown(r.c, kernelRows*panelCols)
	if rows < kernelRows {
		r.a = grown(r.a, kernelRows*k)
		for i := range rows {
			copy(r.a[i*k:(i+1)*k], a[i*lda:])
		}
		clear(r.a[rows*k:])
		a, lda = r.a, k
	}
	if add {
		for i := range rows {
			copy(r.c[i*panelCols:i*panelCols+cols], c[i*ldc:])
		}
	}
	kernel(k, a, lda, b, ldb, r.c, panelCols, add)
	for i := range rows {
		copy(c[i*ldc:i*ldc+cols], r.c[i*panelCols:])
	}
}

// gemvPanels is how many panels of a product with one row are one task.
const gemvPanels = 16

// gemv is the product with a single row: as fast as the weights can be read.
func (w *Weight) gemv(dst, x []float32, from, to int) {
	var sums []float32
	if w.few != nil {
		r := rooms.Get().(*room)
		defer rooms.Put(r)
		x, sums = w.grouped(r, x)
	}
	first, panels := from/panelCols, (to-from+panelCols-1)/panelCols
	Parallel((panels+gemvPanels-1)/gemvPanels, func(task int) {
		p := first + task*gemvPanels
		n := min(gemvPanels, first+panels-p)
		out := dst[p*panelCols-from : min(len(dst), (p+n)*panelCols-from)]
		if len(out) == n*panelCols {
			w.gemvPart(out, x, sums, p, n)
			return
		}
		r := rooms.Get().(*room)
		r.c = grown(r.c, n*panelCols)
		w.gemvPart(r.c, x, sums, p, n)
		copy(out, r.c)
		rooms.Put(r)
	})
}

// gemvPart multiplies one row with n panels from panel p on; sums are those of the row's groups, for weights that have them.
func (w *Weight) gemvPart(dst, x, sums []float32, p, n int) {
	if w.few != nil {
		w.few.gemv(w, dst, x, sums, p, n)
		return
	}
	at, end := p*panelCols*w.In, (p+n)*panelCols*w.In
	if w.half != nil {
		gemvHalf(dst, x, w.half[at:end])
		return
	}
	gemvSingle(dst, x, w.single[at:end])
}

// MulT is dst = a · bᵀ, on the calling goroutine alone.
func MulT(dst, a, b Mat) {
	if a.Cols != b.Cols || dst.Rows != a.Rows || dst.Cols != b.Rows {
		panic("tensor: shapes of a product do not fit")
	}
	r := rooms.Get().(*room)
	defer rooms.Put(r)
	r.panel = grown(r.panel, panelCols*a.Cols)
	for j := 0; j < b.Rows; j += panelCols {
		packPanel(r.panel, b, j)
		cols := min(panelCols, b.Rows-j)
		for i := 0; i < a.Rows; i += kernelRows {
			product(r, min(kernelRows, a.Rows-i), cols, a.Cols, a.Data[i*a.Cols:], a.Cols, r.panel, panelCols, dst.Data[i*dst.Cols+j:], dst.Cols, false)
		}
	}
}

// Mul is dst = a · b, on the calling goroutine alone.
func Mul(dst, a, b Mat) {
	if a.Cols != b.Rows || dst.Rows != a.Rows || dst.Cols != b.Cols {
		panic("tensor: shapes of a product do not fit")
	}
	for i := range a.Rows {
		row := dst.Row(i)
		clear(row)
		for k, v := range a.Row(i) {
			AddScaled(row, v, b.Row(k))
		}
	}
}
