package llm

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// TestFinite puts numbers that are none at every kind of place.
func TestFinite(t *testing.T) {
	for _, c := range []struct {
		dtype weights.DType
		size  int
		fine  []uint32 // the largest and the smallest, of either sign
		bad   []uint32
	}{
		{weights.F32, 4, []uint32{0x7f7fffff, 0xff7fffff, 0, 0x80000000, 1}, []uint32{0x7f800000, 0xff800000, 0x7fc00000, 0xffffffff, 0x7f800001}},
		{weights.BF16, 2, []uint32{0x7f7f, 0xff7f, 0, 0x8000, 1}, []uint32{0x7f80, 0xff80, 0x7fc0, 0xffff, 0x7f81}},
		{weights.F16, 2, []uint32{0x7bff, 0xfbff, 0, 0x8000, 1}, []uint32{0x7c00, 0xfc00, 0x7e00, 0xffff, 0x7c01}},
	} {
		put := func(data []byte, i int, bits uint32) {
			if c.size == 4 {
				binary.LittleEndian.PutUint32(data[4*i:], bits)
			} else {
				binary.LittleEndian.PutUint16(data[2*i:], uint16(bits))
			}
		}
		for _, n := range []int{0, 1, 3, 4, 17, 33, finiteBlock/c.size + 5} {
			x := weights.Tensor{Name: "x", DType: c.dtype, Shape: []int{n}, Data: make([]byte, n*c.size)}
			for i := range n {
				put(x.Data, i, c.fine[i%len(c.fine)])
			}
			if err := finite(x); err != nil {
				t.Fatalf("%s, %d numbers, all finite: %v", c.dtype, n, err)
			}
			for k, at := range []int{0, 1, n / 2, n - 2, n - 1} {
				if at < 0 || at >= n {
					continue
				}
				put(x.Data, at, c.bad[k])
				if err := finite(x); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("number %d is", at)) {
					t.Errorf("%s, number %d of %d is %x: %v", c.dtype, at, n, c.bad[k], err)
				}
				put(x.Data, at, 0)
			}
		}
	}
}

func BenchmarkFinite(b *testing.B) {
	x := weights.Tensor{Name: "x", DType: weights.BF16, Shape: []int{32 << 20}, Data: make([]byte, 64<<20)}
	b.SetBytes(int64(len(x.Data)))
	for b.Loop() {
		if err := finite(x); err != nil {
			b.Fatal(err)
		}
	}
}
