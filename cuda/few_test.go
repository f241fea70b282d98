//go:build cuda && cgo

package cuda

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// TestFewBits stores the same numbers in few bits on the card and on the processor.
func TestFewBits(t *testing.T) {
	for _, o := range []Options{{Float32: true}, {}} {
		made, err := New(o)
		if err != nil {
			t.Skipf("NOT RUN: %v", err)
		}
		b := made.(*Backend)
		for _, dim := range []int{16, 64, 80, 128} {
			for _, bits := range []int{8, 4, tensor.Float8} {
				t.Run(fmt.Sprintf("%v/%d/%d", o.Float32, dim, bits), func(t *testing.T) { fewBits(t, b, dim, bits) })
			}
		}
		if err := made.Close(); err != nil {
			t.Error(err)
		}
	}
}

func fewBits(t *testing.T, b *Backend, dim, bits int) {
	r := rand.New(rand.NewPCG(uint64(dim), uint64(bits)))
	cache, err := b.NewCache(llm.CacheShape{Layers: 1, KVHeads: 2, Dim: dim})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	const n = 300
	var want [2][2]tensor.Mat
	for h := range 2 {
		x := [2]tensor.Mat{tensor.New(n, dim), tensor.New(n, dim)}
		for i := range x {
			for j := range x[i].Data {
				x[i].Data[j] = float32(r.NormFloat64())
			}
			whole := make([]byte, 2*n*dim) // as the cache holds them, so that nothing else is lost
			tensor.ToBF16(whole, x[i].Data)
			tensor.FromBF16(x[i].Data, whole)
		}
		if err := cache.Append(0, h, x[0], x[1], span(n)); err != nil {
			t.Fatal(err)
		}
		pages := tensor.Pages{Dim: dim, Len: n}
		for from := 0; from < n; from += tensor.PageRows {
			page := tensor.NewPage(dim)
			for i := from; i < min(n, from+tensor.PageRows); i++ {
				for c := range dim {
					page.K[c*tensor.PageRows+i-from] = x[0].At(i, c)
				}
				copy(page.V[(i-from)*dim:], x[1].Row(i))
			}
			if from+tensor.PageRows <= 256 { // 300 pairs: 8 groups of 32 are old
				page = page.Pack(dim, bits)
			}
			pages.List = append(pages.List, page)
		}
		want[h] = [2]tensor.Mat{pages.Keys(), pages.Values()}
	}
	before := cache.Bytes()
	if err := cache.Apply(0, kvpress.Plan{Bits: bits}, tensor.Rope{}); err != nil {
		t.Fatal(err)
	}
	same := func(c llm.Cache, pairs int) {
		t.Helper()
		for h := range 2 {
			keys, values, err := c.Pairs(0, h)
			if err != nil {
				t.Fatal(err)
			}
			for i, got := range []tensor.Mat{keys, values} {
				for j, v := range want[h][i].Data[:pairs*dim] {
					far := max(v, -v) / 128 // bfloat16 after unpacking
					if b.kind == single {
						far = 1e-6
					}
					if d := got.Data[j] - v; d > far || d < -far || d != d {
						t.Fatalf("KV head %d, matrix %d, number %d: %g, want %g", h, i, j, got.Data[j], v)
					}
				}
			}
		}
	}
	same(cache, n)
	if after := cache.Bytes(); after >= before || cache.Live() > after {
		t.Errorf("%d bytes of %d are left, pairs take %d", after, before, cache.Live())
	}
	fork := cache.Fork()
	fork.Rewind(llm.Mark{{100, 100}})
	same(fork, 100)
	fork.Close()
	part, err := cache.Copy([]kvpress.Plan{{Keep: [][]int{span(200), span(10)}}}, tensor.Rope{})
	if err != nil {
		t.Fatal(err)
	}
	want[1] = [2]tensor.Mat{want[1][0].Slice(0, 10), want[1][1].Slice(0, 10)}
	want[0] = [2]tensor.Mat{want[0][0].Slice(0, 200), want[0][1].Slice(0, 200)}
	for h, pairs := range []int{200, 10} {
		keys, _, err := part.Pairs(0, h)
		if err != nil || keys.Rows != pairs {
			t.Errorf("%d pairs, %v, want %d", keys.Rows, err, pairs)
		}
	}
	part.Close()
}
