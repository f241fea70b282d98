//go:build amd64 && !noasm

package tensor

//go:noescape
func gemv4avx512(dst, x, sums *float32, groups int, panel *byte)

//go:noescape
func gemv8avx512(dst, x *float32, groups int, panel *byte)

//go:noescape
func widen4avx512(dst *float32, stride, groups int, panel *byte)

//go:noescape
func widen8avx512(dst *float32, stride, groups int, panel *byte)

//go:noescape
func gemv4avx2(dst, x, sums *float32, groups int, panel *byte)

//go:noescape
func gemv8avx2(dst, x *float32, groups int, panel *byte)

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

// gemvGroups multiplies one row with one panel.
func gemvGroups(g *groups, dst, x, sums []float32, panel []byte) {
	if active == plain {
		gemvGroupsGo(g, dst, x, sums, panel)
		return
	}
	// The last numbers that are read and written must be there.
	_, _, _ = dst[panelCols-1], x[len(sums)*GroupLen-1], panel[len(sums)*g.bytes()-1]
	switch {
	case active == avx512 && g.bits == 4:
		gemv4avx512(&dst[0], &x[0], &sums[0], len(sums), &panel[0])
	case active == avx512:
		gemv8avx512(&dst[0], &x[0], len(sums), &panel[0])
	case g.bits == 4:
		gemv4avx2(&dst[0], &x[0], &sums[0], len(sums), &panel[0])
	default:
		gemv8avx2(&dst[0], &x[0], len(sums), &panel[0])
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
