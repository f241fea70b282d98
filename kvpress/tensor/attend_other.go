//go:build !amd64 || noasm

package tensor

func keysAhead(dst []float32, dstRow int, q []float32, dim, rows int, k, _, _ []float32) {
	keysGo(dst, dstRow, q, dim, rows, k)
}

func valuesAhead(dst []float32, dstRow int, weights []float32, weightsRow, pairs, rows int, v []float32, vRow int, _ []float32, add bool) {
	valuesGo(dst, dstRow, weights, weightsRow, pairs, rows, v, vRow, add)
}
