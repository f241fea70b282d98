package weights

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A packing is how numbers lie in a file: one by one, or in blocks with scales of their own.
type packing struct {
	numbers int // of a block
	bytes   int
	read    func(dst []float32, block []byte) // of one block or, when it has one number, of many
	scales  []int                             // where the block has half-precision numbers
}

// packings are the types that are read as numbers.
var packings = map[DType]packing{
	F32: {1, 4, func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}, nil},
	F16:    {1, 2, tensor.FromF16, nil},
	BF16:   {1, 2, tensor.FromBF16, nil},
	Q4_0:   {32, 18, readQ40, []int{0}},
	Q4_1:   {32, 20, readQ41, []int{0, 2}},
	Q8_0:   {32, 34, readQ80, []int{0}},
	"Q4_K": {256, 144, readQ4K, []int{0, 2}},
	"Q5_K": {256, 176, readQ5K, []int{0, 2}},
	"Q6_K": {256, 210, readQ6K, []int{208}},
}

// ggufTypes are the types of GGUF files, by GGUF's number.
var ggufTypes = map[uint32]DType{0: F32, 1: F16, 2: Q4_0, 3: Q4_1, 8: Q8_0, 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 30: BF16}

func supported() string {
	var names []string
	for _, t := range slices.Sorted(maps.Values(ggufTypes)) {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

// Grouped tells whether numbers lie in groups of 32 that can be multiplied as they are.
func (d DType) Grouped() bool { return d == Q8_0 || d == Q4_1 }

// Packed tells whether numbers lie in blocks with scales of their own.
func (d DType) Packed() bool { return packings[d].scales != nil }

// Scales are the scales and minima of a tensor whose numbers lie in blocks, as half-precision numbers; of other tensors
// there are none.
func (t Tensor) Scales() Tensor {
	p := packings[t.DType]
	if p.scales == nil {
		return Tensor{}
	}
	out := Tensor{Name: t.Name, DType: F16, Data: make([]byte, 0, 2*len(p.scales)*len(t.Data)/p.bytes)}
	for _, at := range p.scales {
		for block := at; block+2 <= len(t.Data); block += p.bytes {
			out.Data = append(out.Data, t.Data[block:block+2]...)
		}
	}
	return out
}

// Rounded packs the numbers of a matrix anew: as BF16, or in groups as Q8_0 or Q4_1. What is packed so already stays as
// it is; Q4_0 becomes Q4_1 without a loss.
func (t Tensor) Rounded(to DType) (Tensor, error) {
	if t.DType == to {
		return t, nil
	}
	out := Tensor{Name: t.Name, DType: to, Shape: t.Shape}
	if t.DType == Q4_0 && to == Q4_1 {
		if err := t.whole(packings[Q4_0]); err != nil {
			return Tensor{}, err
		}
		out.Data = fourBits(t.Data)
		return out, nil
	}
	numbers, err := t.Float32()
	if err != nil {
		return Tensor{}, err
	}
	if to == BF16 {
		out.Data = make([]byte, 2*len(numbers))
		tensor.ToBF16(out.Data, numbers)
		return out, nil
	}
	bits := map[DType]int{Q8_0: 8, Q4_1: 4}[to]
	if bits == 0 || len(t.Shape) != 2 {
		return Tensor{}, fmt.Errorf("tensor %s of shape %v cannot become %s: a matrix, and BF16, Q8_0 or Q4_1 are wanted", t.Name, t.Shape, to)
	}
	out.Data = tensor.Quantise(bits, tensor.Mat{Rows: t.Shape[0], Cols: t.Shape[1], Data: numbers})
	return out, nil
}

// fourBits turns blocks of Q4_0, codes around 8, into those of Q4_1: the minimum is 8 steps below 0.
func fourBits(blocks []byte) []byte {
	out := make([]byte, 0, len(blocks)/18*20)
	for ; len(blocks) > 0; blocks = blocks[18:] {
		minimum := make([]byte, 2)
		tensor.ToF16(minimum, []float32{-8 * half(blocks)})
		out = append(append(append(out, blocks[:2]...), minimum...), blocks[2:18]...)
	}
	return out
}

// half reads a half-precision number.
func half(b []byte) float32 {
	var x [1]float32
	tensor.FromF16(x[:], b)
	return x[0]
}

// readQ40: a scale, then 32 numbers of 4 bits around 8; the low halves of the bytes come first.
func readQ40(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:18] {
		dst[i] = d * float32(int(q&15)-8)
		dst[i+16] = d * float32(int(q>>4)-8)
	}
}

// readQ41: a scale and a minimum, then 32 numbers of 4 bits.
func readQ41(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	for i, q := range b[4:20] {
		dst[i] = d*float32(q&15) + m
		dst[i+16] = d*float32(q>>4) + m
	}
}

// readQ80: a scale, then 32 numbers of 8 bits.
func readQ80(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:34] {
		dst[i] = d * float32(int8(q))
	}
}

// scalesK unpacks the 6-bit scales and minima of the eight groups of a K block.
func scalesK(b []byte) (scales, minima [8]float32) {
	for j := range 8 {
		if j < 4 {
			scales[j], minima[j] = float32(b[j]&63), float32(b[j+4]&63)
			continue
		}
		scales[j] = float32(b[j+4]&15 | b[j-4]>>6<<4)
		minima[j] = float32(b[j+4]>>4 | b[j]>>6<<4)
	}
	return scales, minima
}

// readQ4K: scales and minima of eight groups of 32 numbers with 4 bits each.
func readQ4K(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	scales, minima := scalesK(b[4:16])
	for pair := range 4 {
		for i, q := range b[16+32*pair : 48+32*pair] {
			g := 2 * pair
			dst[32*g+i] = d*scales[g]*float32(q&15) - m*minima[g]
			dst[32*g+32+i] = d*scales[g+1]*float32(q>>4) - m*minima[g+1]
		}
	}
}

// readQ5K: like Q4_K, with a fifth bit for every number.
func readQ5K(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	scales, minima := scalesK(b[4:16])
	high := b[16:48]
	for pair := range 4 {
		for i, q := range b[48+32*pair : 80+32*pair] {
			g := 2 * pair
			low, top := q&15|high[i]>>g&1<<4, q>>4|high[i]>>(g+1)&1<<4
			dst[32*g+i] = d*scales[g]*float32(low) - m*minima[g]
			dst[32*g+32+i] = d*scales[g+1]*float32(top) - m*minima[g+1]
		}
	}
}

// readQ6K: sixteen groups of 16 numbers with 6 bits around 32, and an 8-bit scale each.
func readQ6K(dst []float32, b []byte) {
	d := half(b[208:])
	for part := range 2 {
		low, high, scales, out := b[64*part:], b[128+32*part:], b[192+8*part:], dst[128*part:]
		for i := range 32 {
			for k, q := range [4]byte{
				low[i]&15 | high[i]&3<<4, low[i+32]&15 | high[i]>>2&3<<4,
				low[i]>>4 | high[i]>>4&3<<4, low[i+32]>>4 | high[i]>>6<<4,
			} {
				out[32*k+i] = d * float32(int8(scales[2*k+i/16])) * float32(int(q)-32)
			}
		}
	}
}
