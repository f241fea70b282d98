//go:build !amd64 || noasm

package tensor

func gatherWhole(dst, k []float32, rows []uint8) { gatherWholeGo(dst, k, rows) }
