// Package tensor holds matrices of float32 and the loops over them that everything else is built on. The hot loops
// exist twice: in assembly for processors with AVX2 and FMA, some of them also for AVX-512, chosen when the program
// starts, and in Go.
//
// Results have the same bits for any number of threads: each number of a product is summed up in one fixed order.
//
// Shapes and units: a Mat is (Rows, Cols), row after row; a Weight (outputs, inputs) multiplies rows of inputs; a Page holds pairs
// of one KV head, Dim channels each.
package tensor

import (
	"fmt"
	"math"
)

// Mat is a matrix (Rows, Cols), row after row.
type Mat struct {
	Rows, Cols int
	Data       []float32
}

// New makes a matrix of zeros.
func New(rows, cols int) Mat { return Mat{Rows: rows, Cols: cols, Data: make([]float32, rows*cols)} }

// Row is row i, in place.
func (m Mat) Row(i int) []float32 { return m.Data[i*m.Cols : (i+1)*m.Cols] }

// At is the number in row i, column j.
func (m Mat) At(i, j int) float32 { return m.Data[i*m.Cols+j] }

// Set changes the number in row i, column j.
func (m Mat) Set(i, j int, v float32) { m.Data[i*m.Cols+j] = v }

// Clone is a copy.
func (m Mat) Clone() Mat {
	return Mat{Rows: m.Rows, Cols: m.Cols, Data: append([]float32(nil), m.Data...)}
}

// Slice is the part from row from up to, not including, row to, in place.
func (m Mat) Slice(from, to int) Mat {
	return Mat{Rows: to - from, Cols: m.Cols, Data: m.Data[from*m.Cols : to*m.Cols]}
}

// Columns is a copy of the columns from number from up to, not including, number to.
func (m Mat) Columns(from, to int) Mat {
	c := New(m.Rows, to-from)
	for i := range m.Rows {
		copy(c.Row(i), m.Row(i)[from:to])
	}
	return c
}

// Transposed is a copy with rows and columns exchanged.
func Transposed(m Mat) Mat {
	t := New(m.Cols, m.Rows)
	transpose(t.Data, m.Rows, m.Data, m.Cols, m.Rows, m.Cols)
	return t
}

// String says the shape and the first numbers.
func (m Mat) String() string {
	s := fmt.Sprintf("matrix (%d, %d)", m.Rows, m.Cols)
	for i, v := range m.Data[:min(len(m.Data), 4)] {
		if i == 0 {
			s += " beginning with"
		}
		s += fmt.Sprintf(" %.4g", v)
	}
	return s
}

// Sum adds the numbers up.
func Sum(x []float32) float32 {
	var s float32
	for _, v := range x {
		s += v
	}
	return s
}

// Norm is the Euclidean length.
func Norm(x []float32) float32 { return float32(math.Sqrt(float64(Dot(x, x)))) }

// Softmax turns numbers into shares that add up to 1, in place.
func Softmax(x []float32) {
	if len(x) > 0 {
		Scale(x, 1/Exponentials(x))
	}
}

// Exponentials replaces every x by exp(x - the largest x) and returns the sum: what Softmax divides by.
func Exponentials(x []float32) float32 { return exp2Sum(x, log2e, log2e*Max(x)) }

// RMSNorm divides x by its root mean square and multiplies it by weight. dst may be x.
func RMSNorm(dst, x, weight []float32, epsilon float32) {
	scaleBy(dst, x, float32(1/math.Sqrt(float64(Dot(x, x)/float32(len(x))+epsilon))), weight)
}

// SiLUMul is dst = silu(g) * up; dst may be g.
func SiLUMul(dst, g, up []float32) { gate(dst, g, up, log2e, 0) }

// GELUTanhMul is dst = gelu(g) * up, with GELU's approximation 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))); dst may be g.
func GELUTanhMul(dst, g, up []float32) {
	// 0.5·(1 + tanh(y)) is the sigmoid of 2y.
	const slope = 2 * 0.7978845608028654 * log2e
	gate(dst, g, up, slope, 0.044715*slope)
}

// Assembly tells whether the loops in assembly are in use.
func Assembly() bool { return active != plain }
