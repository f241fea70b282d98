package kvpress

import (
	"fmt"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Tiers order pairs before their scores do.
const (
	plain  = iota // ranked by score alone
	forced        // stays before any plain pair
	safe          // stays before any forced pair: a head's guaranteed floor
)

// rank packs tier, score and index into one number, so that sorting numbers ascending puts the pair that stays
// longest first, and the lower index first among equals.
func rank(tier int, score float32, index int) uint64 {
	bits := math.Float32bits(score)
	if bits>>31 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 31
	}
	if score == 0 { // -0 and 0 are equal scores
		bits = 1 << 31
	}
	return uint64(3-tier)<<62 | uint64(^bits)<<30 | uint64(index)
}

const indexMask = 1<<30 - 1

// best returns the n positions of one head that stay longest, ascending: forced ones first, then by score, the lower
// position first among equals.
func best(scores []float32, force []int, n int) []int {
	keys := make([]uint64, len(scores))
	for i, s := range scores {
		keys[i] = rank(plain, s, i)
	}
	for _, f := range force {
		if f < len(scores) {
			keys[f] = rank(forced, scores[f], f)
		}
	}
	slices.Sort(keys)
	n = min(n, len(keys))
	keep := make([]int, n)
	for i := range keep {
		keep[i] = int(keys[i] & indexMask)
	}
	slices.Sort(keep)
	return keep
}

// check reports scores that do not fit the layer or are not numbers.
func (s Scores) check(l *Layer, name string) error {
	if s.Values.Rows != l.KVHeads || s.Values.Cols != l.Len {
		return fmt.Errorf("layer %d: %s: scores are (%d, %d), the layer has %d KV heads of %d pairs: return one number for each", l.Index, name, s.Values.Rows, s.Values.Cols, l.KVHeads, l.Len)
	}
	for _, f := range s.Force {
		if f < 0 || f >= l.Len {
			return fmt.Errorf("layer %d: %s: position %d is to stay, the layer has %d", l.Index, name, f, l.Len)
		}
	}
	for h, n := range l.Lens {
		for i, v := range s.Values.Row(h)[:n] {
			if v != v {
				return fmt.Errorf("layer %d: %s: the score of KV head %d, position %d is not a number: the keys, values or weights of the layer hold NaN or infinity", l.Index, name, h, i)
			}
		}
	}
	return nil
}

// score asks a scorer for the scores of a layer of which the fraction ratio will go, and checks them.
func score(s Scorer, l *Layer, ratio float64) (Scores, error) {
	view := *l
	view.Ratio = ratio
	scores, err := s.Score(&view)
	if err != nil {
		return Scores{}, fmt.Errorf("%s: %w", s.Name(), err)
	}
	return scores, scores.check(l, s.Name())
}

// sentinel is one more than the largest score: what the Python original writes at places that must stay.
func sentinel(m tensor.Mat) float32 {
	top := float32(math.Inf(-1))
	for _, v := range m.Data {
		top = max(top, v)
	}
	return top + 1
}
