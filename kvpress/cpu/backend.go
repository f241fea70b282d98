// Package cpu runs models on the processor: an llm.Backend in Go, with float32 arithmetic over weights as they are
// stored (bf16 weights stay 2 bytes each), on all cores. The loops, some of them in assembly, are package tensor's.
//
// Shapes and units: activations (rows, Width) of float32, one row a token; weights (outputs, inputs); memory in bytes.
package cpu

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// A Backend does the arithmetic of models on the processor. It is safe for several sessions at once.
type Backend struct{}

// New makes a backend. The number of cores it uses is tensor.SetThreads's business.
func New() *Backend { return &Backend{} }

func init() {
	llm.RegisterDevice("cpu", func() (llm.Backend, error) { return New(), nil })
}

// Name is "cpu".
func (b *Backend) Name() string { return "cpu" }

// RowBlock is llm.RowBlock.
func (b *Backend) RowBlock() int { return llm.RowBlock }

// PairBytes is 4 bytes for each number.
func (b *Backend) PairBytes(dim int) int { return 2 * 4 * dim }

// Close frees nothing: Go's memory frees itself.
func (b *Backend) Close() error { return nil }

// mat is the matrix in a buffer.
func mat(b llm.Buf) tensor.Mat {
	data := b.Mem.([]float32)
	return tensor.Mat{Rows: b.Rows, Cols: b.Cols, Data: data[b.Offset : b.Offset+b.Rows*b.Cols]}
}

// Alloc makes a matrix in Go memory.
func (b *Backend) Alloc(rows, cols int) (llm.Buf, error) {
	return llm.Buf{Rows: rows, Cols: cols, Mem: make([]float32, rows*cols)}, nil
}

// Upload packs matrices for products; vectors become float32.
func (b *Backend) Upload(parts ...weights.Tensor) (llm.Weight, error) {
	in, out := parts[0].Shape[len(parts[0].Shape)-1], 0
	same := true
	for _, p := range parts {
		rows := 1
		if len(p.Shape) == 2 {
			rows = p.Shape[0]
		}
		out += rows
		same = same && p.DType == parts[0].DType
	}
	var stacked [][]byte
	for _, p := range parts {
		stacked = append(stacked, p.Data)
	}
	pack := map[weights.DType]func() (*tensor.Weight, error){
		weights.BF16: func() (*tensor.Weight, error) { return tensor.PackBF16(out, in, stacked...) },
		weights.Q8_0: func() (*tensor.Weight, error) { return tensor.PackGroups(8, out, in, stacked...) },
		weights.Q4_1: func() (*tensor.Weight, error) { return tensor.PackGroups(4, out, in, stacked...) },
	}[parts[0].DType]
	if same && pack != nil && out > 1 {
		w, err := pack()
		if err != nil {
			return llm.Weight{}, err
		}
		return llm.Weight{Out: out, In: in, Bytes: w.Bytes(), Mem: w}, nil
	}
	var data []float32
	for _, p := range parts {
		numbers, err := p.Float32()
		if err != nil {
			return llm.Weight{}, err
		}
		data = append(data, numbers...)
	}
	if out == 1 {
		return llm.Weight{Out: 1, In: in, Bytes: int64(4 * in), Mem: data}, nil
	}
	w, err := tensor.PackF32(out, in, data)
	if err != nil {
		return llm.Weight{}, err
	}
	return llm.Weight{Out: out, In: in, Bytes: w.Bytes(), Mem: w}, nil
}

// Embed copies rows of the table, times scale.
func (b *Backend) Embed(dst llm.Buf, table llm.Weight, ids []int, scale float32) {
	m, w := mat(dst), table.Mem.(*tensor.Weight)
	for i, id := range ids {
		w.Row(m.Row(i), id)
		if scale != 1 {
			tensor.Scale(m.Row(i), scale)
		}
	}
}

// chunkRows is how many rows are one piece of work where every row is small.
const chunkRows = 16

// inChunks does work on rows 0 to n-1, some rows at a time, on all threads. A single row is done at once: the closure of
// a Parallel would be an allocation for every token.
func inChunks(n int, work func(from, to int)) {
	tensor.Parallel((n+chunkRows-1)/chunkRows, func(i int) { work(i*chunkRows, min(n, (i+1)*chunkRows)) })
}

// Norm is the root-mean-square norm of each row; dst may be x.
func (b *Backend) Norm(dst, x llm.Buf, w llm.Weight, epsilon float32) {
	d, s, v := mat(dst), mat(x), w.Mem.([]float32)
	if s.Rows == 1 {
		tensor.RMSNorm(d.Data, s.Data, v, epsilon)
		return
	}
	inChunks(s.Rows, func(from, to int) {
		for i := from; i < to; i++ {
			tensor.RMSNorm(d.Row(i), s.Row(i), v, epsilon)
		}
	})
}

// MatMul is dst = x · wᵀ.
func (b *Backend) MatMul(dst, x llm.Buf, w llm.Weight) {
	w.Mem.(*tensor.Weight).MulT(mat(dst), mat(x))
}

// AddRow adds a vector to every row.
func (b *Backend) AddRow(dst llm.Buf, w llm.Weight) {
	m, v := mat(dst), w.Mem.([]float32)
	for i := range m.Rows {
		tensor.Add(m.Row(i), v)
	}
}

// Gate is dst = a(gate) * up, where a row of gateUp holds gate and up one after the other.
func (b *Backend) Gate(dst, gateUp llm.Buf, a llm.Activation) {
	d, s, multiply := mat(dst), mat(gateUp), tensor.SiLUMul
	if a == llm.GELUTanh {
		multiply = tensor.GELUTanhMul
	}
	if s.Rows == 1 {
		multiply(d.Data, s.Data[:d.Cols], s.Data[d.Cols:])
		return
	}
	inChunks(s.Rows, func(from, to int) {
		for i := from; i < to; i++ {
			multiply(d.Row(i), s.Row(i)[:d.Cols], s.Row(i)[d.Cols:])
		}
	})
}

// Add is dst += x.
func (b *Backend) Add(dst, x llm.Buf) {
	d, s := mat(dst), mat(x)
	if s.Rows == 1 {
		tensor.Add(d.Data, s.Data)
		return
	}
	inChunks(s.Rows, func(from, to int) { tensor.Add(d.Slice(from, to).Data, s.Slice(from, to).Data) })
}

// Read copies a matrix. On the processor nothing is left to go wrong by then.
func (b *Backend) Read(dst []float32, x llm.Buf) error {
	if n := x.Rows * x.Cols; n > len(dst) {
		return fmt.Errorf("cpu: %d numbers do not fit into %d", n, len(dst))
	}
	copy(dst, mat(x).Data)
	return nil
}

// Write copies numbers into a matrix.
func (b *Backend) Write(dst llm.Buf, src []float32) error {
	if n := dst.Rows * dst.Cols; n != len(src) {
		return fmt.Errorf("cpu: %d numbers for a matrix of %d", len(src), n)
	}
	copy(mat(dst).Data, src)
	return nil
}
