package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
)

func random(r *rand.Rand, rows, cols int) Mat {
	m := New(rows, cols)
	for i := range m.Data {
		m.Data[i] = float32(r.NormFloat64())
	}
	return m
}

// near fails when numbers differ by more than float32 sums of that length explain.
func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i]-want[i]))/max(1, math.Abs(float64(want[i]))))
		if want[i] == want[i] && got[i] != got[i] {
			worst = math.Inf(1)
		}
	}
	if worst > tolerance || len(got) != len(want) {
		t.Errorf("%s: largest difference %g, at most %g is expected", what, worst, tolerance)
	}
}

// atEveryLevel runs a test with all instructions that the processor has.
func atEveryLevel(t *testing.T, test func(t *testing.T)) {
	defer func(before level) { active = before }(active)
	for active = plain; active <= supported(); active++ {
		t.Run(levels[active], test)
	}
}

// naive is a product in float64.
func naive(a, b Mat) Mat {
	out := New(a.Rows, b.Rows)
	for i := range a.Rows {
		for j := range b.Rows {
			var s float64
			for k := range a.Cols {
				s += float64(a.At(i, k)) * float64(b.At(j, k))
			}
			out.Set(i, j, float32(s))
		}
	}
	return out
}

func bf16(m Mat) []byte {
	b := make([]byte, 2*len(m.Data))
	ToBF16(b, m.Data)
	return b
}

func TestProducts(t *testing.T) { atEveryLevel(t, products) }

func products(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, rows := range []int{1, 2, 5, 6, 7, 12, 33} {
		for _, in := range []int{1, 3, 16, 64, 255, 256, 257, 600} {
			for _, out := range []int{1, 15, 16, 17, 64, 100, 270} {
				name := fmt.Sprintf("(%d, %d) x (%d, %d)", rows, in, out, in)
				x, w := random(r, rows, in), random(r, out, in)
				FromBF16(w.Data, bf16(w)) // numbers that bfloat16 holds
				want := naive(x, w)
				got := New(rows, out)
				MulT(got, x, w)
				near(t, "plain "+name, got.Data, want.Data, 2e-4)
				single, err := PackF32(out, in, w.Data)
				if err != nil {
					t.Fatal(err)
				}
				half, err := PackBF16(out, in, bf16(w))
				if err != nil {
					t.Fatal(err)
				}
				for kind, packed := range map[string]*Weight{"float32 ": single, "bfloat16 ": half} {
					clear(got.Data)
					packed.MulT(got, x)
					near(t, kind+name, got.Data, want.Data, 2e-4)
					row := make([]float32, in)
					packed.Row(row, out-1)
					if !reflect.DeepEqual(row, w.Row(out-1)) {
						t.Errorf("%s%s: the last row comes back changed", kind, name)
					}
				}
				if out > 32 {
					part := New(rows, 20)
					half.MulTRows(part, x, 16, 36)
					for i := range rows {
						near(t, "part of "+name, part.Row(i), want.Row(i)[16:36], 2e-4)
					}
				}
			}
		}
	}
}

func TestThreadsDoNotChangeBits(t *testing.T) { atEveryLevel(t, threadsDoNotChangeBits) }

func threadsDoNotChangeBits(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	r := rand.New(rand.NewPCG(2, 1))
	x, w := random(r, 37, 300), random(r, 333, 300)
	packed, err := PackBF16(333, 300, bf16(w))
	if err != nil {
		t.Fatal(err)
	}
	var first []float32
	for _, n := range []int{1, 2, 5} {
		SetThreads(n)
		if Threads() != n {
			t.Errorf("%d threads were asked for, there are %d", n, Threads())
		}
		got, one := New(37, 333), New(1, 333)
		packed.MulT(got, x)
		packed.MulT(one, x.Slice(3, 4))
		near(t, "a row alone", one.Data, got.Row(3), 1e-4)
		all := append(got.Data, one.Data...)
		if first == nil {
			first = all
		} else if !reflect.DeepEqual(all, first) {
			t.Errorf("%d threads give other bits than one", n)
		}
	}
}

// pagesOf puts keys and values into pages.
func pagesOf(keys, values Mat) Pages {
	p := Pages{Len: keys.Rows, Dim: keys.Cols}
	for i := range keys.Rows {
		if i%PageRows == 0 {
			p.List = append(p.List, NewPage(keys.Cols))
		}
		last := p.List[len(p.List)-1]
		for d, v := range keys.Row(i) {
			last.K[d*PageRows+i%PageRows] = v
		}
		copy(last.V[i%PageRows*keys.Cols:], values.Row(i))
	}
	return p
}

func TestAttend(t *testing.T) { atEveryLevel(t, attend) }

func attend(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for _, dim := range []int{8, 16, 24, 64, 80} {
		for _, length := range []int{1, 31, 32, 33, 255, 256, 300, 700} {
			for _, tokens := range []int{1, 2, 7, 40} {
				for _, group := range []int{1, 3} {
					for _, window := range []int{0, 1, 50} {
						if tokens > length {
							continue
						}
						keys, values, q := random(r, length, dim), random(r, length, dim), random(r, tokens*group, dim)
						scale := float32(1 / math.Sqrt(float64(dim)))
						want, got := New(q.Rows, dim), New(q.Rows, dim)
						for i := range q.Rows {
							seen := length - tokens + i/group + 1
							first := 0
							if window > 0 {
								first = max(0, seen-window)
							}
							var sum float64
							out := make([]float64, dim)
							for j := first; j < seen; j++ {
								w := math.Exp(float64(dotGo(q.Row(i), keys.Row(j)) * scale))
								sum += w
								for d := range out {
									out[d] += w * float64(values.At(j, d))
								}
							}
							for d := range out {
								want.Set(i, d, float32(out[d]/sum))
							}
						}
						Attend(got, q, group, pagesOf(keys, values), scale, window)
						near(t, fmt.Sprintf("dim %d, length %d, tokens %d, group %d, window %d", dim, length, tokens, group, window), got.Data, want.Data, 1e-4)
					}
				}
			}
		}
	}
}

// TestAttendWhateverTheRows looks for the same bits for a token alone and among others.
func TestAttendWhateverTheRows(t *testing.T) { atEveryLevel(t, attendWhateverTheRows) }

func attendWhateverTheRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 2))
	const dim, length, tokens, group = 16, 900, 70, 2
	keys, values, q := random(r, length, dim), random(r, length, dim), random(r, tokens*group, dim)
	for _, window := range []int{0, 1, 31, 64, 300} {
		pages, whole := pagesOf(keys, values), New(q.Rows, dim)
		Attend(whole, q, group, pages, 0.25, window)
		for _, rows := range []int{1, 7, 32} {
			for from := 0; from < tokens; from += rows {
				to := min(tokens, from+rows)
				part, seen := New((to-from)*group, dim), pages
				seen.Len -= tokens - to
				Attend(part, q.Slice(from*group, to*group), group, seen, 0.25, window)
				if !slices.Equal(part.Data, whole.Slice(from*group, to*group).Data) {
					t.Fatalf("window %d: tokens %d to %d have other bits alone", window, from, to)
				}
			}
		}
	}
}

// shorten drops channels from the keys of the first pages.
func shorten(p Pages, pages int, channels []int) Pages {
	for _, page := range p.List[:pages] {
		var short []float32
		for _, c := range channels {
			short = append(short, page.K[c*PageRows:(c+1)*PageRows]...)
		}
		page.K, page.Channels = short, channels
	}
	return p
}

func TestAttendToShortKeys(t *testing.T) { atEveryLevel(t, attendToShortKeys) }

func attendToShortKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 1))
	channels := []int{0, 3, 4, 9, 15}
	keys, values, q := random(r, 300, 16), random(r, 300, 16), random(r, 6, 16)
	cut := keys.Clone()
	for i := range 3 * PageRows {
		row := cut.Row(i)
		clear(row)
		for _, c := range channels {
			row[c] = keys.At(i, c)
		}
	}
	want, got := New(6, 16), New(6, 16)
	Attend(want, q, 3, pagesOf(cut, values), 0.25, 0)
	Attend(got, q, 3, shorten(pagesOf(keys, values), 3, channels), 0.25, 0)
	near(t, "short keys", got.Data, want.Data, 1e-5)
	Attend(got, q, 3, shorten(pagesOf(keys, values), 3, []int{}), 0.25, 0)
	for i := range got.Data {
		if got.Data[i] != got.Data[i] {
			t.Fatal("keys without channels give no numbers")
		}
	}
}

func TestLoopsAndTheirTwins(t *testing.T) { atEveryLevel(t, loopsAndTheirTwins) }

func loopsAndTheirTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	for n := range 100 {
		a, b := random(r, 1, n).Data, random(r, 1, n).Data
		near(t, fmt.Sprintf("dot of %d", n), []float32{Dot(a, b)}, []float32{dotGo(a, b)}, 1e-5)
		c, d := append([]float32(nil), a...), append([]float32(nil), a...)
		AddScaled(c, 0.7, b)
		addScaledGo(d, 0.7, b)
		near(t, fmt.Sprintf("sum of %d", n), c, d, 1e-6)
		Scale(a, 20)
		c, d = append([]float32(nil), a...), append([]float32(nil), a...)
		s, sg := exp2Sum(c, 1, 3), exp2SumGo(d, 1, 3)
		near(t, fmt.Sprintf("sum of powers of %d", n), []float32{s}, []float32{sg}, 1e-5)
		for i := range a {
			want := math.Exp2(float64(a[i] - 3))
			if diff := math.Abs(float64(c[i])-want) / want; want > 1.2e-38 && diff > 3e-7 {
				t.Errorf("2^%g is %g, off by %g", a[i]-3, c[i], diff)
			}
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, n := range []int{1, 8} {
		x := make([]float32, n)
		for _, c := range []struct{ in, want float32 }{{-inf, 0}, {-1000, 0}, {nan, nan}, {0, 1}} {
			for i := range x {
				x[i] = c.in
			}
			exp2Sum(x, 1, 0)
			if x[0] != c.want && c.want == c.want || c.want != c.want && x[0] == x[0] {
				t.Errorf("2^%g is %g, want %g", c.in, x[0], c.want)
			}
		}
	}
}

func TestHalfPrecision(t *testing.T) {
	for _, v := range []float32{0, 1, -2.5, 1.00390625, 3.3895314e38, float32(math.Inf(-1))} {
		b, back := make([]byte, 2), make([]float32, 1)
		ToBF16(b, []float32{v})
		FromBF16(back, b)
		if math.Abs(float64(back[0]-v)) > math.Abs(float64(v))/256 {
			t.Errorf("%g becomes %g in bfloat16", v, back[0])
		}
	}
	for bits, want := range map[uint16]float32{0: 0, 0x3c00: 1, 0xc000: -2, 1: 5.9604645e-8, 0x03ff: 6.097555e-5, 0x7bff: 65504, 0x7c00: float32(math.Inf(1))} {
		b, got := make([]byte, 2), make([]float32, 1)
		binary.LittleEndian.PutUint16(b, bits)
		FromF16(got, b)
		if got[0] != want {
			t.Errorf("half %#x is %g, want %g", bits, got[0], want)
		}
	}
}

func TestParallel(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		hit := make([]int, n)
		Parallel(n, func(i int) {
			Parallel(3, func(int) {}) // a nested call runs inline
			hit[i]++
		})
		for i, h := range hit {
			if h != 1 {
				t.Errorf("task %d of %d ran %d times", i, n, h)
			}
		}
	}
	defer func() {
		if r := recover(); r != "boom" {
			t.Errorf("a panic came out as %v", r)
		}
		var done atomic.Int64
		Parallel(2, func(int) { done.Add(1) })
		if done.Load() != 2 {
			t.Errorf("after a panic %d of two tasks are done", done.Load())
		}
	}()
	Parallel(100, func(i int) {
		if i >= 30 { // in every share
			panic("boom")
		}
	})
}

func TestNothingIsAllocated(t *testing.T) { atEveryLevel(t, nothingIsAllocated) }

func nothingIsAllocated(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	x, keys, values := random(r, 6, 64), random(r, 300, 64), random(r, 300, 64)
	p, out := pagesOf(keys, values), New(6, 64)
	Attend(out, x, 3, p, 0.1, 0)
	if n := testing.AllocsPerRun(50, func() { Attend(out, x, 3, p, 0.1, 0) }); n > 0 {
		t.Errorf("Attend allocates %v times", n)
	}
}

func BenchmarkMulT(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 1))
	for _, s := range []struct{ n, in, out int }{{256, 576, 960}, {256, 576, 3072}, {256, 1536, 576}, {1, 576, 3072}, {1, 1536, 576}, {1, 576, 49152}} {
		b.Run(fmt.Sprintf("%dx%dx%d", s.n, s.in, s.out), func(b *testing.B) {
			w, err := PackBF16(s.out, s.in, make([]byte, 2*s.out*s.in))
			if err != nil {
				b.Fatal(err)
			}
			x, dst := random(r, s.n, s.in), New(s.n, s.out)
			b.ResetTimer()
			for b.Loop() {
				w.MulT(dst, x)
			}
			seconds := b.Elapsed().Seconds() / float64(b.N)
			b.ReportMetric(2*float64(s.n*s.in*s.out)/seconds/1e9, "GFLOP/s")
			b.ReportMetric(float64(w.Bytes())/seconds/1e9, "GB/s")
		})
	}
}

func BenchmarkAttend(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 1))
	for _, tokens := range []int{1, 32} {
		b.Run(fmt.Sprint(tokens), func(b *testing.B) {
			p := pagesOf(random(r, 2048, 64), random(r, 2048, 64))
			q, dst := random(r, 3*tokens, 64), New(3*tokens, 64)
			b.ResetTimer()
			for b.Loop() {
				Attend(dst, q, 3, p, 0.125, 0)
			}
			b.ReportMetric(4*float64(q.Rows*2048*64)/b.Elapsed().Seconds()*float64(b.N)/1e9, "GFLOP/s")
		})
	}
}

// TestPackedPages: what is packed differs by at most half a step of its channel or pair, attention to it is that to the
// unpacked numbers, and packing those again loses nothing more.
func TestPackedPages(t *testing.T) { atEveryLevel(t, packedPages) }

func packedPages(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 1))
	for _, bits := range []int{16, 8, 4} {
		for _, short := range []int{0, 3} {
			keys, values, q := random(r, 200, 16), random(r, 200, 16), random(r, 6, 16)
			for i := range keys.Rows {
				keys.Row(i)[3] += 20 // channels that outdo others are what keys are known for
			}
			p := shorten(pagesOf(keys, values), short, []int{1, 3, 4})
			whole := Pages{Len: p.Len, Dim: p.Dim, List: slices.Clone(p.List)}
			for i := range 5 {
				p.List[i] = p.List[i].Pack(16, bits)
				again := p.List[i].Unpack(16).Pack(16, bits)
				if !reflect.DeepEqual(again, p.List[i]) {
					t.Fatalf("%d bits: page %d changes when it is packed again", bits, i)
				}
				if most := whole.List[i].Bytes() * int64(bits+3) / 32; p.List[i].Bytes() > most {
					t.Errorf("%d bits: a page takes %d bytes, at most %d are wanted", bits, p.List[i].Bytes(), most)
				}
			}
			most := 0.6 * 6.5 / float64(int(1)<<bits-1) // a row of 16 or 32 normal numbers spans less than 6.5
			if bits == 16 {
				most = 1.0 / 8 // bfloat16 has 8 bits of fraction; channel 3 lies around 20
			}
			near(t, "values", p.Values().Data, whole.Values().Data, most)
			got, want := p.Keys(), whole.Keys()
			for i := range got.Rows {
				got.Row(i)[3] -= 20
				want.Row(i)[3] -= 20
			}
			near(t, "keys", got.Data, want.Data, most)
			plain := Pages{Len: p.Len, Dim: p.Dim}
			for _, page := range p.List {
				plain.List = append(plain.List, page.Unpack(16))
			}
			a, b := New(6, 16), New(6, 16)
			Attend(a, q, 3, p, 0.25, 0)
			Attend(b, q, 3, plain, 0.25, 0)
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%d bits: attention to packed pages is not that to their numbers", bits)
			}
			n1, n2 := make([]float32, 200), make([]float32, 200)
			p.KeyNorms(n1)
			for i := range n2 {
				n2[i] = Norm(p.Keys().Row(i))
			}
			near(t, "norms", n1, n2, 1e-4)
		}
	}
}

// TestGramAndTriangle compares products that leave half of the work out with whole ones.
func TestGramAndTriangle(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 7))
		for _, shape := range [][2]int{{1, 1}, {5, 3}, {300, 64}, {513, 40}, {256, 128}} {
			x, lower, weights := random(r, shape[0], shape[1]), random(r, shape[1], shape[1]), random(r, 1, shape[0]).Data
			scaled, want, got := x.Clone(), New(shape[1], shape[1]), Gram(x, weights)
			for i, w := range weights {
				Scale(scaled.Row(i), w)
			}
			TMul(want, scaled, x)
			near(t, fmt.Sprint("Gram ", shape), got.Data, want.Data, 1e-4)
			for i := range lower.Rows {
				clear(lower.Row(i)[i+1:])
			}
			y := New(x.Rows, x.Cols)
			MulTLower(y, x, lower)
			near(t, fmt.Sprint("MulTLower ", shape), y.Data, naive(x, lower).Data, 1e-5)
		}
	})
}
