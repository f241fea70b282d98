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

// Constants of exp: x = n*ln2 + r, exp(r) is a polynomial, and 2^n goes into the exponent.
const (
	expLow   = -87.33654
	expHigh  = 88.37626
	log2e    = 1.44269504088896341
	ln2High  = 0.693359375
	ln2Low   = -2.12194440e-4
	expCoef0 = 1.9875691500e-4
	expCoef1 = 1.3981999507e-3
	expCoef2 = 8.3334519073e-3
	expCoef3 = 4.1665795894e-2
	expCoef4 = 1.6666665459e-1
	expCoef5 = 5.0000001201e-1
)

// exp32 is e to the x, 0 below the smallest normal number.
func exp32(x float32) float32 {
	if x != x {
		return x
	}
	if x < expLow {
		return 0
	}
	x = min(x, expHigh)
	n := float32(math.RoundToEven(float64(x * log2e)))
	r := x - n*ln2High
	r -= n * ln2Low
	y := float32(expCoef0)
	y = y*r + expCoef1
	y = y*r + expCoef2
	y = y*r + expCoef3
	y = y*r + expCoef4
	y = y*r + expCoef5
	y = y*(r*r) + r + 1
	return math.Float32frombits(math.Float32bits(y) + uint32(int32(n))<<23)
}

func expSumGo(x []float32, shift float32) float32 {
	var s float32
	for i, v := range x {
		x[i] = exp32(v - shift)
		s += x[i]
	}
	return s
}

// kernelGo adds the product of 6 rows of a (k numbers each, lda apart) with k rows of b (16 numbers each, ldb apart)
// to 6 rows of c (16 numbers each, ldc apart), or writes it there.
func kernelGo(k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, add bool) {
	for r := range 6 {
		var acc [16]float32
		if add {
			copy(acc[:], c[r*ldc:])
		}
		for i := range k {
			x, row := a[r*lda+i], b[i*ldb:i*ldb+16]
			for j, v := range row {
				acc[j] += x * v
			}
		}
		copy(c[r*ldc:r*ldc+16], acc[:])
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

func widenGo(dst []float32, src []uint16) {
	for i, h := range src {
		dst[i] = math.Float32frombits(uint32(h) << 16)
	}
}
