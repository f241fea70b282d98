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
)

// ways are the attentions of many tokens: cuDNN's, our own for compute capability 9.0, and our own for older cards.
var ways = []string{"cudnn", "wide", "flash"}

// openWay opens a GPU that attends one way.
func openWay(t *testing.T, way string) llm.Backend {
	t.Helper()
	if way != "cudnn" {
		t.Setenv(cuda.DNNVariable, "none")
	} else {
		t.Setenv(cuda.DNNVariable, os.Getenv("KVNOTES_TEST_CUDNN"))
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
							off, length := 0.0, 0.0
							for j := range got {
								off += float64(got[j]-want[j]) * float64(got[j]-want[j])
								length += float64(want[j]) * float64(want[j])
							}
							if off = math.Sqrt(off / length); !(off <= tolerance) {
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
				t.Skip("NOT RUN: there is no cuDNN (KVNOTES_TEST_CUDNN names its path)")
			}
			t.Logf("largest difference %.2g of a row's length", worst)
		})
	}
}

// A speed is what the attention of one layer of the 8B shape reached in a prefill.
type speed struct {
	Context int     `json:"context"`
	Way     string  `json:"way"`
	Millis  float64 `json:"millis"`
	Speed   float64 `json:"tflop_per_s"` // causal: half of the square
}

// TestAttentionSpeed times the attention of one layer, block of rows after block of rows, rotation and append included, where
// KVNOTES_ATTENTION names the file to write.
func TestAttentionSpeed(t *testing.T) {
	out := os.Getenv("KVNOTES_ATTENTION")
	if out == "" {
		t.Skip("NOT RUN: KVNOTES_ATTENTION names no file for the figures")
	}
	var speeds []speed
	for _, way := range ways {
		t.Run(way, func(t *testing.T) { speeds = append(speeds, attentionSpeeds(t, way)...) })
	}
	text, err := json.MarshalIndent(speeds, "", "\t")
	if err == nil {
		err = os.WriteFile(out, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func attentionSpeeds(t *testing.T, way string) (speeds []speed) {
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
		if way == "cudnn" && cuda.Planned(b) == 0 {
			t.Skip("NOT RUN: there is no cuDNN (KVNOTES_TEST_CUDNN names its path)")
		}
		s := speed{n, way, best.Seconds() * 1e3, 2 * heads * dim * float64(n) * float64(n) / best.Seconds() / 1e12}
		speeds = append(speeds, s)
		t.Logf("%+v", s)
	}
	return speeds
}
