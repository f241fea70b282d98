package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
)

// eachKind calls f for every kind of assembly that this processor can run.
func eachKind(f func(kind string)) {
	defer func(before level) { active = before }(active)
	for active = avx2; active <= supported(); active++ {
		f(levels[active])
	}
}

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		name       string
		best, want level
	}{{"", avx512, avx512}, {"avx2", avx512, avx2}, {"go", avx2, plain}, {"avx512", avx2, avx2}, {"sse", avx2, avx2}} {
		if got := wanted(c.name, c.best); got != c.want {
			t.Errorf("KVNOTES_CPU=%s where %s is best gives %s, want %s", c.name, levels[c.best], levels[got], levels[c.want])
		}
	}
}

// TestTiles compares the tiles of every level with the twin: all heights, several pieces, rows and steps that lie apart
// in any way, sums that begin with 0 and sums that go on. Those in assembly must agree bit by bit.
func TestTiles(t *testing.T) {
	defer func(before level) { active = before }(active)
	r := rand.New(rand.NewPCG(10, 1))
	for range 400 {
		active = supported()
		rows, k, pieces := 1+r.IntN(tileRows()), 1+r.IntN(70), 1+r.IntN(4)
		aRow, aStep := k*pieces+r.IntN(3), 1
		if r.IntN(2) == 0 {
			aRow, aStep = 1, rows+r.IntN(3)
		}
		b := &strip{step: tileCols + r.IntN(5), half: r.IntN(40)}
		for range pieces {
			b.pieces = append(b.pieces, random(r, 1, k*b.step+b.half+tileCols).Data)
		}
		a, cRow, add := random(r, 1, rows*aRow+k*pieces*aStep).Data, tileCols+r.IntN(9), r.IntN(2) == 0
		before := random(r, 1, rows*cRow).Data
		var first []float32
		want := slices.Clone(before)
		tileGo(rows, k, a, aRow, aStep, b, want, cRow, add)
		name := fmt.Sprintf("%d rows, %d pieces of %d steps, %d and %d apart", rows, pieces, k, aRow, aStep)
		for active = plain; active <= supported(); active++ {
			got := slices.Clone(before)
			for from := 0; from < rows; from += tileRows() {
				tile(min(tileRows(), rows-from), k, a[from*aRow:], aRow, aStep, b, got[from*cRow:], cRow, add)
			}
			near(t, levels[active]+": "+name, got, want, 1e-4)
			if active == plain {
				continue
			}
			if first == nil {
				first = got
			} else if !slices.Equal(got, first) {
				t.Errorf("%s: %s has other bits than avx2", name, levels[active])
			}
		}
	}
}

// TestTilesSideBySide: a strip whose pieces are columns of their own gives what its pieces give one by one, bit by bit.
func TestTilesSideBySide(t *testing.T) {
	defer func(before level) { active = before }(active)
	r := rand.New(rand.NewPCG(17, 1))
	for active = plain; active <= supported(); active++ {
		for range 100 {
			rows, k, pieces := 1+r.IntN(tileRows()), r.IntN(70), r.IntN(9)
			aRow, cRow := k+r.IntN(3), pieces*tileCols+r.IntN(9)
			b := &strip{step: tileCols + r.IntN(5), half: r.IntN(40)}
			for range pieces {
				b.pieces = append(b.pieces, random(r, 1, k*b.step+b.half+tileCols).Data)
			}
			a, got := random(r, 1, rows*aRow+k).Data, random(r, 1, rows*cRow).Data
			want := slices.Clone(got)
			tiles(rows, k, a, aRow, b, got, cRow)
			for p := range pieces {
				tile(rows, k, a, aRow, 1, &strip{b.pieces[p : p+1], b.step, b.half}, want[p*tileCols:], cRow, false)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %d rows, %d steps, %d pieces: other bits than one by one", levels[active], rows, k, pieces)
			}
		}
	}
}

// TestLevelsAgree looks for the same bits at all levels in assembly.
func TestLevelsAgree(t *testing.T) {
	defer func(before level) { active = before }(active)
	r := rand.New(rand.NewPCG(11, 1))
	for _, n := range []int{1, 15, 16, 17, 64, 300} {
		x, up := random(r, 1, n).Data, random(r, 1, n).Data
		Scale(x, 30)
		var first []float32
		for active = avx2; active <= supported(); active++ {
			e, g := slices.Clone(x), make([]float32, n)
			sum := exp2Sum(e, 0.3, 2)
			SiLUMul(g, x, up)
			got := append(append(e, g...), sum)
			if first == nil {
				first = got
			} else if !slices.Equal(got, first) {
				t.Errorf("%d numbers: %s gives other bits than avx2", n, levels[active])
			}
		}
	}
}

func TestGates(t *testing.T) { atEveryLevel(t, gates) }

func gates(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 1))
	for n := range 50 {
		g, up := random(r, 1, n).Data, random(r, 1, n).Data
		Scale(g, 10)
		copy(g, []float32{0, -200, 200, -1e25, 1e25})
		silu, gelu := make([]float32, n), make([]float32, n)
		SiLUMul(silu, g, up)
		GELUTanhMul(gelu, g, up)
		wantSilu, wantGelu := make([]float32, n), make([]float32, n)
		for i, v := range g {
			x := float64(v)
			wantSilu[i] = float32(x / (1 + math.Exp(-x)) * float64(up[i]))
			wantGelu[i] = float32(0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) * float64(up[i]))
		}
		near(t, fmt.Sprintf("silu of %d", n), silu, wantSilu, 2e-6)
		near(t, fmt.Sprintf("gelu of %d", n), gelu, wantGelu, 2e-5)
	}
	for n := 1; n < 40; n++ {
		low, high, cos, sin := random(r, 1, n).Data, random(r, 1, n).Data, random(r, 1, n).Data, random(r, 1, n).Data
		wantLow, wantHigh := slices.Clone(low), slices.Clone(high)
		rotateGo(wantLow, wantHigh, cos, sin, 1.5, -0.5)
		rotate(low, high, cos, sin, 1.5, -0.5)
		near(t, "turned", append(low, high...), append(wantLow, wantHigh...), 0)
		near(t, "sum without signs", []float32{AbsSum(low)}, []float32{absSumGo(low)}, 1e-5)
	}
	for n := range 9 {
		k := random(r, n, PageRows).Data
		var got, want [PageRows]float32
		got[3], want[3] = 2, 2
		addSquares(&got, k)
		addSquaresGo(&want, k)
		near(t, "squares", got[:], want[:], 0)
	}
	nan := float32(math.NaN())
	out := make([]float32, 16)
	SiLUMul(out, slices.Repeat([]float32{nan}, 16), make([]float32, 16))
	if out[3] == out[3] {
		t.Error("the gate of what is not a number is a number")
	}
	for n := 1; n < 40; n++ {
		x := random(r, 1, n).Data
		if got, want := Max(x), slices.Max(x); got != want {
			t.Errorf("the largest of %d is %g, want %g", n, got, want)
		}
		x[r.IntN(n)] = nan
		if got := Max(x); got == got {
			t.Errorf("the largest of %d numbers, one of which is none, is %g", n, got)
		}
	}
}

// TestManyShortCalls: helpers that look out for work, fall asleep and are woken lose no task and stay in no turn.
func TestManyShortCalls(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	var hits atomic.Int64
	want, count := int64(0), func(int) { hits.Add(1) }
	for threads := 1; threads <= 4; threads++ {
		SetThreads(threads)
		for n := range 3000 {
			Parallel(n%7, count)
			want += int64(n % 7)
			for range n % 3 * 1000 { // sometimes longer than helpers are patient
				pause()
			}
		}
	}
	if hits.Load() != want {
		t.Errorf("%d tasks ran, want %d", hits.Load(), want)
	}
}

func TestTransposed(t *testing.T) { atEveryLevel(t, transposed) }

func transposed(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 1))
	for range 100 {
		m := random(r, r.IntN(40), 1+r.IntN(40))
		back := Transposed(m)
		for i := range m.Rows {
			for j, v := range m.Row(i) {
				if back.At(j, i) != v {
					t.Fatalf("(%d, %d): number (%d, %d) comes out as %g, want %g", m.Rows, m.Cols, i, j, back.At(j, i), v)
				}
			}
		}
		product, gram := New(m.Cols, m.Cols), New(m.Cols, m.Cols)
		MulT(product, back, back)
		TMul(gram, m, m)
		near(t, "xᵀ·x", gram.Data, product.Data, 1e-6)
		Mul(product, back, m)
		near(t, "a·b", product.Data, gram.Data, 1e-6)
	}
}
