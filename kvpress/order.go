package kvpress

import (
	"math"

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

// Best lists, ascending, the places of the n largest numbers, the lower place first among equals.
func Best(scores []float32, n int) []int { return best(scores, nil, n) }

const indexMask = 1<<30 - 1

// best returns the n places of one head that stay longest, ascending: forced places first, then by score, the lower
// place first among equals.
func best(scores []float32, force []int, n int) []int {
	keys := make([]uint64, len(scores))
	for i, s := range scores {
		keys[i] = rank(plain, s, i)
	}
	for _, f := range force {
		keys[f] = rank(forced, scores[f], f)
	}
	keep := make([]int, 0, min(n, len(keys)))
	last := nth(keys, n)
	for i, k := range keys {
		if k <= last {
			keep = append(keep, i)
		}
	}
	return keep
}

// nth is the n-th smallest of different numbers, or as much as there is room for when there are fewer; 0 for none. It
// orders the numbers by some bits at a time, as far as it must.
func nth(keys []uint64, n int) uint64 {
	if n <= 0 {
		return 0
	}
	if n > len(keys) {
		return math.MaxUint64
	}
	bits := 8
	if len(keys) >= 1<<17 {
		bits = 16 // more to clear, fewer turns
	}
	counts := make([]int, 1<<bits)
	for shift := 64 - bits; len(keys) > 1; shift -= bits {
		clear(counts)
		for _, k := range keys {
			counts[k>>shift&(1<<bits-1)]++
		}
		digit := uint64(0)
		for n > counts[digit] {
			n -= counts[digit]
			digit++
		}
		same := make([]uint64, 0, counts[digit])
		for _, k := range keys {
			if k>>shift&(1<<bits-1) == digit {
				same = append(same, k)
			}
		}
		keys = same
	}
	return keys[0]
}

// Which of two equal pairs stays, when heads share a budget.
const (
	higherStays = iota // the one with the higher head and place: the Python original evicts the lower index first
	lowerStays         // the one with the lower head and place: it keeps the lower index first
)

// bestOfAll keeps total pairs of several heads together: the sure places of each head first, which are equals, then
// forced ones, then the others, both by score over all heads. Row h of values counts up to lens[h].
func bestOfAll(values tensor.Mat, lens []int, force, sure [][]int, total, ties int) [][]int {
	first := make([]int, len(lens)+1)
	for h, n := range lens {
		first[h+1] = first[h] + n
	}
	keys := make([]uint64, first[len(lens)])
	tensor.Parallel(len(lens), func(h int) {
		tier := make([]uint8, lens[h])
		for _, i := range force[h] {
			tier[i] = forced
		}
		for _, i := range sure[h] {
			tier[i] = safe
		}
		for i, v := range values.Row(h)[:lens[h]] {
			if tier[i] == safe {
				v = 0
			}
			index := h*values.Cols + i
			if ties == higherStays {
				index = indexMask - index
			}
			keys[first[h]+i] = rank(int(tier[i]), v, index)
		}
	})
	last := nth(keys, total)
	keep := make([][]int, len(lens))
	tensor.Parallel(len(lens), func(h int) {
		mine, stay := keys[first[h]:first[h+1]], 0
		for _, k := range mine {
			if k <= last {
				stay++
			}
		}
		if stay == 0 {
			return
		}
		keep[h] = make([]int, 0, stay)
		for i, k := range mine {
			if k <= last {
				keep[h] = append(keep[h], i)
			}
		}
	})
	return keep
}
