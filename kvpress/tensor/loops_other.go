//go:build !amd64 || noasm

package tensor

// supported: there is no assembly for the processor.
func supported() level { return plain }

func tileFast(rows, k int, a []float32, aRow, aStep int, b *strip, c []float32, cRow int, add bool) {
	tileGo(rows, k, a, aRow, aStep, b, c, cRow, add)
}

func tilesFast(rows, k int, a []float32, aRow int, b *strip, c []float32, cRow int) {
	tilesGo(rows, k, a, aRow, b, c, cRow)
}

// pause does nothing: looking takes its time.
func pause() {}

// Dot is the inner product.
func Dot(a, b []float32) float32 { return dotGo(a, b) }

// AddScaled is dst += s * x.
func AddScaled(dst []float32, s float32, x []float32) { addScaledGo(dst, s, x) }

// Add is dst += x.
func Add(dst, x []float32) { addGo(dst, x) }

// Scale multiplies every number by s.
func Scale(x []float32, s float32) { scaleGo(x, s) }

// Max is the largest number; minus infinity for none.
func Max(x []float32) float32 { return maxGo(x) }

// scaleBy is dst = x * s * weight.
func scaleBy(dst, x []float32, s float32, weight []float32) { scaleByGo(dst, x, s, weight) }

// exp2Sum replaces every x by 2^(x*scale - shift) and returns the sum.
func exp2Sum(x []float32, scale, shift float32) float32 { return exp2SumGo(x, scale, shift) }

// gate is dst = g / (1 + 2^-(linear*g + cubic*g³)) * up.
func gate(dst, g, up []float32, linear, cubic float32) { gateGo(dst, g, up, linear, cubic) }

// addSquares adds up the squares of every channel of a page of keys.
func addSquares(sum *[PageRows]float32, k []float32) { addSquaresGo(sum, k) }

// AbsSum adds up the numbers without their signs.
func AbsSum(x []float32) float32 { return absSumGo(x) }

// rotate turns pairs of numbers, low and high, by angles whose cosines and sines count so many times.
func rotate(low, high, cos, sin []float32, cosScale, sinScale float32) {
	rotateGo(low, high, cos, sin, cosScale, sinScale)
}

// transpose writes rows of src, cols numbers each, as the columns of dst.
func transpose(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	transposeGo(dst, dstRow, src, srcRow, rows, cols)
}

// widen turns bfloat16 into float32.
func widen(dst []float32, src []uint16) { widenGo(dst, src) }

// gemvHalf multiplies one row with bfloat16 panels.
func gemvHalf(dst, x []float32, panels []uint16) { gemvGo(dst, x, nil, panels) }

// gemvSingle multiplies one row with float32 panels.
func gemvSingle(dst, x []float32, panels []float32) { gemvGo(dst, x, panels, nil) }
