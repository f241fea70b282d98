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
			y := tensor.New(x.Rows, x.Cols)
			tensor.MulT(y, x, inverse)
			out := make([]float32, x.Rows)
			for i := range out {
				out[i] = tensor.Dot(y.Row(i), y.Row(i))
			}
			return out, nil
		}
		ridge = max(ridge*10, 1e-2)
	}
	return nil, errors.New("the matrix of leverage scores is not positive: the keys or values of the layer hold NaN, infinity or very large numbers")
}

// inverseCholesky returns the inverse of the lower triangular L with L·Lᵀ = g + ridge·I.
func inverseCholesky(g tensor.Mat, ridge float64) (tensor.Mat, bool) {
	n := g.Rows
	l, inverse := make([][]float64, n), make([][]float64, n)
	for i := range n {
		l[i], inverse[i] = make([]float64, n), make([]float64, n)
		for j := range i + 1 {
			sum := (float64(g.At(i, j)) + float64(g.At(j, i))) / 2
			if i == j {
				sum += ridge
			}
			for k := range j {
				sum -= l[i][k] * l[j][k]
			}
			if i > j {
				l[i][j] = sum / l[j][j]
				continue
			}
			if !(sum > 0) {
				return tensor.Mat{}, false
			}
			l[i][i] = math.Sqrt(sum)
		}
	}
	out := tensor.New(n, n)
	for i := range n {
		inverse[i][i] = 1 / l[i][i]
		for j := range i {
			var sum float64
			for k := j; k < i; k++ {
				sum -= l[i][k] * inverse[k][j]
			}
			inverse[i][j] = sum / l[i][i]
		}
		for j := range i + 1 {
			out.Set(i, j, float32(inverse[i][j]))
		}
	}
	return out, true
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
