package weights

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A quantisation is how GGUF packs numbers into blocks.
type quantisation struct {
	name    string
	numbers int // of a block
	bytes   int
	read    func(dst []float32, block []byte)
}

// quantisations are the types that are read, by GGUF's number.
var quantisations = map[uint32]quantisation{
	0:  {"F32", 1, 4, func(dst []float32, b []byte) { dst[0] = math.Float32frombits(binary.LittleEndian.Uint32(b)) }},
	1:  {"F16", 1, 2, tensor.FromF16},
	2:  {"Q4_0", 32, 18, readQ40},
	3:  {"Q4_1", 32, 20, readQ41},
	8:  {"Q8_0", 32, 34, readQ80},
	12: {"Q4_K", 256, 144, readQ4K},
	13: {"Q5_K", 256, 176, readQ5K},
	14: {"Q6_K", 256, 210, readQ6K},
	30: {"BF16", 1, 2, tensor.FromBF16},
}

func supported() string {
	var names []string
	for _, q := range quantisations {
		names = append(names, q.name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
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
