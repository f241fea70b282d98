//go:build amd64 && !noasm

package tensor

import "golang.org/x/sys/cpu"

//go:noescape
func fix32(digits *int32, scales *float32, sums *int32, x *float32, groups int, half int32, order *[32]byte)

//go:noescape
func gemv4vnni(dst *float32, digits *int32, scales *float32, sums *int32, groups int, panel *byte)

//go:noescape
func gemv8vnni(dst *float32, digits *int32, scales *float32, sums *int32, groups int, panel *byte)

//go:noescape
func widen4avx512(dst *float32, stride, groups int, panel *byte)

//go:noescape
func widen8avx512(dst *float32, stride, groups int, panel *byte)

//go:noescape
func gemv4avx2(dst *float32, digits *int32, scales *float32, sums *int32, groups int, panel *byte)

//go:noescape
func gemv8avx2(dst *float32, digits *int32, scales *float32, sums *int32, groups int, panel *byte)

//go:noescape
func widen4avx2(dst *float32, stride, groups int, panel *byte)

//go:noescape
func widen8avx2(dst *float32, stride, groups int, panel *byte)

//go:noescape
func unpack8avx2(dst *float32, code *byte, n int, low, step float32)

// unpackBytes is dst = low + step * code.
func unpackBytes(dst []float32, code []byte, low, step float32) {
	n := len(code) &^ 7
	if active != plain && n > 0 {
		_ = dst[n-1]
		unpack8avx2(&dst[0], &code[0], n, low, step)
	} else {
		n = 0
	}
	unpackBytesGo(dst[n:], code[n:], low, step)
}

// Digits of integers q, so many bits each, are those of q plus half, without their own half again. The orders put digits
// of the same place of four neighbours together: three of 8 bits, or two of 16.
const (
	halfOf8  = 0x808080
	halfOf16 = 0x8000
)

var (
	orderOf8 = [32]byte{
		0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
		0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
	}
	orderOf16 = [32]byte{
		0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
		0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
	}
)

// vnni tells whether several products of small integers, and their sum, are one instruction.
func vnni() bool { return active == avx512 && cpu.X86.HasAVX512VNNI }

// fix rounds a row, which fills whole groups, as products with codes of so many bits take it.
func (f *fixed) fix(x []float32, bits int) {
	f.grow(len(x))
	half, order := int32(halfOf8), &orderOf8
	switch {
	case active == plain:
		f.fixGo(x)
		return
	case bits == 8 && !vnni():
		half, order = halfOf16, &orderOf16
	}
	fix32(&f.digits[0], &f.scales[0], &f.sums[0], &x[0], len(f.sums), half, order)
}

// gemvGroups multiplies one row with one panel.
func gemvGroups(g *groups, dst []float32, x *fixed, panel []byte) {
	if active == plain {
		gemvGroupsGo(g, dst, x, panel)
		return
	}
	n := len(x.sums)
	// The last numbers that are read and written must be there.
	_, _ = dst[panelCols-1], panel[n*g.bytes()-1]
	switch fast := vnni(); {
	case fast && g.bits == 4:
		gemv4vnni(&dst[0], &x.digits[0], &x.scales[0], &x.sums[0], n, &panel[0])
	case fast:
		gemv8vnni(&dst[0], &x.digits[0], &x.scales[0], &x.sums[0], n, &panel[0])
	case g.bits == 4:
		gemv4avx2(&dst[0], &x.digits[0], &x.scales[0], &x.sums[0], n, &panel[0])
	default:
		gemv8avx2(&dst[0], &x.digits[0], &x.scales[0], &x.sums[0], n, &panel[0])
	}
}

// widenGroups writes a panel as float32, an input every stride numbers.
func widenGroups(g *groups, dst []float32, stride, blocks int, panel []byte) {
	if active == plain {
		widenGroupsGo(g, dst, stride, blocks, panel)
		return
	}
	_, _ = dst[(blocks*GroupLen-1)*stride+panelCols-1], panel[blocks*g.bytes()-1]
	switch {
	case active == avx512 && g.bits == 4:
		widen4avx512(&dst[0], 4*stride, blocks, &panel[0])
	case active == avx512:
		widen8avx512(&dst[0], 4*stride, blocks, &panel[0])
	case g.bits == 4:
		widen4avx2(&dst[0], 4*stride, blocks, &panel[0])
	default:
		widen8avx2(&dst[0], 4*stride, blocks, &panel[0])
	}
}
