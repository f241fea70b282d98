//go:build amd64 && !noasm

package tensor

import "golang.org/x/sys/cpu"

// supported is the best level that the processor has.
func supported() level {
	x := cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return plain
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL:
		return avx512
	}
	return avx2
}

// pause lets a few cycles go by in a loop that waits.
func pause()

//go:noescape
func dot8(a, b *float32, n int) float32

//go:noescape
func addScaled8(dst *float32, s float32, x *float32, n int)

//go:noescape
func add8(dst, x *float32, n int)

//go:noescape
func scale8(x *float32, s float32, n int)

//go:noescape
func scaleBy8(dst, x *float32, s float32, weight *float32, n int)

//go:noescape
func max8(x *float32, n int) float32

//go:noescape
func max32(x *float32, n int) float32

//go:noescape
func exp16avx2(x *float32, n int, scale, shift float32) float32

//go:noescape
func exp16avx512(x *float32, n int, scale, shift float32) float32

//go:noescape
func gate8avx2(dst, gate, up *float32, n int, linear, cubic float32)

//go:noescape
func gate16avx512(dst, gate, up *float32, n int, linear, cubic float32)

//go:noescape
func rotate8(low, high, cos, sin *float32, n int, cosScale, sinScale float32)

//go:noescape
func addSquares32(sum, k *float32, n int)

//go:noescape
func absSum16(x *float32, n int) float32

//go:noescape
func transpose8(dst *float32, dstRow int, src *float32, srcRow, n int)

//go:noescape
func widen16(dst *float32, src *uint16, n int)

//go:noescape
func gemvHalf64avx2(dst, x *float32, k int, panels *uint16, stride int)

//go:noescape
func gemvHalf64avx512(dst, x *float32, k int, panels *uint16, stride int)

//go:noescape
func gemvHalf16(dst, x *float32, k int, panel *uint16)

//go:noescape
func gemvSingle64(dst, x *float32, k int, panels *float32, stride int)

//go:noescape
func gemvSingle16(dst, x *float32, k int, panel *float32)

// Dot is the inner product.
func Dot(a, b []float32) float32 {
	n := len(a) &^ 7
	if active == plain || n == 0 {
		return dotGo(a, b)
	}
	_ = b[len(a)-1]
	s := dot8(&a[0], &b[0], n)
	for i := n; i < len(a); i++ {
		s += a[i] * b[i]
	}
	return s
}

// AddScaled is dst += s * x.
func AddScaled(dst []float32, s float32, x []float32) {
	n := len(x) &^ 7
	if active == plain || n == 0 {
		addScaledGo(dst, s, x)
		return
	}
	_ = dst[len(x)-1]
	addScaled8(&dst[0], s, &x[0], n)
	addScaledGo(dst[n:], s, x[n:])
}

// Add is dst += x.
func Add(dst, x []float32) {
	n := len(x) &^ 7
	if active == plain || n == 0 {
		addGo(dst, x)
		return
	}
	_ = dst[len(x)-1]
	add8(&dst[0], &x[0], n)
	addGo(dst[n:], x[n:])
}

// Scale multiplies every number by s.
func Scale(x []float32, s float32) {
	n := len(x) &^ 7
	if active != plain && n > 0 {
		scale8(&x[0], s, n)
		x = x[n:]
	}
	scaleGo(x, s)
}

// Max is the largest number; minus infinity for none.
func Max(x []float32) float32 {
	if n := len(x) &^ 31; active == avx512 && n > 0 {
		return max(max32(&x[0], n), Max(x[n:]))
	}
	n := len(x) &^ 7
	if active == plain || n == 0 {
		return maxGo(x)
	}
	return max(max8(&x[0], n), maxGo(x[n:]))
}

// scaleBy is dst = x * s * weight.
func scaleBy(dst, x []float32, s float32, weight []float32) {
	n := len(x) &^ 7
	if active == plain || n == 0 {
		scaleByGo(dst, x, s, weight)
		return
	}
	_, _ = dst[len(x)-1], weight[len(x)-1]
	scaleBy8(&dst[0], &x[0], s, &weight[0], n)
	scaleByGo(dst[n:], x[n:], s, weight[n:])
}

// exp2Sum replaces every x by 2^(x*scale - shift) and returns the sum.
func exp2Sum(x []float32, scale, shift float32) float32 {
	if active == plain {
		return exp2SumGo(x, scale, shift)
	}
	whole, sum := len(x)&^15, float32(0)
	if whole > 0 {
		sum = exp16(&x[0], whole, scale, shift)
	}
	if rest := x[whole:]; len(rest) > 0 {
		var last [16]float32
		copy(last[:], rest)
		exp16(&last[0], 16, scale, shift)
		for i := range rest {
			rest[i] = last[i]
			sum += last[i]
		}
	}
	return sum
}

func exp16(x *float32, n int, scale, shift float32) float32 {
	if active == avx512 {
		return exp16avx512(x, n, scale, shift)
	}
	return exp16avx2(x, n, scale, shift)
}

// gate is dst = g / (1 + 2^-(linear*g + cubic*g³)) * up.
func gate(dst, g, up []float32, linear, cubic float32) {
	if active == plain {
		gateGo(dst, g, up, linear, cubic)
		return
	}
	n, whole := len(g), len(g)&^15
	if whole > 0 {
		_, _ = dst[n-1], up[n-1]
		gate16(&dst[0], &g[0], &up[0], whole, linear, cubic)
	}
	if n > whole {
		var rest [3][16]float32
		copy(rest[0][:], g[whole:])
		copy(rest[1][:], up[whole:n])
		gate16(&rest[2][0], &rest[0][0], &rest[1][0], 16, linear, cubic)
		copy(dst[whole:n], rest[2][:])
	}
}

func gate16(dst, g, up *float32, n int, linear, cubic float32) {
	if active == avx512 {
		gate16avx512(dst, g, up, n, linear, cubic)
		return
	}
	gate8avx2(dst, g, up, n, linear, cubic)
}

// addSquares adds up the squares of every channel of a page of keys.
func addSquares(sum *[PageRows]float32, k []float32) {
	if n := len(k) / PageRows; active == plain || n == 0 {
		addSquaresGo(sum, k)
	} else {
		addSquares32(&sum[0], &k[0], n)
	}
}

// AbsSum adds up the numbers without their signs.
func AbsSum(x []float32) float32 {
	n := len(x) &^ 15
	if active == plain || n == 0 {
		return absSumGo(x)
	}
	return absSum16(&x[0], n) + absSumGo(x[n:])
}

// rotate turns pairs of numbers, low and high, by angles whose cosines and sines count so many times.
func rotate(low, high, cos, sin []float32, cosScale, sinScale float32) {
	n := len(low) &^ 7
	if active != plain && n > 0 {
		_, _, _ = high[n-1], cos[n-1], sin[n-1]
		rotate8(&low[0], &high[0], &cos[0], &sin[0], n, cosScale, sinScale)
		low, high, cos, sin = low[n:], high[n:], cos[n:], sin[n:]
	}
	rotateGo(low, high, cos, sin, cosScale, sinScale)
}

// transpose writes rows of src, cols numbers each, as the columns of dst.
func transpose(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	r, n := 0, cols&^7
	if active != plain && n > 0 {
		for ; r+8 <= rows; r += 8 {
			_, _ = dst[(n-1)*dstRow+r+7], src[(r+7)*srcRow+n-1]
			transpose8(&dst[r], 4*dstRow, &src[r*srcRow], 4*srcRow, n)
			if n < cols {
				transposeGo(dst[n*dstRow+r:], dstRow, src[r*srcRow+n:], srcRow, 8, cols-n)
			}
		}
	}
	if r < rows {
		transposeGo(dst[r:], dstRow, src[r*srcRow:], srcRow, rows-r, cols)
	}
}

// widen turns bfloat16 into float32; the lengths are multiples of 16.
func widen(dst []float32, src []uint16) {
	if active == plain {
		widenGo(dst, src)
		return
	}
	_ = dst[len(src)-1]
	widen16(&dst[0], &src[0], len(src))
}

// gemvHalf multiplies one row with bfloat16 panels.
func gemvHalf(dst, x []float32, panels []uint16) {
	if active == plain {
		gemvGo(dst, x, nil, panels)
		return
	}
	stride, n, p := len(x)*panelCols, len(dst)/panelCols, 0
	_ = panels[n*stride-1]
	for ; p+4 <= n && len(x)%2 == 0; p += 4 { // whose loops take two inputs a turn
		if active == avx512 {
			gemvHalf64avx512(&dst[p*panelCols], &x[0], len(x), &panels[p*stride], 2*stride)
		} else {
			gemvHalf64avx2(&dst[p*panelCols], &x[0], len(x), &panels[p*stride], 2*stride)
		}
	}
	for ; p < n; p++ {
		gemvHalf16(&dst[p*panelCols], &x[0], len(x), &panels[p*stride])
	}
}

// gemvSingle multiplies one row with float32 panels.
func gemvSingle(dst, x []float32, panels []float32) {
	if active == plain {
		gemvGo(dst, x, panels, nil)
		return
	}
	stride, n, p := len(x)*panelCols, len(dst)/panelCols, 0
	_ = panels[n*stride-1]
	for ; p+4 <= n; p += 4 {
		gemvSingle64(&dst[p*panelCols], &x[0], len(x), &panels[p*stride], 4*stride)
	}
	for ; p < n; p++ {
		gemvSingle16(&dst[p*panelCols], &x[0], len(x), &panels[p*stride])
	}
}
