//go:build amd64 && !noasm

package tensor

import "unsafe"

// fewRows is how many rows the loops of this file take at a time.
const fewRows = 4

//go:noescape
func keys4avx512(dst *float32, dstRow int, q *float32, qRow, dim, rows int, k, ahead, then *float32)

//go:noescape
func values4avx512(dst *float32, dstRow int, weights *float32, weightsRow, pairs, rows int, v *float32, vRow int, ahead *float32, add bool)

// keysAhead is tile over one page of keys, k (dim, PageRows), while as many numbers that begin with ahead and with then
// are fetched.
func keysAhead(dst []float32, dstRow int, q []float32, dim, rows int, k, ahead, then []float32) {
	if active != avx512 {
		keysGo(dst, dstRow, q, dim, rows, k)
		return
	}
	_, _, _ = dst[(rows-1)*dstRow+PageRows-1], q[rows*dim-1], k[dim*PageRows-1]
	for r := 0; r < rows; r += fewRows {
		keys4avx512(&dst[r*dstRow], 4*dstRow, &q[r*dim], 4*dim, dim, min(fewRows, rows-r), &k[0], unsafe.SliceData(ahead), unsafe.SliceData(then))
	}
}

// valuesAhead is two tiles side by side over the values of some pairs of one page, v, vRow numbers apart, while as many
// numbers that begin with ahead are fetched.
func valuesAhead(dst []float32, dstRow int, weights []float32, weightsRow, pairs, rows int, v []float32, vRow int, ahead []float32, add bool) {
	if active != avx512 {
		valuesGo(dst, dstRow, weights, weightsRow, pairs, rows, v, vRow, add)
		return
	}
	_, _, _ = dst[(rows-1)*dstRow+2*tileCols-1], weights[(rows-1)*weightsRow+pairs-1], v[(pairs-1)*vRow+2*tileCols-1]
	for r := 0; r < rows; r += fewRows {
		values4avx512(&dst[r*dstRow], 4*dstRow, &weights[r*weightsRow], 4*weightsRow, pairs, min(fewRows, rows-r), &v[0], 4*vRow, unsafe.SliceData(ahead), add)
	}
}
