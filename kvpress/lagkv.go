package kvpress

import (
	"cmp"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// LagKV keeps the pairs that stand out against the text that follows them: keys and values of a partition are scaled
// by the smallest and largest channel values of the next one, and those whose channels then vary most score highest.
// Liang et al., arXiv 2504.04704.
//
// A context without two whole partitions has nothing to compare with: recent pairs then stay.
type LagKV struct {
	Sinks        int  // first pairs that stay; 0 means 4, negative means none
	Lag          int  // pairs of a partition; 0 means 128
	CrossScoring bool // compare scores across partitions, not ranks within each
}

func init() { Register(Method{Name: "lagkv", Paper: "arXiv 2504.04704", Scorer: LagKV{}}) }

// Name spells the scorer, such as "lagkv(lag=32)".
func (s LagKV) Name() string { return Spell("lagkv", s) }

// Score is a number below 1 for pairs of all partitions but the last, and 1 for the sinks and the tail, (KVHeads,
// Len). Both are forced.
func (s LagKV) Score(l *Layer) (Scores, error) {
	lag, err := whole("lag", s.Lag, 128)
	if err != nil {
		return Scores{}, err
	}
	first, places, err := l.firstPlaces(wholeOrNone(s.Sinks, 4))
	if err != nil {
		return Scores{}, err
	}
	values := tensor.New(l.KVHeads, l.Len)
	tails := make([]int, l.KVHeads) // pairs at the end that a head protects
	err = eachHead(l.KVHeads, func(h int) error {
		n, from := l.Lens[h], len(places[h])
		row := values.Row(h)[:n]
		for i := range from {
			row[i] = 1
		}
		if n < from+2*lag {
			for i := from; i < n; i++ {
				row[i] = float32(i-from) / float32(n-from)
			}
			return nil
		}
		scored := (n-from)/lag*lag - lag
		for i := from + scored; i < n; i++ {
			row[i] = 1
		}
		tails[h] = n - from - scored
		return s.compare(l, h, lag, row[from:from+scored], from)
	})
	if err != nil {
		return Scores{}, err
	}
	last, err := l.Last(slices.Min(tails))
	return Scores{Values: values, Force: append(first, last...)}, err
}

// compare scores the partitions of a head, which begin at pair from.
func (s LagKV) compare(l *Layer, h, lag int, dst []float32, from int) error {
	keys, err := l.Keys(h)
	if err != nil {
		return err
	}
	vals, err := l.Values(h)
	if err != nil {
		return err
	}
	for p := 0; p < len(dst); p += lag {
		at := from + p
		score := dst[p : p+lag]
		k, v := spreads(keys, at, lag), spreads(vals, at, lag)
		for i := range score {
			score[i] = (k[i] + v[i]) / 2
		}
		if !s.CrossScoring {
			rankWithin(score)
		}
	}
	return nil
}

// spreads is the softmax, over the partition that begins at row at, of the deviation of each row's channels, scaled
// by the range of the next partition.
func spreads(x tensor.Mat, at, lag int) []float32 {
	low, high := slices.Clone(x.Row(at+lag)), slices.Clone(x.Row(at+lag))
	for i := at + lag; i < at+2*lag; i++ {
		for c, v := range x.Row(i) {
			low[c], high[c] = min(low[c], v), max(high[c], v)
		}
	}
	for c := range high {
		high[c] -= low[c]
		if high[c] == 0 { // a channel that does not change says nothing
			high[c] = float32(math.Inf(1))
		}
	}
	out, scaled := make([]float32, lag), make([]float32, x.Cols)
	for i := range out {
		for c, v := range x.Row(at + i) {
			scaled[c] = (v - low[c]) / high[c]
		}
		out[i] = deviation(scaled)
	}
	tensor.Softmax(out)
	return out
}

// deviation is the unbiased standard deviation.
func deviation(x []float32) float32 {
	mean := tensor.Sum(x) / float32(len(x))
	var square float32
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	return float32(math.Sqrt(float64(square) / float64(max(1, len(x)-1))))
}

// rankWithin replaces scores by their ascending ranks, divided by their number.
func rankWithin(score []float32) {
	order := span(0, len(score))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[a], score[b]) })
	for rank, i := range order {
		score[i] = float32(rank) / float32(len(order))
	}
}
