package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// quantised makes a weight of random numbers in groups, and the numbers that it holds.
func quantised(t testing.TB, r *rand.Rand, bits, out, in int) (*Weight, Mat) {
	t.Helper()
	rows := random(r, out, in)
	blocks := Quantise(bits, rows)
	half := len(blocks) / out * (out / 2)
	w, err := PackGroups(bits, out, in, blocks[:half], blocks[half:])
	if err != nil {
		t.Fatal(err)
	}
	held := New(out, in)
	for i := range out {
		w.Row(held.Row(i), i)
	}
	return w, held
}

func TestQuantise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{8, 4} {
		rows := random(r, 40, 130)
		clear(rows.Row(3)) // a group of zeros
		for i := range rows.Row(5) {
			rows.Set(5, i, -0.25) // of one number
		}
		w, err := PackGroups(bits, rows.Rows, rows.Cols, Quantise(bits, rows))
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float32, rows.Cols)
		for i := range rows.Rows {
			w.Row(row, i)
			for from := 0; from < rows.Cols; from += GroupLen {
				group := rows.Row(i)[from:min(rows.Cols, from+GroupLen)]
				low, high := float32(0), float32(0)
				for _, v := range group {
					low, high = min(low, v), max(high, v)
				}
				step := (high - low) / 15
				if bits == 8 {
					step = max(high, -low) / 127
				}
				for k, v := range group {
					// Half a step, and what the scale and the minimum lost when they were rounded.
					if lost := math.Abs(float64(row[from+k] - v)); lost > 0.5*float64(step)+0.002*math.Abs(float64(high-low)) {
						t.Fatalf("%d bits, row %d: %g became %g, a step is %g", bits, i, v, row[from+k], step)
					}
				}
			}
		}
		// What is stored once stays as it is.
		again, err := PackGroups(bits, rows.Rows, rows.Cols, w.few.unpacked(w))
		if err != nil {
			t.Fatal(err)
		}
		if string(again.few.data) != string(w.few.data) {
			t.Errorf("%d bits: blocks that were packed and taken out again differ", bits)
		}
	}
}

// unpacked are the blocks that a weight was packed from.
func (g *groups) unpacked(w *Weight) []byte {
	var out []byte
	for row := range w.Out {
		for b := range w.blocks() {
			group, j := w.group(row/panelCols, b), row%panelCols
			for s := 0; g.codes()+2*(s*panelCols+j) < len(group); s++ {
				at := g.codes() + 2*(s*panelCols+j)
				out = append(out, group[at:at+2]...)
			}
			for d := range GroupLen * g.bits / 32 {
				out = append(out, group[4*(d*panelCols+j):4*(d*panelCols+j)+4]...)
			}
		}
	}
	return out
}

func TestProductsOfGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, bits := range []int{8, 4} {
		for _, rows := range []int{1, 2, 7, 33} {
			for _, in := range []int{1, 31, 32, 33, 64, 256, 270, 576} {
				for _, out := range []int{1, 16, 17, 64, 100} {
					x := random(r, rows, in)
					w, held := quantised(t, r, bits, out, in)
					got := New(rows, out)
					w.MulT(got, x)
					near(t, fmt.Sprintf("%d bits (%d, %d) x (%d, %d)", bits, rows, in, out, in), got.Data, naive(x, held).Data, 1e-4)
				}
			}
		}
	}
}

// FuzzGroupsAndTheirTwins compares the assembly, of both kinds where the processor has both, with the loops in Go.
func FuzzGroupsAndTheirTwins(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint8(seed*37), uint8(seed*11))
	}
	f.Fuzz(func(t *testing.T, seed uint64, outputs, inputs uint8) {
		r := rand.New(rand.NewPCG(seed, 5))
		for _, bits := range []int{8, 4} {
			w, _ := quantised(t, r, bits, 2+int(outputs), 1+int(inputs)*3)
			row := random(r, 1, w.In).Data
			var x room
			use := func() *fixed { w.grouped(&x, row); return &x.fixed } // as the level in use wants it
			filled := w.blocks() * GroupLen
			wholeGo := func(f func()) {
				defer func(before level) { active = before }(active)
				active = plain
				f()
			}
			size := w.blocks() * w.few.bytes()
			for p := range w.panels() {
				panel := w.few.data[p*size : (p+1)*size]
				want, got := make([]float32, panelCols), make([]float32, panelCols)
				var scales []float32
				var sums []int32
				wholeGo(func() {
					f := use()
					gemvGroupsGo(w.few, want, f, panel)
					scales, sums = slices.Clone(f.scales), slices.Clone(f.sums)
				})
				wantWide, gotWide := make([]float32, filled*20), make([]float32, filled*20)
				var first []float32
				widenGroupsGo(w.few, wantWide, 20, w.blocks(), panel)
				eachKind(func(kind string) {
					f := use()
					gemvGroups(w.few, got, f, panel)
					name := fmt.Sprintf("%s, %d bits, %d outputs, %d inputs", kind, bits, w.Out, w.In)
					near(t, name, got, want, 1e-5)
					if !slices.Equal(f.scales, scales) || !slices.Equal(f.sums, sums) {
						t.Errorf("%s: the row is rounded otherwise than in Go", name)
					}
					if first == nil {
						first = slices.Clone(got)
					} else if !slices.Equal(got, first) {
						t.Errorf("%s has other bits than avx2", name)
					}
					clear(gotWide)
					widenGroups(w.few, gotWide, 20, w.blocks(), panel)
					near(t, kind+", widened", gotWide, wantWide, 1e-6)
				})
			}
		}
	})
}

func TestRowsOfGroupsThatDoNotFit(t *testing.T) {
	for name, pack := range map[string]func() (*Weight, error){
		"too few rows":   func() (*Weight, error) { return PackGroups(8, 3, 32, make([]byte, 68)) },
		"half a block":   func() (*Weight, error) { return PackGroups(4, 1, 32, make([]byte, 19)) },
		"no inputs":      func() (*Weight, error) { return PackGroups(4, 1, 0, nil) },
		"of five bits":   func() (*Weight, error) { return PackGroups(5, 1, 32, make([]byte, 20)) },
		"parts of a row": func() (*Weight, error) { return PackGroups(4, 1, 64, make([]byte, 20), make([]byte, 20)) },
	} {
		if _, err := pack(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestUnpackedBytes(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(6, 7))
		for n := range 70 {
			code, got, want := make([]byte, n), make([]float32, n), make([]float32, n)
			for i := range code {
				code[i] = byte(r.UintN(256))
			}
			low, step := float32(r.NormFloat64()), r.Float32()
			unpackBytes(got, code, low, step)
			unpackBytesGo(want, code, low, step)
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%d codes: number %d is %v, want %v to the last bit", n, i, got[i], want[i])
				}
			}
		}
	})
}

func TestToHalf(t *testing.T) {
	for h := range uint32(1 << 16) {
		x := fromHalf(uint16(h))
		if got := toHalf(x); x == x && got != uint16(h) {
			t.Fatalf("%g is half %04x, got %04x", x, h, got)
		}
	}
	for x, want := range map[float32]uint16{65519: 0x7bff, 65520: 0x7c00, 1 + 1.0/2048: 0x3c00, 1 + 3.0/2048: 0x3c02, 1e-9: 0, -1e9: 0xfc00, 3e-8: 1} {
		if got := toHalf(x); got != want {
			t.Errorf("%g became half %04x, want %04x", x, got, want)
		}
	}
}

func BenchmarkGroups(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, bits := range []int{8, 4} {
		for _, shape := range [][2]int{{49152, 576}, {3072, 576}, {576, 1536}} {
			w, _ := quantised(b, r, bits, shape[0], shape[1])
			x, dst := random(r, 1, w.In), New(1, w.Out)
			b.Run(fmt.Sprintf("%dbits/%dx%d", bits, shape[0], shape[1]), func(b *testing.B) {
				b.SetBytes(w.Bytes())
				for b.Loop() {
					w.MulT(dst, x)
				}
			})
		}
	}
}
