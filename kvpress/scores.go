package kvpress

import (
	"fmt"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Scores are what a Scorer thinks of one layer.
type Scores struct {
	// Values holds a number for every pair, (KVHeads, Len); higher stays longer. In a ragged layer row h counts up to
	// Lens[h]. At forced places it holds what the Python original puts there, so that wrappers can average it.
	Values tensor.Mat
	// Force lists the token positions that every head keeps first, whatever the numbers say: sinks, windows, last
	// tokens. After a prefill, position i is place i of every head. A head that lost such a pair earlier goes without.
	Force []int
}

// score asks a scorer for the scores of a layer of which the fraction ratio will go, and checks them. It also tells
// the places that are forced in each head.
func score(s Scorer, l *Layer, ratio float64) (Scores, [][]int, error) {
	if s == nil {
		return Scores{}, nil, l.at("", fmt.Errorf("%w: a scorer is missing: set Scorer", ErrBadParameter))
	}
	view := *l
	view.Ratio = ratio
	scores, err := s.Score(&view)
	if len(view.Draws) < len(l.Draws) {
		l.Draws = view.Draws // used up
	}
	if err == nil {
		err = scores.check(l)
	}
	var force [][]int
	if err == nil {
		force, err = l.places(scores.Force)
	}
	return scores, force, l.at(s.Name(), err)
}

// check reports scores that do not fit the layer or are not numbers.
func (s Scores) check(l *Layer) error {
	if s.Values.Rows != l.KVHeads || s.Values.Cols != l.Len {
		return fmt.Errorf("scores are (%d, %d), the layer has %d KV heads of %d pairs: return one number for each", s.Values.Rows, s.Values.Cols, l.KVHeads, l.Len)
	}
	newest, err := l.Last(1)
	if err != nil {
		return err
	}
	for _, f := range s.Force {
		if f < 0 || len(newest) == 0 || f > newest[0] {
			return fmt.Errorf("position %d is to stay, the layer holds positions up to %v", f, newest)
		}
	}
	for h, n := range l.Lens {
		for i, v := range s.Values.Row(h)[:n] {
			if v != v {
				return fmt.Errorf("the score of KV head %d, pair %d is not a number: the keys, values or weights of the layer hold NaN or infinity", h, i)
			}
		}
	}
	return nil
}

// places turns token positions into places of each head; positions that a head does not hold are left out.
func (l *Layer) places(positions []int) ([][]int, error) {
	all := make([][]int, l.KVHeads)
	if len(positions) == 0 {
		return all, nil
	}
	for h := range all {
		at, err := l.positions(h)
		if err != nil {
			return nil, err
		}
		for _, p := range positions {
			if i, ok := slices.BinarySearch(at, p); ok {
				all[h] = append(all[h], i)
			}
		}
	}
	return all, nil
}

// First lists the n lowest token positions that any head holds, ascending: the sinks.
func (l *Layer) First(n int) ([]int, error) {
	all, err := l.held(func(at []int) []int { return at[:min(n, len(at))] })
	return all[:min(n, len(all))], err
}

// firstPlaces is First, and where each head holds those positions.
func (l *Layer) firstPlaces(n int) (first []int, places [][]int, err error) {
	if first, err = l.First(n); err != nil {
		return nil, nil, err
	}
	places, err = l.places(first)
	return first, places, err
}

// Last lists the n highest token positions that any head holds, ascending: the window.
func (l *Layer) Last(n int) ([]int, error) {
	all, err := l.held(func(at []int) []int { return at[max(0, len(at)-n):] })
	return all[max(0, len(all)-n):], err
}

// held lists, ascending and once, the chosen positions of all heads.
func (l *Layer) held(choose func(at []int) []int) ([]int, error) {
	var all []int
	for h := range l.KVHeads {
		at, err := l.positions(h)
		if err != nil {
			return nil, err
		}
		all = append(all, choose(at)...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Protect makes scores of values, (KVHeads, Len), whose given token positions must stay in every head. At these places
// it writes one more than the largest other number, as the Python original does.
func (l *Layer) Protect(values tensor.Mat, positions []int) (Scores, error) {
	return l.protect(values, positions, 1)
}

// protect writes the largest other number plus a margin at the protected places.
func (l *Layer) protect(values tensor.Mat, positions []int, margin float32) (Scores, error) {
	places, err := l.places(positions)
	if err != nil {
		return Scores{}, err
	}
	tops := make([]float32, len(l.Lens))
	tensor.Parallel(len(tops), func(h int) {
		row := values.Row(h)[:l.Lens[h]]
		for _, i := range places[h] {
			row[i] = float32(math.Inf(-1)) // never the largest
		}
		tops[h] = tensor.Max(row)
	})
	top := tensor.Max(tops)
	if math.IsInf(float64(top), -1) {
		top = 0 // nothing but forced places
	}
	for h := range places {
		for _, i := range places[h] {
			values.Row(h)[i] = top + margin
		}
	}
	return Scores{Values: values, Force: positions}, nil
}

// GroupMean averages the query heads that share a KV head: (Heads, Len) becomes (KVHeads, Len).
func (l *Layer) GroupMean(byHead tensor.Mat) tensor.Mat {
	m, group := tensor.New(l.KVHeads, byHead.Cols), l.Group()
	tensor.Parallel(m.Rows, func(h int) {
		for head := h * group; head < (h+1)*group; head++ {
			tensor.AddScaled(m.Row(h), 1/float32(group), byHead.Row(head))
		}
	})
	return m
}

// AveragePool averages every number with its neighbours, kernel of them in all; the divisor is kernel also at the
// ends, as in the Python original.
func AveragePool(x []float32, kernel int) []float32 {
	out := make([]float32, len(x))
	for i := range x {
		near := x[max(0, i-kernel/2):min(len(x), i+kernel/2+1)]
		out[i] = tensor.Sum(near) / float32(kernel)
	}
	return out
}
