package tensor

import "math"

// Float8 stands where numbers of bits stand for 8 bits that are a floating-point number: a sign, 4 bits of exponent, 3 of
// fraction (E4M3), times a step of their row.
const Float8 = 800

// Pack stores a full page in so many bits a number, 16, 8 or 4 or Float8: with 16 as bfloat16, else keys in steps of their own for
// every channel, values for every pair. What it loses, half a step or a little more at the upper end, is lost once: the same numbers packed again
// stay as they are.
func (p *Page) Pack(dim, bits int) *Page {
	keys, values := &codes{bits: bits, cols: PageRows}, &codes{bits: bits, cols: dim}
	keys.pack(p.K)
	values.pack(p.V)
	return &Page{Channels: p.Channels, packed: &packed{keys, values}}
}

// Packed tells whether a page is stored in few bits.
func (p *Page) Packed() bool { return p.packed != nil }

// Unpack makes a page of numbers again.
func (p *Page) Unpack(dim int) *Page {
	k, v := p.read(make([]float32, 2*dim*PageRows), dim)
	return &Page{K: k, V: v, Channels: p.Channels}
}

type packed struct{ keys, values *codes }

func (p *packed) bytes() int64 { return p.keys.bytes() + p.values.bytes() }

// codes are the rows of a matrix in whole steps above the lowest number of each row.
type codes struct {
	bits, cols int
	half       []uint16  // with 16 bits: bfloat16, and nothing else
	code       []byte    // one number each, or two with 4 bits, the first one in the low bits
	low        []float32 // of each row; it is code 0
	step       []uint16  // of each row, as bfloat16 with a digit instead of the sign: the largest number always gets the largest code
}

// numbers is how many there are.
func (c *codes) numbers() int { return len(c.half) + len(c.code)*c.each() }

// each is how many numbers share a byte.
func (c *codes) each() int {
	if c.bits == 4 {
		return 2
	}
	return 1
}

func (c *codes) bytes() int64 {
	return int64(2*len(c.half) + len(c.code) + 4*len(c.low) + 2*len(c.step))
}

func (c *codes) pack(x []float32) {
	if c.bits == 16 {
		c.half = make([]uint16, len(x))
		for i, v := range x {
			c.half[i] = toBF16(v)
		}
		return
	}
	c.code = make([]byte, len(x)/c.each())
	most := float32(largestE4M3)
	if c.bits != Float8 {
		most = float32(int(1)<<c.bits - 1)
	}
	for row := 0; row < len(x); row += c.cols {
		low, high := x[row], x[row]
		for _, v := range x[row : row+c.cols] {
			low, high = min(low, v), max(high, v)
		}
		if c.bits == Float8 {
			low, high = 0, max(high, -low)
		}
		step := uint16((math.Float32bits((high-low)/most) + 1<<14) >> 15) // to the nearest
		c.low, c.step = append(c.low, low), append(c.step, step)
		inverse := float32(0)
		if step != 0 {
			inverse = 1 / stepOf(step)
		}
		for i, v := range x[row : row+c.cols] {
			switch c.bits {
			case Float8:
				c.code[row+i] = toE4M3(v * inverse)
			case 8:
				c.code[row+i] = byte(min(most, max(0, (v-low)*inverse+0.5)))
			default:
				c.code[(row+i)/2] |= byte(min(most, max(0, (v-low)*inverse+0.5))) << (4 * (i % 2))
			}
		}
	}
}

func (c *codes) unpack(dst []float32) {
	if c.bits == 16 {
		widen(dst[:len(c.half)], c.half) // whole pages: their numbers are a multiple of 32
		return
	}
	for r := range c.low {
		low, step := c.low[r], stepOf(c.step[r])
		row := dst[r*c.cols : (r+1)*c.cols]
		if c.bits == Float8 {
			for i, code := range c.code[r*c.cols : (r+1)*c.cols] {
				row[i] = step * fromE4M3[code]
			}
			continue
		}
		if c.bits == 8 {
			unpackBytes(row, c.code[r*c.cols:(r+1)*c.cols], low, step)
			continue
		}
		for i, code := range c.code[r*c.cols/2 : (r+1)*c.cols/2] {
			row[2*i], row[2*i+1] = low+step*float32(code&15), low+step*float32(code>>4)
		}
	}
}

// unpackBytesGo is dst = low + step * code.
func unpackBytesGo(dst []float32, code []byte, low, step float32) {
	for i, c := range code {
		dst[i] = low + step*float32(c)
	}
}

func stepOf(bits uint16) float32 { return math.Float32frombits(uint32(bits) << 15) }

// largestE4M3 is the largest floating-point number of 8 bits.
const largestE4M3 = 448

// toE4M3 rounds to the nearest floating-point number of 8 bits, to even in the middle.
func toE4M3(x float32) byte {
	a, sign := float32(math.Abs(float64(x))), byte(0)
	if x < 0 {
		sign = 128
	}
	a = min(a, largestE4M3)
	if a < 1.0/64 { // steps below the normal numbers
		return sign | byte(math.RoundToEven(float64(a*512)))
	}
	bits := math.Float32bits(a)
	bits += 0x7ffff + bits>>20&1
	return sign | byte(bits>>20-120<<3)
}

// fromE4M3 are the floating-point numbers of 8 bits.
var fromE4M3 = func() (all [256]float32) {
	for code := range all {
		v := math.Float32frombits(uint32(code&127)<<20) * float32(math.Exp2(120))
		if code&128 != 0 {
			v = -v
		}
		all[code] = v
	}
	return all
}()
