//go:build !amd64 || noasm

package tensor

// fast tells whether there is assembly for the processor.
const fast = false

func kernel(k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	kernelGo(k, a, lda, b, ldb, c, ldc, add)
}

// Dot is the inner product.
func Dot(a, b []float32) float32 { return dotGo(a, b) }

// AddScaled is dst += s * x.
func AddScaled(dst []float32, s float32, x []float32) { addScaledGo(dst, s, x) }

// expSum replaces every x by exp(x - shift) and returns the sum.
func expSum(x []float32, shift float32) float32 { return expSumGo(x, shift) }

// widen turns bfloat16 into float32.
func widen(dst []float32, src []uint16) { widenGo(dst, src) }

// gemvHalf multiplies one row with bfloat16 panels.
func gemvHalf(dst, x []float32, panels []uint16) { gemvGo(dst, x, nil, panels) }

// gemvSingle multiplies one row with float32 panels.
func gemvSingle(dst, x []float32, panels []float32) { gemvGo(dst, x, panels, nil) }
