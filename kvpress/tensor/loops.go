package tensor

import "math"

// These are the Go twins of the assembly, and what runs where there is none.

func dotGo(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	for len(a) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s0 += v * b[i]
	}
	return s0 + s1 + s2 + s3
}

func addScaledGo(dst []float32, s float32, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += s * v
	}
}

func addGo(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += v
	}
}

func scaleGo(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

func maxGo(x []float32) float32 {
	low := float32(math.Inf(-1))
	a, b, c, d := low, low, low, low // side by side, for none waits for another
	for ; len(x) >= 4; x = x[4:] {
		a, b, c, d = max(a, x[0]), max(b, x[1]), max(c, x[2]), max(d, x[3])
	}
	top := max(a, b, c, d)
	for _, v := range x {
		top = max(top, v)
	}
	return top
}

func scaleByGo(dst, x []float32, s float32, weight []float32) {
	dst, weight = dst[:len(x)], weight[:len(x)]
	for i, v := range x {
		dst[i] = v * s * weight[i]
	}
}

// Constants of exp2: x = n + r, a polynomial gives 2^r, and n goes into the exponent.
const (
	exp2Low   = -126               // of the smallest normal number
	exp2High  = 127.5 - 1.0/131072 // the largest number that is rounded to 127
	exp2Coef0 = 1.535329648e-4
	exp2Coef1 = 1.33988529e-3
	exp2Coef2 = 9.618437849e-3
	exp2Coef3 = 5.550332367e-2
	exp2Coef4 = 2.402264774e-1
	exp2Coef5 = 6.931471825e-1
)

// log2e turns the exponents of e into those of 2.
const log2e = 1.44269504088896341

// exp2 is 2 to the x, 0 below the smallest normal number.
func exp2(x float32) float32 {
	if x != x {
		return x
	}
	if x < exp2Low {
		return 0
	}
	x = min(x, exp2High)
	n := float32(math.RoundToEven(float64(x)))
	r := x - n
	y := float32(exp2Coef0)
	y = y*r + exp2Coef1
	y = y*r + exp2Coef2
	y = y*r + exp2Coef3
	y = y*r + exp2Coef4
	y = y*r + exp2Coef5
	y = y*r + 1
	return math.Float32frombits(math.Float32bits(y) + uint32(int32(n))<<23)
}

func exp2SumGo(x []float32, scale, shift float32) float32 {
	var s float32
	for i, v := range x {
		x[i] = exp2(v*scale - shift)
		s += x[i]
	}
	return s
}

// cubicMost bounds the squares in gate, so that 0 times them is 0.
const cubicMost = 1e30

func gateGo(dst, gate, up []float32, linear, cubic float32) {
	for i, v := range gate {
		e := exp2(-v * (linear + cubic*min(v*v, cubicMost)))
		dst[i] = v / (1 + e) * up[i]
	}
}

// gemvGo multiplies one row with panels of 16 outputs each, bfloat16 or float32.
func gemvGo(dst, x []float32, panels []float32, half []uint16) {
	in := len(x)
	for p := range len(dst) / panelCols {
		var acc [panelCols]float32
		for k, v := range x {
			at := (p*in + k) * panelCols
			if half != nil {
				for j, h := range half[at : at+panelCols] {
					acc[j] += v * math.Float32frombits(uint32(h)<<16)
				}
				continue
			}
			for j, w := range panels[at : at+panelCols] {
				acc[j] += v * w
			}
		}
		copy(dst[p*panelCols:], acc[:])
	}
}

func addSquaresGo(sum *[PageRows]float32, k []float32) {
	for ; len(k) > 0; k = k[PageRows:] {
		for j, v := range k[:PageRows] {
			sum[j] += v * v
		}
	}
}

func absSumGo(x []float32) float32 {
	var sum float32
	for _, v := range x {
		sum += max(v, -v)
	}
	return sum
}

func rotateGo(low, high, cos, sin []float32, cosScale, sinScale float32) {
	for i, a := range low {
		c, s, b := cos[i]*cosScale, sin[i]*sinScale, high[i]
		low[i], high[i] = a*c-b*s, b*c+a*s
	}
}

func transposeGo(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	for r := range rows {
		for c, v := range src[r*srcRow : r*srcRow+cols] {
			dst[c*dstRow+r] = v
		}
	}
}

func widenGo(dst []float32, src []uint16) {
	for i, h := range src {
		dst[i] = math.Float32frombits(uint32(h) << 16)
	}
}
