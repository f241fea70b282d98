package tensor

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestGatherWhole compares the assembly with its twin, which must leave alone what lies beside the rows it writes.
func TestGatherWhole(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 5))
		for n := 1; n <= PageRows; n++ {
			for _, channels := range []int{1, 3, 64} {
				k, rows := random(r, channels, PageRows).Data, make([]uint8, n)
				for i, row := range r.Perm(PageRows)[:n] {
					rows[i] = uint8(row)
				}
				slices.Sort(rows)
				before := random(r, channels, PageRows).Data
				done := PageRows - n // as far right as they fit
				got, want := slices.Clone(before), slices.Clone(before)
				gatherWhole(got[done:], k, rows)
				gatherWholeGo(want[done:], k, rows)
				if !slices.Equal(got, want) {
					t.Errorf("%d rows of %d channels differ", n, channels)
				}
			}
		}
	})
}
