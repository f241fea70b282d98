package tensor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestNearest compares both ways to find the nearest row with all products in float64. Equal rows are there, and rows that
// differ by less than codes can tell.
func TestNearest(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 3))
		for _, shape := range [][3]int{{1, 1, 1}, {5, 3, 2}, {13, 40, 7}, {49, 33, 64}, {100, 300, 128}} {
			x, among := random(r, shape[0], shape[2]), random(r, shape[1], shape[2])
			for i := 1; i < among.Rows; i += 3 {
				copy(among.Row(i), among.Row(i-1))
				among.Row(i)[0] += float32(i%2) * 1e-5
			}
			for _, m := range []Mat{x, among} {
				for i := range m.Rows {
					Scale(m.Row(i), 1/Norm(m.Row(i)))
				}
			}
			exact := naive(x, among)
			byCodes, products := make([]int, x.Rows), make([]float32, x.Rows)
			nearestByCodes(byCodes, products, x, among)
			chosen, same := Nearest(x, among)
			for i := range x.Rows {
				row := exact.Row(i)
				for _, at := range []int{byCodes[i], chosen[i]} {
					twin := at > 0 && slices.Equal(among.Row(at), among.Row(at-1))
					if most := slices.Max(row); row[at] < most-2e-6 || twin {
						t.Errorf("%v: row %d: %d with %g, the largest product is %g", shape, i, at, row[at], most)
					}
				}
				if math.Abs(float64(products[i]-same[i])) > 2e-6 || math.Abs(float64(products[i]-row[byCodes[i]])) > 2e-6 {
					t.Errorf("%v: row %d: products %g and %g", shape, i, products[i], same[i])
				}
			}
		}
		none := New(2, 4)
		none.Data[0] = float32(math.NaN())
		if places, _ := Nearest(none, random(r, 3, 4)); !slices.Equal(places, []int{0, 0}) {
			t.Errorf("rows that are no numbers, or zeros, are nearest to %v", places)
		}
	})
}

// TestTileCodes compares the assembly with its twin.
func TestTileCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, pairs := range []int{1, 2, 32, 33} {
		a, b := make([]uint32, pairs*codeRows), make([]uint32, pairs*tileCols)
		for _, x := range [][]uint32{a, b} {
			for i := range x {
				x[i] = uint32(uint16(r.IntN(4001)-2000)) | uint32(r.IntN(4001)-2000)<<16
			}
		}
		got, want := make([]float32, codeRows*40), make([]float32, codeRows*40)
		tileCodes(a, b, pairs, got, 40)
		tileCodesGo(a, b, pairs, want, 40)
		if !slices.Equal(got, want) {
			t.Errorf("%d pairs: the assembly finds other products than its twin", pairs)
		}
	}
}
