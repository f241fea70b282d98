//go:build amd64 && !noasm

package tensor

import "golang.org/x/sys/cpu"

// fast tells whether the processor has what the assembly needs.
var fast = cpu.X86.HasAVX2 && cpu.X86.HasFMA

//go:noescape
func kernel6x16(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, add bool)

//go:noescape
func dot8(a, b *float32, n int) float32

//go:noescape
func addScaled8(dst *float32, s float32, x *float32, n int)

//go:noescape
func exp8(x *float32, n int, shift float32) float32

//go:noescape
func widen16(dst *float32, src *uint16, n int)

//go:noescape
func gemvHalf64(dst, x *float32, k int, panels *uint16, stride int)

//go:noescape
func gemvHalf16(dst, x *float32, k int, panel *uint16)

//go:noescape
func gemvSingle64(dst, x *float32, k int, panels *float32, stride int)

//go:noescape
func gemvSingle16(dst, x *float32, k int, panel *float32)

func kernel(k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	if !fast || k == 0 {
		kernelGo(k, a, lda, b, ldb, c, ldc, add)
		return
	}
	// The last numbers that are read and written must be there.
	_, _, _ = a[5*lda+k-1], b[(k-1)*ldb+15], c[5*ldc+15]
	kernel6x16(k, &a[0], 4*lda, &b[0], 4*ldb, &c[0], 4*ldc, add)
}

// Dot is the inner product.
func Dot(a, b []float32) float32 {
	n := len(a) &^ 7
	if !fast || n == 0 {
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
	if !fast || n == 0 {
		addScaledGo(dst, s, x)
		return
	}
	_ = dst[len(x)-1]
	addScaled8(&dst[0], s, &x[0], n)
	addScaledGo(dst[n:], s, x[n:])
}

// expSum replaces every x by exp(x - shift) and returns the sum.
func expSum(x []float32, shift float32) float32 {
	n := len(x) &^ 7
	if !fast || n == 0 {
		return expSumGo(x, shift)
	}
	return exp8(&x[0], n, shift) + expSumGo(x[n:], shift)
}

// widen turns bfloat16 into float32; the lengths are multiples of 16.
func widen(dst []float32, src []uint16) {
	if !fast {
		widenGo(dst, src)
		return
	}
	_ = dst[len(src)-1]
	widen16(&dst[0], &src[0], len(src))
}

// gemvHalf multiplies one row with bfloat16 panels.
func gemvHalf(dst, x []float32, panels []uint16) {
	if !fast {
		gemvGo(dst, x, nil, panels)
		return
	}
	stride, n, p := len(x)*panelCols, len(dst)/panelCols, 0
	_ = panels[n*stride-1]
	for ; p+4 <= n; p += 4 {
		gemvHalf64(&dst[p*panelCols], &x[0], len(x), &panels[p*stride], 2*stride)
	}
	for ; p < n; p++ {
		gemvHalf16(&dst[p*panelCols], &x[0], len(x), &panels[p*stride])
	}
}

// gemvSingle multiplies one row with float32 panels.
func gemvSingle(dst, x []float32, panels []float32) {
	if !fast {
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
