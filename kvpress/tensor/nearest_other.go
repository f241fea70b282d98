//go:build !amd64 || noasm

package tensor

func vnni() bool { return false }

func tileCodes(a, b []uint32, pairs int, c []float32, cRow int) { tileCodesGo(a, b, pairs, c, cRow) }
