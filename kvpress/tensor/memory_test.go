package tensor

import (
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// TestWeightMemory: small weights that share memory do not touch each other, and it is free again when the last of them is.
func TestWeightMemory(t *testing.T) {
	free := func() {
		for start := time.Now(); time.Since(start) < 10*time.Second; {
			runtime.GC()
			held := 0
			for _, c := range chunks.list {
				if c.data.Value() != nil {
					held++
				}
			}
			if held == 0 {
				return
			}
		}
		t.Error("chunks stay though no weight is in them")
	}
	free()
	var pieces [][]uint16
	for i := range 60 {
		piece := weightMemory[uint16](1 + i*7001)
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(piece))); at%64 != 0 {
			t.Errorf("piece %d begins at %d, within a line of the cache", i, at)
		}
		for k := range piece {
			if piece[k] != 0 {
				t.Fatalf("piece %d has number %d at place %d before it is written", i, piece[k], k)
			}
			piece[k] = uint16(i + 1)
		}
		settled(piece)
		pieces = append(pieces, piece)
	}
	for i, piece := range pieces {
		for k, v := range piece {
			if v != uint16(i+1) {
				t.Fatalf("place %d of piece %d is overwritten with %d", k, i, v)
			}
		}
	}
	if n := len(chunks.list); n != 2 {
		t.Errorf("%d chunks hold 25 MB", n)
	}
	runtime.KeepAlive(pieces)
	free()
}
