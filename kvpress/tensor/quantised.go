package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// GroupLen is how many inputs of an output share a scale in quantised weights, as in GGUF's Q8_0 and Q4_1.
const GroupLen = 32

// groups are weights of 8 or 4 bits. Panels of 16 outputs follow each other, in a panel group after group of 32 inputs:
// first the codes, dword by dword the 16 outputs together, then their 16 scales and, with 4 bits, 16 minima, as half
// precision. The four bytes of an output's dword are four inputs that follow each other; with 4 bits their high halves
// are the inputs 16 further on. So codes lie in the order of GGUF's blocks, and processors can multiply four at once.
type groups struct {
	bits int // 8: code (signed) times scale; 4: code times scale, plus minimum
	data []byte
}

// blockBytes is the size of a group of one output, in GGUF's blocks and here.
func blockBytes(bits int) int {
	if bits == 8 {
		return 2 + GroupLen
	}
	return 4 + GroupLen/2
}

// groupBytes is the size of a group of a whole panel.
func (g *groups) bytes() int { return panelCols * blockBytes(g.bits) }

// codes is where the scales begin.
func (g *groups) codes() int { return panelCols * GroupLen * g.bits / 8 }

// blocks is how many groups an output has; the last one may be filled up with zeros.
func (w *Weight) blocks() int { return (w.In + GroupLen - 1) / GroupLen }

// PackGroups packs weights of 8 bits (blocks of GGUF's Q8_0: a scale in half precision, 32 codes) or 4 bits (Q4_1: a
// scale, a minimum, 16 bytes of codes), row after row in one part or several. Codes and scales stay what they are.
func PackGroups(bits, out, in int, parts ...[]byte) (*Weight, error) {
	if bits != 8 && bits != 4 {
		return nil, fmt.Errorf("weights of %d bits in groups are not known: 8 or 4", bits)
	}
	w := &Weight{Out: out, In: in, few: &groups{bits: bits}}
	block := blockBytes(bits)
	rows, err := rowsOf(out, block*w.blocks(), parts)
	if err != nil {
		return nil, err
	}
	g := w.few
	g.data = weightMemory[byte](w.panels() * w.blocks() * g.bytes())
	head, dwords := block-GroupLen*bits/8, GroupLen*bits/8/4
	Parallel(w.panels(), func(p int) {
		for b := range w.blocks() {
			group := w.group(p, b)
			for j := range min(panelCols, out-p*panelCols) {
				from := rows[p*panelCols+j][b*block : (b+1)*block]
				for d := range dwords {
					copy(group[4*(d*panelCols+j):4*(d*panelCols+j)+4], from[head+4*d:])
				}
				for s := range head / 2 {
					copy(group[g.codes()+2*(s*panelCols+j):g.codes()+2*(s*panelCols+j)+2], from[2*s:])
				}
			}
		}
	})
	settled(g.data)
	return w, nil
}

// group is one group of a panel.
func (w *Weight) group(panel, block int) []byte {
	size := w.few.bytes()
	at := (panel*w.blocks() + block) * size
	return w.few.data[at : at+size]
}

// number is one weight: input i of a group, output j of the panel.
func (g *groups) number(group []byte, i, j int) float32 {
	scales := group[g.codes():]
	scale := fromHalf(binary.LittleEndian.Uint16(scales[2*j:]))
	if g.bits == 8 {
		return scale * float32(int8(group[4*(i/4*panelCols+j)+i%4]))
	}
	code := group[4*(i%16/4*panelCols+j)+i%4]
	if i >= 16 {
		code >>= 4
	}
	return scale*float32(code&15) + fromHalf(binary.LittleEndian.Uint16(scales[2*(panelCols+j):]))
}

// row writes one output as float32.
func (g *groups) row(w *Weight, dst []float32, row int) {
	for i := range dst {
		dst[i] = g.number(w.group(row/panelCols, i/GroupLen), i%GroupLen, row%panelCols)
	}
}

// widen writes a panel as float32, an input every stride numbers; there is room for whole groups.
func (g *groups) widen(w *Weight, dst []float32, stride, panel int) {
	from := w.few.data[panel*w.blocks()*g.bytes() : (panel+1)*w.blocks()*g.bytes()]
	widenGroups(g, dst, stride, w.blocks(), from)
}

func widenGroupsGo(g *groups, dst []float32, stride, blocks int, panel []byte) {
	for b := range blocks {
		group := panel[b*g.bytes() : (b+1)*g.bytes()]
		for i := range GroupLen {
			for j := range panelCols {
				dst[(b*GroupLen+i)*stride+j] = g.number(group, i, j)
			}
		}
	}
}

// fixedMost is the largest integer of a fixed row. Products of 32 of them with codes of 8 bits still add up within 32 bits.
const fixedMost = 500_000

// A fixed is a row of activations in groups, the largest number of a group, of either sign, as the integer 500,000 and
// the others in the same steps: a number loses at most a millionth of the largest one in its group, about as much as
// float32 loses while it adds such numbers up. Integers times codes add up without any error, in whatever order.
type fixed struct {
	digits []int32   // the integers, in assembly in digits of 8 or 16 bits, those of the same place of four neighbours together
	scales []float32 // of each group: what 1 stands for
	sums   []int32   // of the integers of each group
}

func (f *fixed) grow(n int) {
	if cap(f.digits) < n {
		f.digits, f.scales, f.sums = make([]int32, n), make([]float32, n/GroupLen), make([]int32, n/GroupLen)
	}
	f.digits, f.scales, f.sums = f.digits[:n], f.scales[:n/GroupLen], f.sums[:n/GroupLen]
}

// fixGo finds the largest by the bits without the sign: what is not a number is the largest of all, and stays.
func (f *fixed) fixGo(x []float32) {
	for b := range f.sums {
		group := x[b*GroupLen : (b+1)*GroupLen]
		var bits uint32
		for _, v := range group {
			bits = max(bits, math.Float32bits(v)&^(1<<31))
		}
		top := math.Float32frombits(bits)
		f.scales[b], f.sums[b] = top/fixedMost, 0
		inverse := fixedMost / top
		for i, v := range group {
			q := int32(math.RoundToEven(float64(v * inverse)))
			f.digits[b*GroupLen+i] = q
			f.sums[b] += q
		}
	}
}

// gemv multiplies one row with n panels from panel p on.
func (g *groups) gemv(w *Weight, dst []float32, x *fixed, p, n int) {
	size := w.blocks() * g.bytes()
	for i := range n {
		gemvGroups(g, dst[i*panelCols:(i+1)*panelCols], x, g.data[(p+i)*size:(p+i+1)*size])
	}
}

func gemvGroupsGo(g *groups, dst []float32, x *fixed, panel []byte) {
	clear(dst)
	for b, sum := range x.sums {
		group := panel[b*g.bytes() : (b+1)*g.bytes()]
		scales := group[g.codes():]
		for j := range dst {
			var s int32
			for i, q := range x.digits[b*GroupLen : (b+1)*GroupLen] {
				if g.bits == 8 {
					s += q * int32(int8(group[4*(i/4*panelCols+j)+i%4]))
					continue
				}
				s += q * int32(group[4*(i%16/4*panelCols+j)+i%4]>>(i/16*4)&15)
			}
			group := float32(s) * fromHalf(binary.LittleEndian.Uint16(scales[2*j:]))
			if g.bits == 4 {
				group += float32(sum) * fromHalf(binary.LittleEndian.Uint16(scales[2*(panelCols+j):]))
			}
			dst[j] += x.scales[b] * group
		}
	}
}

// grouped fixes a row, filled up to whole groups, for products with the weight.
func (w *Weight) grouped(r *room, x []float32) {
	if n := w.blocks() * GroupLen; n > len(x) {
		r.a = grown(r.a, n)
		clear(r.a[copy(r.a, x):])
		x = r.a
	}
	r.fixed.fix(x, w.few.bits)
}

// Quantise packs numbers into blocks as GGUF does, of 8 or 4 bits, rows of in numbers each; a last group that is not
// full is filled up with zeros. With 8 bits the largest number of a group gets code 127 or -127, with 4 bits the
// smallest gets 0 and the largest 15.
func Quantise(bits int, rows Mat) []byte {
	blocks, block := (rows.Cols+GroupLen-1)/GroupLen, blockBytes(bits)
	out := make([]byte, rows.Rows*blocks*block)
	Parallel(rows.Rows, func(i int) {
		var group [GroupLen]float32
		for b := range blocks {
			clear(group[copy(group[:], rows.Row(i)[b*GroupLen:]):])
			to := out[(i*blocks+b)*block : (i*blocks+b+1)*block]
			if bits == 8 {
				quantise8(to, group[:])
			} else {
				quantise4(to, group[:])
			}
		}
	})
	return out
}

func quantise8(to []byte, x []float32) {
	var top float32
	for _, v := range x {
		top = max(top, v, -v)
	}
	scale := toHalf(top / 127)
	binary.LittleEndian.PutUint16(to, scale)
	inverse := reciprocal(fromHalf(scale))
	for i, v := range x {
		to[2+i] = byte(int8(max(-127, min(127, math.RoundToEven(float64(v*inverse))))))
	}
}

func quantise4(to []byte, x []float32) {
	low, high := x[0], x[0]
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	minimum := toHalf(low)
	scale := toHalf((high - low) / 15)
	binary.LittleEndian.PutUint16(to, scale)
	binary.LittleEndian.PutUint16(to[2:], minimum)
	low = fromHalf(minimum)
	inverse := reciprocal(fromHalf(scale))
	code := func(v float32) byte { return byte(max(0, min(15, (v-low)*inverse+0.5))) }
	for i := range GroupLen / 2 {
		to[4+i] = code(x[i]) | code(x[i+GroupLen/2])<<4
	}
}

func reciprocal(x float32) float32 {
	if x == 0 {
		return 0
	}
	return 1 / x
}
