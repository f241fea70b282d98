package kvpress

import (
	"errors"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// leverages returns xᵀ·(g + ridge·I)⁻¹·x for every row x; g is symmetric. When rounding has spoilt g, the ridge grows
// tenfold, four times at most.
func leverages(x, g tensor.Mat, ridge float64) ([]float32, error) {
	for range 5 {
		if inverse, ok := inverseCholesky(g, ridge); ok {
			out, y := make([]float32, x.Rows), tensor.New(min(x.Rows, leverageRows), x.Cols)
			for from := 0; from < x.Rows; from += leverageRows {
				rows := x.Slice(from, min(from+leverageRows, x.Rows))
				tensor.MulTLower(y.Slice(0, rows.Rows), rows, inverse)
				for i := range rows.Rows {
					out[from+i] = tensor.Dot(y.Row(i), y.Row(i))
				}
			}
			return out, nil
		}
		ridge = max(ridge*10, 1e-2)
	}
	return nil, errors.New("the matrix of leverage scores is not positive: the keys or values of the layer hold NaN, infinity or very large numbers")
}

// leverageRows is the number of rows whose leverages are found at a time, in the second cache.
const leverageRows = 512

// inverseCholesky returns the inverse of the lower triangular L with L·Lᵀ = g + ridge·I. Its loops run along rows: no
// sum waits for itself.
func inverseCholesky(g tensor.Mat, ridge float64) (tensor.Mat, bool) {
	n := g.Rows
	upper, inverse := make([]float64, n*n), make([]float64, n*n) // Lᵀ, what is left of g in its later rows; and L⁻¹
	for i := range n {
		for j := i; j < n; j++ {
			upper[i*n+j] = (float64(g.At(i, j)) + float64(g.At(j, i))) / 2
		}
		upper[i*n+i] += ridge
	}
	for k := range n {
		row := upper[k*n : (k+1)*n]
		if !(row[k] > 0) {
			return tensor.Mat{}, false
		}
		root := 1 / math.Sqrt(row[k])
		for j := k; j < n; j++ {
			row[j] *= root
		}
		for i := k + 1; i < n; i++ {
			subtract(upper[i*n+i:(i+1)*n], row[i], row[i:])
		}
	}
	out := tensor.New(n, n)
	for i := range n {
		row := inverse[i*n : i*n+i+1]
		for k := range i {
			subtract(row, upper[k*n+i], inverse[k*n:k*n+k+1])
		}
		row[i] = 1
		scale := 1 / upper[i*n+i]
		for j := range row {
			row[j] *= scale
			out.Set(i, j, float32(row[j]))
		}
	}
	return out, true
}

// subtract is x -= s·y.
func subtract(x []float64, s float64, y []float64) {
	x = x[:len(y)]
	for i, v := range y {
		x[i] -= s * v
	}
}

// standardize turns the scores of all heads into units of their common deviation.
func standardize(l *Layer, values tensor.Mat) {
	var sum, square float64
	n := 0
	for h := range values.Rows {
		for _, v := range values.Row(h)[:l.Lens[h]] {
			sum += float64(v)
			n++
		}
	}
	mean := sum / float64(n)
	for h := range values.Rows {
		for _, v := range values.Row(h)[:l.Lens[h]] {
			square += (float64(v) - mean) * (float64(v) - mean)
		}
	}
	scale := 1 / max(math.Sqrt(square/float64(max(1, n-1))), 1e-6)
	for i, v := range values.Data {
		values.Data[i] = float32((float64(v) - mean) * scale)
	}
}
