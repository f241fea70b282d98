package kvpress

import (
	"cmp"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// EntropyChunkKV keeps chunks of text as ChunkKV does, but of a good chunk whose score sits in a few tokens only
// these, and spends the rest on the best tokens elsewhere. Based on Liu et al., arXiv 2502.00299.
type EntropyChunkKV struct {
	Scorer Scorer
	Budget Budget
	Length int  // tokens of a chunk; 0 means 10
	Low    int  // tokens kept of a chunk of low entropy; 0 means 4, at most Length
	Compat bool // as the Python original: pairs that must stay may lose to a better chunk
}

func init() {
	Register(Method{Name: "entropy_chunkkv", Paper: "arXiv 2502.00299", Press: EntropyChunkKV{}})
}

// Name spells the press, such as "entropy_chunkkv(snapkv):0.5".
func (p EntropyChunkKV) Name() string { return Spell("entropy_chunkkv", p) }

// Plan keeps exactly the tokens that the budget allows, the same ones in every head.
func (p EntropyChunkKV) Plan(l *Layer) (Plan, error) {
	length, err := whole("length", p.Length, 10)
	if err != nil {
		return Plan{}, l.at("entropy_chunkkv", err)
	}
	low, err := whole("low", p.Low, 4)
	if err != nil {
		return Plan{}, l.at("entropy_chunkkv", err)
	}
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, sum, force, err := summed(p.Scorer, l, p.Budget.RatioOf(l), "entropy_chunkkv")
	if err != nil {
		return Plan{}, err
	}
	var means, entropies []float32
	for from := 0; from < l.Len; from += length {
		part := sum[from:min(from+length, l.Len)]
		means = append(means, tensor.Sum(part)/float32(len(part)))
		entropies = append(entropies, entropy(part))
	}
	budget := p.Budget.Keep(l, l.Len)
	places := chooseTokens(sum, means, entropies, length, min(low, length), budget)
	if p.Compat {
		force, s.Force = nil, nil
	}
	// The chosen tokens come first, forced ones before them.
	rank := make([]float32, l.Len)
	for _, i := range places {
		rank[i] = 1
	}
	return sameForAll(l, s, best(rank, force, budget)), nil
}

// chooseTokens visits chunks from the best on, until the budget is spent, and tops up with the best tokens left.
func chooseTokens(sum, means, entropies []float32, length, low, budget int) []int {
	good, plainText := lowerMedian(means), lowerMedian(entropies)
	order := span(0, len(means))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(means[b], means[a]) })
	var keep []int
	left := make([]float32, len(sum))
	copy(left, sum)
	for _, c := range order {
		from, to := c*length, min((c+1)*length, len(sum))
		n := min(to-from, budget-len(keep))
		if means[c] >= good && entropies[c] < plainText {
			n = min(n, low)
		}
		for _, i := range best(sum[from:to], nil, n) {
			keep = append(keep, from+i)
			left[from+i] = float32(math.Inf(-1))
		}
	}
	return append(keep, best(left, nil, budget-len(keep))...)
}

// entropy is that of the scores of a chunk taken as a distribution, from 0 (one token has it all) to 1.
func entropy(x []float32) float32 {
	const tiny = 1e-8
	if len(x) == 1 {
		return 0
	}
	shift := min(0, slices.Min(x))
	sum := float32(tiny)
	for _, v := range x {
		sum += v - shift
	}
	var h float64
	for _, v := range x {
		p := (v - shift) / sum
		h -= float64(p) * math.Log(float64(p)+tiny)
	}
	return float32(min(max(h/math.Log(float64(len(x))), 0), 1))
}

// lowerMedian is the middle number, the lower one of two.
func lowerMedian(x []float32) float32 {
	sorted := slices.Sorted(slices.Values(x))
	return sorted[(len(sorted)-1)/2]
}
