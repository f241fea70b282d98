package llm

import (
	"slices"
	"sort"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A camPress plans one compression.
type camPress struct {
	*camRun
	now kvpress.Budget
}

func (p camPress) Plan(l *kvpress.Layer) (kvpress.Plan, error) {
	plan, err := kvpress.TopK(kvpress.Shared{Scorer: p.Scorer}, p.now).Plan(l)
	if err != nil {
		return plan, err
	}
	keep := plan.Keep[0]
	p.kept[l.Index] = slices.Clone(keep)
	candidates := bestEvicted(plan.Scores, keep, p.since)
	if at := p.rounds*l.Layers + l.Index; at < len(p.Draws) {
		l.Draws = p.Draws[at : at+1]
	}
	draws, err := l.Uniform(l.KVHeads, len(candidates), p.Seed+uint64(p.rounds))
	if err != nil {
		return plan, err
	}
	plan.Merge, plan.MergeSum = make([][]kvpress.Merge, l.KVHeads), true
	for h := range plan.Merge {
		sums := p.sums[l.Index].Row(h)
		for c, from := range candidates {
			next, _ := slices.BinarySearch(keep, from)
			takers := keep[next:min(len(keep), next+p.spread)]
			mean := float32(0)
			for _, to := range takers {
				mean += sums[to] / float32(len(takers))
			}
			if len(takers) == 0 || sums[from] == 0 || draws.At(h, c) >= min(1, sums[from]/mean) {
				continue
			}
			for _, to := range takers {
				plan.Merge[h] = append(plan.Merge[h], kvpress.Merge{From: from, To: to, Weight: 1 / float32(len(takers))})
			}
		}
	}
	return plan, nil
}

// bestEvicted lists, ascending, the n evicted pairs with the highest scores, the later one first among equals.
func bestEvicted(scores tensor.Mat, keep []int, n int) []int {
	if scores.Rows == 0 { // nothing goes
		return nil
	}
	row := scores.Row(0)
	var gone []int
	for i := range row {
		if _, kept := slices.BinarySearch(keep, i); !kept {
			gone = append(gone, i)
		}
	}
	sort.SliceStable(gone, func(i, j int) bool {
		return row[gone[i]] > row[gone[j]] || row[gone[i]] == row[gone[j]] && gone[i] > gone[j]
	})
	gone = gone[:min(n, len(gone))]
	slices.Sort(gone)
	return gone
}
