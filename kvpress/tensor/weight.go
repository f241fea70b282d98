package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
)

// panelCols is how many outputs lie side by side in a packed weight: two registers of eight numbers.
const panelCols = 16

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

// rowsOf cuts parts, one behind the other, into so many rows of a size in bytes.
func rowsOf(out, size int, parts [][]byte) ([][]byte, error) {
	rows := make([][]byte, 0, max(0, out))
	for _, part := range parts {
		for ; size > 0 && len(part) >= size; part = part[size:] {
			rows = append(rows, part[:size])
		}
		if len(part) != 0 {
			return nil, fmt.Errorf("a row of a weight takes %d bytes, %d are left over", size, len(part))
		}
	}
	if out < 1 || len(rows) != out {
		return nil, fmt.Errorf("a weight of %d outputs has as many rows of %d bytes, %d were given", out, size, len(rows))
	}
	return rows, nil
}

// PackBF16 packs bfloat16 numbers, little endian, row after row, in one part or several.
func PackBF16(out, in int, parts ...[]byte) (*Weight, error) {
	rows, err := rowsOf(out, 2*in, parts)
	if err != nil {
		return nil, err
	}
	w := &Weight{Out: out, In: in}
	w.half = weightMemory[uint16](w.panels() * panelCols * in)
	Parallel(w.panels(), func(p int) {
		panel := w.half[p*panelCols*in : (p+1)*panelCols*in]
		for j, row := range rows[p*panelCols : min(out, (p+1)*panelCols)] {
			for k := range in {
				panel[k*panelCols+j] = binary.LittleEndian.Uint16(row[2*k:])
			}
		}
	})
	settled(w.half)
	return w, nil
}

// PackF32 packs float32 numbers, row after row.
func PackF32(out, in int, data []float32) (*Weight, error) {
	if err := checkPack(out, in, len(data)); err != nil {
		return nil, err
	}
	w := &Weight{Out: out, In: in}
	w.single = weightMemory[float32](w.panels() * panelCols * in)
	Parallel(w.panels(), func(p int) {
		packPanel(w.single[p*panelCols*in:(p+1)*panelCols*in], Mat{Rows: out, Cols: in, Data: data}, p*panelCols)
	})
	settled(w.single)
	return w, nil
}

// packPanel writes 16 rows of m, from row first on, as a panel; rows past the end are zeros.
func packPanel(panel []float32, m Mat, first int) {
	rows := max(0, min(panelCols, m.Rows-first))
	if rows < panelCols {
		clear(panel[:m.Cols*panelCols])
	}
	if rows > 0 {
		transpose(panel, panelCols, m.Data[first*m.Cols:], m.Cols, rows, m.Cols)
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

// Columns writes the inputs from number from on, as many as dst has columns, of all outputs: dst is (Out, n).
func (w *Weight) Columns(dst Mat, from int) {
	r := rooms.Get().(*room)
	defer rooms.Put(r)
	for p := range w.panels() {
		panel := w.strip(r, p, 1).pieces[0][from*panelCols:]
		transpose(dst.Data[p*panelCols*dst.Cols:], dst.Cols, panel, panelCols, dst.Cols, min(panelCols, w.Out-p*panelCols))
	}
}

// depth is how many inputs a product takes at a time, so that a piece of two panels stays in the second cache beside
// the rows.
const depth = 768

// room is scratch memory of one task.
type room struct {
	panel, a, c []float32
	one         [1][]float32
	fixed       fixed // a row for weights in groups
}

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
	Parallel((to-from+tileCols-1)/tileCols, func(i int) {
		r := rooms.Get().(*room)
		column := i * tileCols
		w.columns(r, dst.Data[column:], dst.Cols, x, from+column, min(tileCols, to-from-column))
		rooms.Put(r)
	})
}

// columns computes up to 32 outputs from row first of the weight on, for all rows of x.
func (w *Weight) columns(r *room, dst []float32, dstRow int, x Mat, first, cols int) {
	b := w.strip(r, first/panelCols, min(tileCols/panelCols, w.panels()-first/panelCols))
	panels := b.pieces[0]
	for k := 0; k < w.In; k += depth {
		b.pieces[0] = panels[k*panelCols:]
		r.product(x.Rows, cols, min(depth, w.In-k), x.Data[k:], x.Cols, 1, &b, dst, dstRow, k > 0)
	}
}

// strip is one panel or two as float32. Where there is no second one, the first one counts twice, for nobody looks at
// what it gives again.
func (w *Weight) strip(r *room, panel, n int) strip {
	in := w.In
	if w.few != nil {
		in = w.blocks() * GroupLen
	}
	size := in * panelCols
	b := strip{pieces: r.one[:], step: panelCols, half: size * (n - 1)}
	switch {
	case w.few != nil:
		r.panel = grown(r.panel, n*size)
		for i := range n {
			w.few.widen(w, r.panel[i*size:], panelCols, panel+i)
		}
		b.pieces[0] = r.panel
	case w.half != nil:
		r.panel = grown(r.panel, n*size)
		widen(r.panel, w.half[panel*size:(panel+n)*size])
		b.pieces[0] = r.panel
	default:
		b.pieces[0] = w.single[panel*size : (panel+n)*size]
	}
	return b
}

// gemvPanels is how many panels of a product with one row are one task, at most.
const gemvPanels = 4

// gemv is the product with a single row: as fast as the weights can be read.
func (w *Weight) gemv(dst, x []float32, from, to int) {
	g := gemvs.Get().(*gemv)
	g.weight, g.dst, g.x = w, dst, x
	g.from, g.to, g.outputs = from, to, gemvPanels*panelCols
	if w.few != nil {
		w.grouped(&g.room, x)
		g.outputs /= 2 // which take as long: no core waits long for the last task
	}
	Parallel((to-from+g.outputs-1)/g.outputs, g.run)
	g.weight, g.dst, g.x = nil, nil, nil
	gemvs.Put(g)
}

// A gemv is a product with one row at work. It is kept for the next one, so that decoding allocates nothing.
type gemv struct {
	room
	weight   *Weight
	dst, x   []float32
	from, to int // outputs
	outputs  int // of one task
	run      func(i int)
}

var gemvs = sync.Pool{New: func() interface{} {
	g := new(gemv)
	g.run = g.task
	return g
}}

func (g *gemv) task(i int) {
	first := g.from + i*g.outputs
	n := min(g.outputs, g.to-first)
	out := g.dst[first-g.from : first-g.from+n]
	panels := (n + panelCols - 1) / panelCols
	if n%panelCols == 0 {
		g.part(out, first/panelCols, panels)
		return
	}
	var whole [gemvPanels * panelCols]float32
	g.part(whole[:panels*panelCols], first/panelCols, panels)
	copy(out, whole[:])
}

// part multiplies the row with n panels from panel p on.
func (g *gemv) part(dst []float32, p, n int) {
	w := g.weight
	if w.few != nil {
		w.few.gemv(w, dst, &g.fixed, p, n)
		return
	}
	at, end := p*panelCols*w.In, (p+n)*panelCols*w.In
	if w.half != nil {
		gemvHalf(dst, g.x, w.half[at:end])
		return
	}
	gemvSingle(dst, g.x, w.single[at:end])
}

// MulT is dst = a · bᵀ, on the calling goroutine alone.
func MulT(dst, a, b Mat) { mulT(dst, a, b, a.Cols) }

// MulTLower is MulT with a lower triangular b, whose zeros above the diagonal cost nothing.
func MulTLower(dst, a, b Mat) { mulT(dst, a, b, 0) }

// mulT is MulT where row j of b has numbers other than 0 among its first max(wide, j+1) alone.
func mulT(dst, a, b Mat, wide int) {
	if a.Cols != b.Cols || dst.Rows != a.Rows || dst.Cols != b.Rows {
		panic("tensor: shapes of a product do not fit")
	}
	r := rooms.Get().(*room)
	defer rooms.Put(r)
	r.panel = grown(r.panel, tileCols*a.Cols)
	pieces := [1][]float32{r.panel}
	for j := 0; j < b.Rows; j += tileCols {
		packPanel(r.panel[:panelCols*a.Cols], b, j)
		packPanel(r.panel[panelCols*a.Cols:], b, j+panelCols)
		k := min(a.Cols, max(wide, j+tileCols))
		r.product(a.Rows, min(tileCols, b.Rows-j), k, a.Data, a.Cols, 1, &strip{pieces[:], panelCols, panelCols * a.Cols}, dst.Data[j:], dst.Cols, false)
	}
}

// Mul is dst = a · b, on the calling goroutine alone.
func Mul(dst, a, b Mat) {
	if a.Cols != b.Rows || dst.Rows != a.Rows || dst.Cols != b.Cols {
		panic("tensor: shapes of a product do not fit")
	}
	multiply(dst, a.Rows, a.Cols, a.Data, a.Cols, 1, b)
}

// TMul is dst = aᵀ · b, on the calling goroutine alone.
func TMul(dst, a, b Mat) {
	if a.Rows != b.Rows || dst.Rows != a.Cols || dst.Cols != b.Cols {
		panic("tensor: shapes of a product do not fit")
	}
	multiply(dst, a.Cols, a.Rows, a.Data, 1, a.Cols, b)
}

// gramRows is the number of rows of which Gram makes a weighted copy at a time, in the second cache.
const gramRows = 256

// Gram is Σ weights[i]·xᵢᵀ·xᵢ over the rows of x, (Cols, Cols), on the calling goroutine alone.
func Gram(x Mat, weights []float32) Mat {
	r := rooms.Get().(*room)
	defer rooms.Put(r)
	n, dst := x.Cols, New(x.Cols, x.Cols)
	r.a = grown(r.a, gramRows*n)
	for from := 0; from < x.Rows; from += gramRows {
		b := x.Slice(from, min(from+gramRows, x.Rows))
		for i := range b.Rows {
			row := r.a[i*n : (i+1)*n]
			copy(row, b.Row(i))
			Scale(row, weights[from+i])
		}
		for j := 0; j < n; j += tileCols { // the part above the diagonal
			columns, cols := r.columnsOf(b, j)
			r.product(min(n, j+tileCols), cols, b.Rows, r.a, 1, n, &columns, dst.Data[j:], n, from > 0)
		}
	}
	for i := range n {
		for j := range i {
			dst.Set(i, j, dst.At(j, i))
		}
	}
	return dst
}

// multiply is the product of a, whose number t of row r is a[r*aRow+t*aStep], with b as it lies.
func multiply(dst Mat, rows, k int, a []float32, aRow, aStep int, b Mat) {
	if k == 0 {
		clear(dst.Data)
		return
	}
	r := rooms.Get().(*room)
	defer rooms.Put(r)
	for j := 0; j < b.Cols; j += tileCols {
		columns, cols := r.columnsOf(b, j)
		r.product(rows, cols, k, a, aRow, aStep, &columns, dst.Data[j:], dst.Cols, false)
	}
}

// columnsOf are up to 32 columns of a matrix: as they lie, or copied and filled up to 32 where there are fewer.
func (r *room) columnsOf(b Mat, from int) (s strip, cols int) {
	s, cols = strip{r.one[:], b.Cols, panelCols}, min(tileCols, b.Cols-from)
	if r.one[0] = b.Data[from:]; cols < tileCols {
		r.one[0], s.step = r.widened(b, from, cols), tileCols
	}
	return s, cols
}

// widened copies some columns of a matrix and fills them up to 32.
func (r *room) widened(b Mat, from, cols int) []float32 {
	r.panel = grown(r.panel, tileCols*b.Rows)
	for i := range b.Rows {
		row := r.panel[i*tileCols : (i+1)*tileCols]
		copy(row, b.Row(i)[from:from+cols])
		clear(row[cols:])
	}
	return r.panel
}
