//go:build cuda && cgo

package cuda_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/cuda"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// ways are the attentions of many tokens: cuDNN's, our own for compute capability 9.0, and our own for older cards.
var ways = []string{"cudnn", "wide", "flash"}

// The libraries that the environment names.
var cudnn, cublas = os.Getenv(cuda.DNNVariable), os.Getenv(cuda.BLASVariable)

// openWay opens a GPU that attends one way; alone has no library at all.
func openWay(t *testing.T, way string) llm.Backend {
	t.Helper()
	t.Setenv(cuda.DNNVariable, "none")
	if way == "cudnn" {
		if cudnn == "" || cudnn == "none" {
			t.Skip("NOT RUN: KVNOTES_CUDNN names no cuDNN")
		}
		t.Setenv(cuda.DNNVariable, cudnn)
	}
	if way == "alone" {
		t.Setenv(cuda.BLASVariable, "none")
	}
	b := open(t, cuda.Options{})
	if way == "flash" {
		cuda.Older(b)
	}
	return b
}

// TestAttendMany takes blocks of tokens through one layer after the other, as a long prefill does, over heads of different
// lengths, and compares every token with the processor: relative to the length of its row, for long rows are short vectors.
func TestAttendMany(t *testing.T) {
	const tolerance = 1.5e-2 // keys, values, queries, weights of the softmax and the result have 8 bits each
	host := cpu.New()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			b, worst := openWay(t, way), 0.0
			for _, dim := range []int{64, 80, 96, 128, 256} {
				for _, group := range []int{1, 2, 4, 8} {
					kv, lens := 2, []int{0, 321}
					heads := group * kv
					r := rand.New(rand.NewPCG(uint64(dim), uint64(group)))
					a := llm.Attention{Heads: heads, KVHeads: kv, Dim: dim, Rope: rope(dim), Scale: float32(1 / math.Sqrt(float64(dim))), Epsilon: 1e-5}
					caches := []llm.Cache{filled(t, b, dim, lens), filled(t, host, dim, lens)}
					next := 1000
					for _, n := range []int{300, 511, 64, 1, 129} {
						x := random(r, n*(heads+2*kv)*dim)
						a.Positions = nil
						for range n {
							a.Positions = append(a.Positions, next)
							next++
						}
						var results [2][]float32
						for i, b := range []llm.Backend{b, host} {
							poison := make([]float32, n*heads*dim)
							for j := range poison {
								poison[j] = float32(math.NaN())
							}
							dst := put(t, b, n, heads*dim, poison)
							b.Attend(dst, put(t, b, n, (heads+2*kv)*dim, x), caches[i], a)
							results[i] = get(t, b, dst)
						}
						for i := range n * heads {
							got, want := results[0][i*dim:(i+1)*dim], results[1][i*dim:(i+1)*dim]
							off := distance(got, want)
							if !(off <= tolerance) {
								t.Fatalf("dim %d, group %d, block of %d: token %d, head %d is off by %.2g of its length", dim, group, n, i/heads, i%heads, off)
							}
							worst = max(worst, off)
						}
					}
					for _, c := range caches {
						c.Close()
					}
				}
			}
			if way == "cudnn" && cuda.Planned(b) == 0 {
				t.Error("cuDNN has planned nothing")
			}
			t.Logf("largest difference %.2g of a row's length", worst)
		})
	}
}

// distance is how far got is from want, of want's length.
func distance(got, want []float32) float64 {
	off, length := 0.0, 0.0
	for i := range got {
		off += float64(got[i]-want[i]) * float64(got[i]-want[i])
		length += float64(want[i]) * float64(want[i])
	}
	return math.Sqrt(off / length)
}

// products are those of cuBLAS, of our own kernel for compute capability 9.0, and of our own for older cards.
var products = []string{"cublas", "wide", "older"}

func openProduct(t *testing.T, way string) llm.Backend {
	t.Helper()
	t.Setenv(cuda.BLASVariable, "none")
	if way == "cublas" {
		t.Setenv(cuda.BLASVariable, cublas)
	}
	b := open(t, cuda.Options{})
	if way == "cublas" && !cuda.HasBLAS(b) {
		t.Skip("NOT RUN: there is no cuBLAS (KVNOTES_CUBLAS names its path)")
	}
	if way == "older" {
		cuda.Older(b)
	}
	return b
}

// TestProductsOfMany runs a block of an MLP over many rows, whose verbs run into each other, and reads in between what must
// still be there.
func TestProductsOfMany(t *testing.T) {
	const tolerance = 1.5e-2
	host := cpu.New()
	for _, way := range products {
		t.Run(way, func(t *testing.T) {
			b, worst := openProduct(t, way), 0.0
			for _, c := range [][3]int{{9, 128, 256}, {130, 256, 384}, {300, 520, 1000}, {1025, 384, 640}} {
				rows, width, inner := c[0], c[1], c[2]
				r := rand.New(rand.NewPCG(uint64(rows), 9))
				up, down, again := matrix(r, 2*inner, width), matrix(r, width, inner), matrix(r, 64, inner)
				x, h := random(r, rows*width), random(r, rows*width)
				var results [2][][]float32
				for i, b := range []llm.Backend{b, host} {
					upload := func(w weights.Tensor) llm.Weight {
						out, err := b.Upload(w)
						if err != nil {
							t.Fatal(err)
						}
						return out
					}
					u, d, a := upload(up), upload(down), upload(again)
					poison := func(cols int) llm.Buf {
						x := make([]float32, rows*cols)
						for j := range x {
							x[j] = float32(math.NaN())
						}
						return put(t, b, rows, cols, x)
					}
					total, gates, gated, projected, other := put(t, b, rows, width, x), poison(2*inner), poison(inner), poison(width), poison(64)
					b.MatMul(gates, put(t, b, rows, width, h), u)
					b.Gate(gated, gates, llm.GELUTanh)
					results[i] = append(results[i], get(t, b, gated)) // settled
					b.MatMul(gates, put(t, b, rows, width, h), u)
					results[i] = append(results[i], get(t, b, gates)) // not taken by a gate
					b.Gate(gated, gates, llm.SiLU)
					b.MatMul(other, gated, a)
					b.MatMul(projected, gated, d)
					b.Add(total, projected)
					results[i] = append(results[i], get(t, b, other), get(t, b, total))
					b.MatMul(gates, total, u)
					b.Gate(gated, gates, llm.SiLU)
					b.MatMul(projected, gated, d)
					b.Add(total, total)
					b.Add(total, projected)
					results[i] = append(results[i], get(t, b, projected), get(t, b, total))
				}
				for i, got := range results[0] {
					off := distance(got, results[1][i])
					if !(off <= tolerance) {
						t.Errorf("%v: result %d is off by %.2g of its length", c, i, off)
					}
					worst = max(worst, off)
				}
			}
			t.Logf("largest difference %.2g of a matrix' length", worst)
		})
	}
}

// A speed is what the attention of one layer of the 8B shape reached in a prefill, or a product of a block of rows.
type speed struct {
	Tokens int     `json:"tokens"`
	Way    string  `json:"way"`
	Millis float64 `json:"millis"`
	Speed  float64 `json:"tflop_per_s"` // causal: half of the square
}

// TestPrefillParts times the attention of one layer, block of rows after block of rows, rotation and append included, where
// KVNOTES_PARTS names the file to write.
func TestPrefillParts(t *testing.T) {
	out := os.Getenv("KVNOTES_PARTS")
	if out == "" {
		t.Skip("NOT RUN: KVNOTES_PARTS names no file for the figures")
	}
	var speeds []speed
	ends := map[int][]float32{} // the last tokens of each context
	for _, way := range ways {
		t.Run(way, func(t *testing.T) { speeds = append(speeds, attentionSpeeds(t, way, ends)...) })
	}
	for _, way := range products {
		t.Run(way, func(t *testing.T) { speeds = append(speeds, productSpeeds(t, way)...) })
	}
	text, err := json.MarshalIndent(speeds, "", "\t")
	if err == nil {
		err = os.WriteFile(out, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func attentionSpeeds(t *testing.T, way string, ends map[int][]float32) (speeds []speed) {
	const heads, kv, dim = 32, 8, 128
	b := openWay(t, way)
	block := b.RowBlock()
	qkv := put(t, b, block, (heads+2*kv)*dim, random(rand.New(rand.NewPCG(6, 6)), block*(heads+2*kv)*dim))
	dst := put(t, b, block, heads*dim, make([]float32, block*heads*dim))
	a := llm.Attention{Heads: heads, KVHeads: kv, Dim: dim, Rope: rope(dim), Scale: float32(1 / math.Sqrt(dim))}
	a.Positions = make([]int, block)
	for _, n := range []int{32768, 131072} {
		best := time.Duration(math.MaxInt64)
		for range 3 {
			c, err := b.NewCache(llm.CacheShape{Layers: 1, KVHeads: kv, Dim: dim})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			for from := 0; from < n; from += block {
				for i := range a.Positions {
					a.Positions[i] = from + i
				}
				b.Attend(dst, qkv, c, a)
			}
			if err := b.Read(nil, dst.Slice(0, 0)); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start))
			c.Close()
		}
		end := get(t, b, dst.Slice(block-16, block))
		if ends[n] == nil {
			ends[n] = end
		} else if off := distance(end, ends[n]); !(off <= 1e-2) {
			t.Errorf("%d tokens: the last ones are %.2g of their length off %s", n, off, ways[0])
		}
		s := speed{n, way, best.Seconds() * 1e3, 2 * heads * dim * float64(n) * float64(n) / best.Seconds() / 1e12}
		speeds = append(speeds, s)
		t.Logf("%+v", s)
	}
	return speeds
}

// productSpeeds times the MLP of the 8B shape for a block of rows: norm, two products, gate and sum.
func productSpeeds(t *testing.T, way string) []speed {
	const width, inner, times = 4096, 14336, 20
	b := openProduct(t, way)
	rows := b.RowBlock()
	r := rand.New(rand.NewPCG(7, 7))
	upload := func(out, in int) llm.Weight {
		w, err := b.Upload(matrix(r, out, in))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	up, down := upload(2*inner, width), upload(width, inner)
	room := func(cols int) llm.Buf { return put(t, b, rows, cols, make([]float32, rows*cols)) }
	x, h, gates, gated, projected := put(t, b, rows, width, random(r, rows*width)), room(width), room(2*inner), room(inner), room(width)
	one := weights.Tensor{Name: "norm", DType: weights.BF16, Shape: []int{width}, Data: make([]byte, 2*width)}
	ones := make([]float32, width)
	for i := range ones {
		ones[i] = 1
	}
	tensor.ToBF16(one.Data, ones)
	norm, err := b.Upload(one)
	if err != nil {
		t.Fatal(err)
	}
	best := time.Duration(math.MaxInt64)
	for range 4 {
		start := time.Now()
		for range times {
			b.Norm(h, x, norm, 1e-5)
			b.MatMul(gates, h, up)
			b.Gate(gated, gates, llm.SiLU)
			b.MatMul(projected, gated, down)
			b.Add(x, projected)
		}
		if err := b.Read(nil, x.Slice(0, 0)); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start)/times)
	}
	s := speed{rows, "MLP with " + way, best.Seconds() * 1e3, 6 * width * inner * float64(rows) / best.Seconds() / 1e12}
	t.Logf("%+v", s)
	return []speed{s}
}
