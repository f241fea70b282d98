package tensor

import (
	"encoding/binary"
	"math"
)

// FromBF16 reads bfloat16 numbers, little endian.
func FromBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

// ToBF16 writes bfloat16 numbers, rounded to the nearest, to even in the middle.
func ToBF16(dst []byte, src []float32) {
	for i, v := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], toBF16(v))
	}
}

func toBF16(x float32) uint16 {
	bits := math.Float32bits(x)
	if x == x {
		bits += 0x7fff + bits>>16&1
	} else {
		bits |= 1 << 22 // stays NaN
	}
	return uint16(bits >> 16)
}

// FromF16 reads half-precision numbers, little endian.
func FromF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = fromHalf(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// ToF16 writes half-precision numbers, rounded to the nearest, to even in the middle.
func ToF16(dst []byte, src []float32) {
	for i, v := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], toHalf(v))
	}
}

func fromHalf(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch exponent {
	case 0: // zero and numbers below the normal ones
		v := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// toHalf rounds to the nearest half-precision number, to even in the middle; what is too large becomes infinite.
func toHalf(x float32) uint16 {
	bits := math.Float32bits(x)
	sign, size := uint16(bits>>16&0x8000), bits&^(1<<31)
	switch {
	case size > 255<<23: // NaN
		return sign | 0x7e00
	case size >= 0x477ff000: // rounds past the largest
		return sign | 0x7c00
	case size < 113<<23: // below the normal numbers: adding one half puts their last bit where float32's is
		return sign | uint16(math.Float32bits(math.Float32frombits(size)+0.5)-126<<23)
	}
	return sign | uint16((size+0xfff+size>>13&1)>>13-112<<10)
}
