//go:build cuda && cgo

package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/kvnotes/kvnotes/cuda"
	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// open starts the GPU, or says in one line that there is none.
func open(t testing.TB, o cuda.Options) llm.Backend {
	t.Helper()
	b, err := cuda.New(o)
	if err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// matrix is a weight stored in bfloat16.
func matrix(r *rand.Rand, out, in int) weights.Tensor {
	data := make([]byte, 2*out*in)
	x := random(r, out*in)
	tensor.Scale(x, float32(1/math.Sqrt(float64(in))))
	tensor.ToBF16(data, x)
	return weights.Tensor{Name: "w", DType: weights.BF16, Shape: []int{out, in}, Data: data}
}

// inFloat16 is the same weight stored in float16.
func inFloat16(w weights.Tensor) weights.Tensor {
	x := make([]float32, len(w.Data)/2)
	tensor.FromBF16(x, w.Data)
	w.DType, w.Data = weights.F16, make([]byte, len(w.Data))
	tensor.ToF16(w.Data, x)
	return w
}

// put makes a buffer of numbers.
func put(t testing.TB, b llm.Backend, rows, cols int, x []float32) llm.Buf {
	t.Helper()
	buf, err := b.Alloc(rows, cols)
	if err == nil {
		err = b.Write(buf, append([]float32(nil), x...))
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

func get(t testing.TB, b llm.Backend, x llm.Buf) []float32 {
	t.Helper()
	out := make([]float32, x.Rows*x.Cols)
	if err := b.Read(out, x); err != nil {
		t.Fatal(err)
	}
	return out
}

// near compares numbers, relative to the largest.
func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	worst, most, at := 0.0, 1e-6, 0
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range want {
		most = max(most, math.Abs(float64(want[i])))
		if d := math.Abs(float64(got[i] - want[i])); d > worst || d != d {
			worst, at = d, i
			if d != d {
				t.Fatalf("%s: number %d is not a number", what, i)
			}
		}
	}
	if worst > tolerance*most {
		t.Errorf("%s: number %d of %d is %g, want %g (off by %.2g of the largest)", what, at, len(want), got[at], want[at], worst/most)
	}
}

// modes are both ways to compute, and how near they come to the processor.
var modes = map[string]struct {
	options   cuda.Options
	tolerance float64
}{"float32": {cuda.Options{Float32: true}, 2e-5}, "bfloat16": {cuda.Options{}, 1.5e-2}}

func TestProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	host := cpu.New()
	for name, mode := range modes {
		for _, blas := range []string{"", "none"} {
			t.Setenv(cuda.BLASVariable, blas)
			b := open(t, mode.options)
			for _, c := range [][3]int{{1, 256, 128}, {1, 77, 64}, {3, 100, 96}, {8, 33, 40}, {9, 256, 64}, {70, 130, 64}, {200, 384, 96}, {5, 17, 20}, {130, 128, 512}, {257, 520, 200}, {300, 768, 1040}} {
				rows, out, in := c[0], c[1], c[2]
				stored, x := matrix(r, out, in), random(r, rows*in)
				for _, w := range []weights.Tensor{stored, inFloat16(stored)} {
					var results [2][]float32
					for i, b := range []llm.Backend{b, host} {
						weight, err := b.Upload(w)
						if err != nil {
							t.Fatal(err)
						}
						dst := put(t, b, rows, out, make([]float32, rows*out))
						b.MatMul(dst, put(t, b, rows, in, x), weight)
						results[i] = get(t, b, dst)
					}
					near(t, fmt.Sprintf("%s%s %s %v", name, blas, w.DType, c), results[0], results[1], mode.tolerance)
				}
			}
		}
	}
}

func TestRows(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	b, host := open(t, cuda.Options{}), cpu.New()
	table, x, y := matrix(r, 50, 256), random(r, 7*256), random(r, 7*512)
	norm := make([]byte, 512)
	tensor.ToBF16(norm, random(r, 256))
	vector := weights.Tensor{Name: "norm", DType: weights.BF16, Shape: []int{256}, Data: norm}
	var results [2][]float32
	for i, b := range []llm.Backend{b, host} {
		w, err := b.Upload(table)
		if err != nil {
			t.Fatal(err)
		}
		v, err := b.Upload(vector)
		if err != nil {
			t.Fatal(err)
		}
		dst, gated := put(t, b, 7, 256, x), put(t, b, 7, 256, x)
		b.Embed(dst, w, []int{3, 1, 49, 0, 7, 7, 2}, 1.5)
		b.Gate(gated, put(t, b, 7, 512, y), llm.SiLU)
		b.Add(dst, gated)
		b.Gate(gated, put(t, b, 7, 512, y), llm.GELUTanh)
		b.Add(dst, gated)
		b.Norm(dst, dst, v, 1e-5)
		b.AddRow(dst, v)
		results[i] = get(t, b, dst)
	}
	near(t, "embed, gate, add, norm", results[0], results[1], 1e-5)
}

// rope is a rotation of some channels.
func rope(dim int) tensor.Rope {
	r := tensor.Rope{Scale: 1.1, Turns: &tensor.Turns{}}
	for i := range dim / 2 {
		r.Freq = append(r.Freq, float32(math.Pow(10000, -2*float64(i)/float64(dim))))
	}
	return r
}

// filled is a ragged cache of one layer on a backend.
func filled(t *testing.T, b llm.Backend, dim int, lens []int) llm.Cache {
	t.Helper()
	c, err := b.NewCache(llm.CacheShape{Layers: 1, KVHeads: len(lens), Dim: dim})
	if err != nil {
		t.Fatal(err)
	}
	for h, n := range lens {
		r := rand.New(rand.NewPCG(uint64(h), 7))
		at := make([]int, n)
		for i := range at {
			at[i] = 2 * i
		}
		keys, values := tensor.Mat{Rows: n, Cols: dim, Data: random(r, n*dim)}, tensor.Mat{Rows: n, Cols: dim, Data: random(r, n*dim)}
		for _, m := range []tensor.Mat{keys, values} { // as every cache can hold them
			stored := make([]byte, 2*len(m.Data))
			tensor.ToBF16(stored, m.Data)
			tensor.FromBF16(m.Data, stored)
		}
		if err := c.Append(0, h, keys, values, at); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestAttend(t *testing.T) {
	host := cpu.New()
	for name, mode := range modes {
		b := open(t, mode.options)
		dims, groups := []int{16, 32, 64, 80, 96, 128, 256}, []int{1, 2, 3, 4, 7}
		if testing.Short() { // under a tool that watches every access
			dims, groups = []int{80, 128}, []int{2, 7}
		}
		for _, dim := range dims {
			for _, group := range groups {
				for _, n := range []int{1, 5, 150} {
					for _, window := range []int{0, 90} {
						if window > 0 && group != 2 {
							continue
						}
						lens := []int{0, 700, 64, 129}
						r := rand.New(rand.NewPCG(uint64(dim), uint64(group)))
						heads, kv := group*len(lens), len(lens)
						x := random(r, n*(heads+2*kv)*dim)
						a := llm.Attention{Heads: heads, KVHeads: kv, Dim: dim, Rope: rope(dim), Scale: float32(1 / math.Sqrt(float64(dim))), Window: window, Epsilon: 1e-5}
						for i := range n {
							a.Positions = append(a.Positions, 1500+i)
						}
						var results [2][]float32
						var keys [2]tensor.Mat
						for i, b := range []llm.Backend{b, host} {
							c := filled(t, b, dim, lens)
							dst := put(t, b, n, heads*dim, make([]float32, n*heads*dim))
							b.Attend(dst, put(t, b, n, (heads+2*kv)*dim, x), c, a)
							results[i] = get(t, b, dst)
							var err error
							if keys[i], _, err = c.Pairs(0, 1); err != nil {
								t.Fatal(err)
							}
							c.Close()
						}
						what := fmt.Sprintf("%s dim %d, group %d, %d tokens, window %d", name, dim, group, n, window)
						near(t, what, results[0], results[1], mode.tolerance)
						near(t, what+": keys", keys[0].Data, keys[1].Data, mode.tolerance)
					}
				}
			}
		}
	}
}

// TestAttendFewBits attends to caches that store older pairs in few bits; both sides lose the same.
func TestAttendFewBits(t *testing.T) {
	host := cpu.New()
	lens := []int{0, 680, 100, 165} // the same pairs are old in pages of 32 and of 64, and 20 more change nothing
	for name, mode := range modes {
		b := open(t, mode.options)
		for _, dim := range []int{64, 80, 128} {
			for _, bits := range []int{8, 4, tensor.Float8} {
				for _, n := range []int{1, 20} {
					const group = 3
					r := rand.New(rand.NewPCG(uint64(dim), uint64(bits)))
					heads, kv := group*len(lens), len(lens)
					x := random(r, n*(heads+2*kv)*dim)
					a := llm.Attention{Heads: heads, KVHeads: kv, Dim: dim, Rope: rope(dim), Scale: float32(1 / math.Sqrt(float64(dim)))}
					for i := range n {
						a.Positions = append(a.Positions, 1500+i)
					}
					var results [2][]float32
					for i, b := range []llm.Backend{b, host} {
						c := filled(t, b, dim, lens)
						plan := kvpress.Plan{Bits: bits}
						for _, n := range lens {
							keep := make([]int, n)
							for j := range keep {
								keep[j] = j
							}
							plan.Keep = append(plan.Keep, keep)
						}
						if err := c.Apply(0, plan, tensor.Rope{}); err != nil {
							t.Fatal(err)
						}
						dst := put(t, b, n, heads*dim, make([]float32, n*heads*dim))
						b.Attend(dst, put(t, b, n, (heads+2*kv)*dim, x), c, a)
						results[i] = get(t, b, dst)
						c.Close()
					}
					near(t, fmt.Sprintf("%s dim %d, %d bits, %d tokens", name, dim, bits, n), results[0], results[1], mode.tolerance)
				}
			}
		}
	}
}

// TestTokens runs one token after the other through a block of attention and MLP, as a model decodes: what is captured for
// the first tokens must serve the later ones, whose heads are longer.
func TestTokens(t *testing.T) {
	const dim, kv, group, width, inner = 64, 3, 2, 128, 192
	r := rand.New(rand.NewPCG(4, 4))
	qkv, output, gateUp, down := matrix(r, (group+2)*kv*dim, width), matrix(r, width, group*kv*dim), matrix(r, 2*inner, width), matrix(r, width, inner)
	ones := make([]byte, 2*width)
	one := make([]float32, width)
	for i := range one {
		one[i] = 1 + float32(i%3)/4
	}
	tensor.ToBF16(ones, one)
	vector := weights.Tensor{Name: "norm", DType: weights.BF16, Shape: []int{width}, Data: ones}
	tokens := 150
	if testing.Short() {
		tokens = 8
	}
	inputs := random(r, tokens*width)
	lens := []int{0, 700, 129}
	run := func(b llm.Backend) (all []float32) {
		upload := func(w weights.Tensor) llm.Weight {
			out, err := b.Upload(w)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		room := func(cols int) llm.Buf { return put(t, b, 1, cols, make([]float32, cols)) }
		norm, wide, narrow, up, end := upload(vector), upload(qkv), upload(output), upload(gateUp), upload(down)
		x, h, q, attended, projected, gates, gated := room(width), room(width), room(wide.Out), room(group*kv*dim), room(width), room(2*inner), room(inner)
		a := llm.Attention{Heads: group * kv, KVHeads: kv, Dim: dim, Rope: rope(dim), Scale: 0.125, Epsilon: 1e-5}
		first, second := filled(t, b, dim, lens), filled(t, b, dim, []int{63, 64, 65})
		defer first.Close()
		defer second.Close()
		for i := range tokens {
			if err := b.Write(x, append([]float32(nil), inputs[i*width:(i+1)*width]...)); err != nil {
				t.Fatal(err)
			}
			a.Positions = []int{1500 + i}
			for layer, c := range []llm.Cache{first, second} {
				if a.Window = 0; layer == 1 {
					a.Window = 90
				}
				b.Norm(h, x, norm, 1e-5)
				b.MatMul(q, h, wide)
				b.Attend(attended, q, c, a)
				b.MatMul(projected, attended, narrow)
				b.Add(x, projected)
				b.Norm(h, x, norm, 1e-5)
				b.MatMul(gates, h, up)
				b.Gate(gated, gates, llm.SiLU)
				b.MatMul(projected, gated, end)
				b.Norm(projected, projected, norm, 1e-5)
				b.Add(x, projected)
			}
			all = append(all, get(t, b, x)...)
			if i == 100 {
				first.Rewind(first.Mark())
			}
		}
		return all
	}
	near(t, "tokens", run(open(t, cuda.Options{})), run(cpu.New()), 2e-2)
}

// TestCache runs the same random commands on a cache of the GPU and one of the processor.
func TestCache(t *testing.T) {
	b, host := open(t, cuda.Options{Float32: true}), cpu.New()
	r := rand.New(rand.NewPCG(3, 3))
	lens := []int{300, 0, 64, 129}
	caches := []llm.Cache{filled(t, b, 16, lens), filled(t, host, 16, lens)}
	same := func(what string) {
		t.Helper()
		for h := range lens {
			k, v, err := caches[0].Pairs(0, h)
			if err != nil {
				t.Fatal(err)
			}
			k2, v2, err := caches[1].Pairs(0, h)
			if err != nil {
				t.Fatal(err)
			}
			near(t, what+": keys", k.Data, k2.Data, 1e-6)
			near(t, what+": values", v.Data, v2.Data, 1e-6)
			if !reflect.DeepEqual(append([]int{}, caches[0].Positions(0, h)...), append([]int{}, caches[1].Positions(0, h)...)) {
				t.Fatalf("%s: head %d: the positions differ", what, h)
			}
		}
	}
	same("filled")
	for round := range 20 {
		plan := kvpress.Plan{Keep: make([][]int, len(lens))}
		for h := range plan.Keep {
			plan.Keep[h] = []int{}
			for i := range caches[1].Len(0, h) {
				if r.IntN(5) > 0 {
					plan.Keep[h] = append(plan.Keep[h], i)
				}
			}
		}
		mark := caches[0].Mark()
		extra := tensor.Mat{Rows: 70, Cols: 16, Data: random(r, 70*16)}
		at := make([]int, 70)
		for i := range at {
			at[i] = 10000 + 100*round + i
		}
		for i, c := range caches {
			old := c
			switch round % 4 {
			case 0:
				if err := c.Apply(0, plan, tensor.Rope{}); err != nil {
					t.Fatal(err)
				}
			case 1:
				out, err := c.Copy([]kvpress.Plan{plan}, tensor.Rope{})
				if err != nil {
					t.Fatal(err)
				}
				caches[i] = out
			case 2:
				caches[i] = c.Fork()
			case 3:
				if err := c.Append(0, 2, extra, extra, at); err != nil {
					t.Fatal(err)
				}
				c.Rewind(mark)
			}
			for h := range lens {
				if err := caches[i].Append(0, h, extra, extra, at); err != nil {
					t.Fatal(err)
				}
			}
			if old != caches[i] {
				old.Close()
			}
		}
		same(fmt.Sprintf("round %d", round))
	}
	caches[0].Close()
	if caches[0].Bytes() != 0 {
		t.Errorf("%d bytes are held by a closed cache", caches[0].Bytes())
	}
}
