//go:build cuda && cgo

package cuda

import (
	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Older makes a backend do with the kernels of cards before compute capability 9.0.
func Older(b llm.Backend) { b.(*Backend).device.wide = false }

// HasBLAS tells whether a backend found cuBLAS.
func HasBLAS(b llm.Backend) bool { return b.(*Backend).blas != nil }

// Planned is how many shapes cuDNN has planned for a backend.
func Planned(b llm.Backend) (n int) {
	if l := b.(*Backend).dnn; l != nil {
		for _, p := range l.plans {
			if p.c != nil {
				n++
			}
		}
	}
	return n
}

// Free is how much memory of the card the driver says is free.
func Free(b llm.Backend) int64 {
	d := b.(*Backend).device
	d.enter()
	defer d.leave()
	d.collect()
	free, _, err := cu.MemInfo()
	d.fail(err)
	return free
}
