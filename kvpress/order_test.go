package kvpress

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

func TestBest(t *testing.T) {
	inf := float32(math.Inf(1))
	tests := []struct {
		name   string
		scores []float32
		force  []int
		n      int
		want   []int
	}{
		{"highest, in place order", []float32{3, 1, 4, 1, 5}, nil, 3, []int{0, 2, 4}},
		{"ties keep the lower place", []float32{1, 2, 2, 2}, nil, 2, []int{1, 2}},
		{"minus 0 is 0", []float32{0, float32(math.Copysign(0, -1)), 0}, nil, 2, []int{0, 1}},
		{"negative numbers", []float32{-3, -1, -2}, nil, 2, []int{1, 2}},
		{"infinities", []float32{-inf, 0, inf}, nil, 2, []int{1, 2}},
		{"forced before better ones", []float32{9, 8, -7, 6}, []int{2}, 2, []int{0, 2}},
		{"forced under ties", []float32{1, 1, 1, 1}, []int{3}, 1, []int{3}},
		{"more forced than room", []float32{1, 2, 3, 4}, []int{0, 2, 3}, 2, []int{2, 3}},
		{"more room than pairs", []float32{1, 2}, nil, 5, []int{0, 1}},
		{"nothing", nil, nil, 0, []int{}},
	}
	for _, test := range tests {
		if got := best(test.scores, test.force, test.n); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestBestOfAll(t *testing.T) {
	values := tensor.Mat{Rows: 2, Cols: 4, Data: []float32{5, 1, 7, 2, 6, 3, 8, 0}}
	lens := []int{4, 3}
	tests := []struct {
		name        string
		force, sure [][]int
		total       int
		want        [][]int
	}{
		{"by score", make([][]int, 2), make([][]int, 2), 4, [][]int{{0, 2}, {0, 2}}},
		{"a floor first", make([][]int, 2), [][]int{{1, 3}, nil}, 4, [][]int{{1, 2, 3}, {2}}},
		{"forced before good ones", [][]int{{3}, {1}}, make([][]int, 2), 3, [][]int{{3}, {1, 2}}},
		{"a floor before forced ones", [][]int{{3}, {1}}, [][]int{{0}, nil}, 2, [][]int{{0}, {1}}},
		{"a row past its length does not count", make([][]int, 2), make([][]int, 2), 9, [][]int{{0, 1, 2, 3}, {0, 1, 2}}},
	}
	for _, test := range tests {
		got := bestOfAll(values, lens, test.force, test.sure, test.total, higherStays)
		for h := range got {
			if !slices.Equal(got[h], test.want[h]) {
				t.Errorf("%s: %v, want %v", test.name, got, test.want)
				break
			}
		}
	}
}

func TestTiesOverHeads(t *testing.T) {
	values, none := tensor.New(2, 3), make([][]int, 2)
	if got := bestOfAll(values, []int{3, 3}, none, none, 2, higherStays); len(got[0]) != 0 || !slices.Equal(got[1], []int{1, 2}) {
		t.Errorf("the higher ones are %v", got)
	}
	if got := bestOfAll(values, []int{3, 3}, none, none, 4, lowerStays); !slices.Equal(got[0], []int{0, 1, 2}) || !slices.Equal(got[1], []int{0}) {
		t.Errorf("the lower ones are %v", got)
	}
}

// The order must be that of a plain sort for any scores.
func TestBestAgreesWithASort(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		scores := make([]float32, 1+r.IntN(60))
		for i := range scores {
			scores[i] = float32(r.IntN(9) - 4) // many ties
		}
		n := r.IntN(len(scores) + 1)
		order := span(0, len(scores))
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case scores[a] > scores[b]:
				return -1
			case scores[a] < scores[b]:
				return 1
			}
			return 0
		})
		want := slices.Sorted(slices.Values(order[:n]))
		if got := best(scores, nil, n); !slices.Equal(got, want) {
			t.Fatalf("the best %d of %v are %v, want %v", n, scores, got, want)
		}
	}
}
