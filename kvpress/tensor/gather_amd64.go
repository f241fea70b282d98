//go:build amd64 && !noasm

package tensor

//go:noescape
func gather512(dst, k *float32, channels int, index *[PageRows]uint32, n int)

// gatherWhole is gatherWholeGo, with AVX-512 where the processor has it.
func gatherWhole(dst, k []float32, rows []uint8) {
	if active != avx512 || len(k) < PageRows {
		gatherWholeGo(dst, k, rows)
		return
	}
	var index [PageRows]uint32
	for i, row := range rows {
		index[i] = uint32(row % PageRows)
	}
	_ = dst[len(k)-PageRows+len(rows)-1]
	gather512(&dst[0], &k[0], len(k)/PageRows, &index, len(rows))
}
