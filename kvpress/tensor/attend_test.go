package tensor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAttendHeads(t *testing.T) { atEveryLevel(t, attendHeads) }

// attendHeads looks for the bits of Attend: with heads of very different lengths, some with packed or short pages, and
// their pairs shared out over any number of threads.
func attendHeads(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	r := rand.New(rand.NewPCG(14, 1))
	const dim, group = 40, 3
	for _, tokens := range []int{1, 5} {
		for _, window := range []int{0, 40, 700} {
			var heads []Head
			var want []Mat
			for h, length := range []int{2000, 5, 513, 300} {
				p := pagesOf(random(r, length, dim), random(r, length, dim))
				switch h {
				case 2:
					p.List[3] = p.List[3].Pack(dim, 8)
				case 3:
					p = shorten(p, 2, []int{0, 1, 7, 39})
				}
				q := random(r, tokens*group, dim)
				heads = append(heads, Head{Dst: New(q.Rows, dim), Q: q, Pages: p})
				want = append(want, New(q.Rows, dim))
				Attend(want[h], q, group, p, 0.2, window)
			}
			for threads := 1; threads <= 3; threads++ {
				SetThreads(threads)
				AttendHeads(heads, group, 0.2, window)
				for h, head := range heads {
					if !slices.Equal(head.Dst.Data, want[h].Data) {
						t.Errorf("%d tokens, window %d, %d threads: head %d of %d pairs has other bits than alone", tokens, window, threads, h, head.Pages.Len)
					}
				}
			}
		}
	}
}

// TestLoopsThatFetchAhead looks for the bits of tiles: any number of rows, short keys, a last page that is not full,
// values with more channels than are asked for, sums that go on.
func TestLoopsThatFetchAhead(t *testing.T) { atEveryLevel(t, loopsThatFetchAhead) }

func loopsThatFetchAhead(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 1))
	for range 200 {
		rows, dim, pairs := 1+r.IntN(tileRows()), 1+r.IntN(130), 1+r.IntN(PageRows)
		q, k, ahead := random(r, rows, dim), random(r, dim, PageRows), random(r, 1, r.IntN(9)).Data
		row := blockPairs + r.IntN(3)
		got, want := make([]float32, rows*row), make([]float32, rows*row)
		keysAhead(got, row, q.Data, dim, rows, k.Data, ahead, nil)
		keysGo(want, row, q.Data, dim, rows, k.Data)
		if !slices.Equal(got, want) {
			t.Fatalf("%d rows with keys of %d channels: other bits than a tile's", rows, dim)
		}
		width := 2*tileCols + r.IntN(70)
		v, sums, add := random(r, pairs, width), random(r, rows, width).Data, r.IntN(2) == 0
		more := slices.Clone(sums)
		valuesAhead(sums, width, got, row, pairs, rows, v.Data, width, ahead, add)
		valuesGo(more, width, got, row, pairs, rows, v.Data, width, add)
		if !slices.Equal(sums, more) {
			t.Fatalf("%d rows, %d pairs, %d apart, going on %v: other bits than tiles'", rows, pairs, width, add)
		}
	}
}

func TestHeadsAllocateNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 1))
	heads := []Head{{Dst: New(3, 64), Q: random(r, 3, 64), Pages: pagesOf(random(r, 900, 64), random(r, 900, 64))}}
	w, err := PackBF16(100, 64, make([]byte, 2*6400))
	if err != nil {
		t.Fatal(err)
	}
	x, y := random(r, 1, 64), New(1, 100)
	if n := testing.AllocsPerRun(50, func() {
		AttendHeads(heads, 3, 0.1, 0)
		w.MulT(y, x)
	}); n > 0 {
		t.Errorf("attention and a product of one row allocate %v times", n)
	}
}

// BenchmarkAttendHeads is one token of SmolLM2 after 8,192: a layer whose heads are whole, and one of which an adaptive
// press left a quarter.
func BenchmarkAttendHeads(b *testing.B) {
	r := rand.New(rand.NewPCG(16, 1))
	for _, lens := range [][]int{{8192, 8192, 8192}, {2048, 2048, 2048}, {4000, 1500, 644}} {
		b.Run(fmt.Sprint(lens), func(b *testing.B) {
			// Layers that together are too large for a cache.
			var layers [][]Head
			bytes := 0
			for range 8 {
				var heads []Head
				for _, n := range lens {
					heads = append(heads, Head{Dst: New(3, 64), Q: random(r, 3, 64), Pages: pagesOf(random(r, n, 64), random(r, n, 64))})
					bytes += n * 64 * 8
				}
				layers = append(layers, heads)
			}
			for b.Loop() {
				for _, heads := range layers {
					AttendHeads(heads, 3, 0.125, 0)
				}
			}
			b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()*float64(b.N)/1e9, "GB/s")
		})
	}
}
