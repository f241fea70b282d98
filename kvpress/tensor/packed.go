package tensor

import "math"

// Pack stores a full page in so many bits a number, 8 or 4: keys in steps of their own for every channel, values for
// every pair. What it loses, half a step or a little more at the upper end, is lost once: the same numbers packed again
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
	code       []byte    // one number each, or two with 4 bits, the first one in the low bits
	low        []float32 // of each row; it is code 0
	step       []uint16  // of each row, as bfloat16 with a digit instead of the sign: the largest number always gets the largest code
}

func (c *codes) bytes() int64 { return int64(len(c.code) + 4*len(c.low) + 2*len(c.step)) }

func (c *codes) pack(x []float32) {
	c.code = make([]byte, len(x)*c.bits/8)
	most := float32(int(1)<<c.bits - 1)
	for row := 0; row < len(x); row += c.cols {
		low, high := x[row], x[row]
		for _, v := range x[row : row+c.cols] {
			low, high = min(low, v), max(high, v)
		}
		step := uint16((math.Float32bits((high-low)/most) + 1<<14) >> 15) // to the nearest
		c.low, c.step = append(c.low, low), append(c.step, step)
		inverse := float32(0)
		if step != 0 {
			inverse = 1 / stepOf(step)
		}
		for i, v := range x[row : row+c.cols] {
			code := byte(min(most, max(0, (v-low)*inverse+0.5)))
			if c.bits == 8 {
				c.code[row+i] = code
			} else {
				c.code[(row+i)/2] |= code << (4 * (i % 2))
			}
		}
	}
}

func (c *codes) unpack(dst []float32) {
	for r := range c.low {
		low, step := c.low[r], stepOf(c.step[r])
		row := dst[r*c.cols : (r+1)*c.cols]
		if c.bits == 8 {
			for i, code := range c.code[r*c.cols : (r+1)*c.cols] {
				row[i] = low + step*float32(code)
			}
			continue
		}
		for i, code := range c.code[r*c.cols/2 : (r+1)*c.cols/2] {
			row[2*i], row[2*i+1] = low+step*float32(code&15), low+step*float32(code>>4)
		}
	}
}

func stepOf(bits uint16) float32 { return math.Float32frombits(uint32(bits) << 15) }
