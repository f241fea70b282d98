package llm

import (
	"cmp"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// plans keep as many pairs of each head as the ranks of its layer, or its own, win among all ranks.
func (p KVCompose) plans(l *kvpress.Layer, scores []tensor.Mat) []kvpress.Plan {
	var ranks [][]float32 // of each layer, or of each head
	for _, s := range scores {
		sorted := s.Clone()
		for h := range sorted.Rows {
			slices.SortFunc(sorted.Row(h), func(a, b float32) int { return cmp.Compare(b, a) })
		}
		if p.Headwise {
			for h := range sorted.Rows {
				ranks = append(ranks, sorted.Row(h))
			}
			continue
		}
		row := make([]float32, sorted.Cols)
		merge(row, sorted, p.Heads)
		ranks = append(ranks, row)
	}
	won := p.win(l, ranks)
	plans := make([]kvpress.Plan, len(scores))
	for layer, s := range scores {
		plans[layer] = kvpress.Plan{Scores: s}
		for h := range s.Rows {
			n := won[min(layer, len(won)-1)]
			if p.Headwise {
				n = won[layer*s.Rows+h]
			}
			plans[layer].Keep = append(plans[layer].Keep, kvpress.Best(s.Row(h), n))
		}
	}
	return plans
}

// win tells how many ranks of each row are among the best of all.
func (p KVCompose) win(l *kvpress.Layer, ranks [][]float32) []int {
	const sure = 1e9
	for _, row := range ranks {
		for i := range p.Least {
			row[i] += sure
		}
	}
	if !p.Headwise { // the first layer gets the largest share
		for _, row := range ranks[1:] {
			for i, v := range row {
				ranks[0][i] = max(ranks[0][i], v)
			}
		}
	}
	all := slices.Concat(ranks...)
	won := make([]int, len(ranks))
	for _, place := range kvpress.Best(all, p.total(l, len(ranks))) {
		won[place/l.Len]++
	}
	for i := range won {
		if !p.Headwise {
			won[i] = max(won[i], 1, p.Least)
		}
	}
	return won
}

// total is the number of ranks that stay of all rows.
func (p KVCompose) total(l *kvpress.Layer, rows int) int {
	if p.Budget.PerHead == 0 && p.Budget.Total == 0 {
		return kvpress.KeepCount(rows*l.Len, p.Budget.Removed)
	}
	return rows * p.Budget.Keep(l, l.Len)
}
