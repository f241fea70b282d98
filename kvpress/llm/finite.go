package llm

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// finiteBlock is how many bytes one task looks through.
const finiteBlock = 1 << 20

// finite reports NaN or infinity in a tensor: numbers whose exponent is all ones. Adding 1 to such an exponent carries
// into the sign bit, which was cleared; so one word of 8 bytes shows it for 2 or 4 numbers at once.
func finite(t weights.Tensor) error {
	if t.DType.Packed() { // codes are whole numbers
		t = t.Scales()
	}
	size, exponent, one := 2, uint64(0x7f80), uint64(0x0080) // bf16
	switch t.DType {
	case weights.F16:
		exponent, one = 0x7c00, 0x0400
	case weights.F32:
		size, exponent, one = 4, 0x7f800000, 0x00800000
	}
	sign := exponent + one
	for shift := 8 * size; shift < 64; shift *= 2 {
		exponent, one, sign = exponent|exponent<<shift, one|one<<shift, sign|sign<<shift
	}
	whole := len(t.Data) / 8 * 8
	var bad atomic.Bool
	tensor.Parallel((whole+finiteBlock-1)/finiteBlock, func(task int) {
		data := t.Data[task*finiteBlock : min(whole, (task+1)*finiteBlock)]
		var carried uint64
		for ; len(data) >= 32; data = data[32:] {
			carried |= binary.LittleEndian.Uint64(data)&exponent + one
			carried |= binary.LittleEndian.Uint64(data[8:])&exponent + one
			carried |= binary.LittleEndian.Uint64(data[16:])&exponent + one
			carried |= binary.LittleEndian.Uint64(data[24:])&exponent + one
		}
		for ; len(data) >= 8; data = data[8:] {
			carried |= binary.LittleEndian.Uint64(data)&exponent + one
		}
		if carried&sign != 0 {
			bad.Store(true)
		}
	})
	from := whole // a few bytes at the end are looked at one number at a time
	if bad.Load() {
		from = 0
	}
	var word [8]byte
	for i := from; i+size <= len(t.Data); i += size {
		copy(word[:], t.Data[i:i+size])
		if (binary.LittleEndian.Uint64(word[:])&exponent+one)&(1<<(8*size-1)) != 0 {
			return fmt.Errorf("tensor %s: number %d is NaN or infinite: the file is damaged, fetch the model again", t.Name, i/size)
		}
	}
	return nil
}
