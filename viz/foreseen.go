package viz

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Foreseen draws how well a scorer, such as "expected_attention", foresaw the attention of later queries in one layer: a
// dot for each pair of one KV head among the first tokens of the context. Needs a session that recorded hidden states.
func Foreseen(s *llm.Session, layer, head, first int, scorer string) *Chart {
	d, err := pruning(s, layer, first, []string{scorer})
	if err != nil {
		return failed("foreseen attention", err)
	}
	return ForeseenOf(d, head)
}

// ForeseenOf is Foreseen for numbers from elsewhere: of the first scorer.
func ForeseenOf(d Pruning, head int) *Chart {
	if len(d.Scores) == 0 || len(d.Names) == 0 {
		return failed("foreseen attention", errors.New("there is no scorer"))
	}
	if err := d.intact(); err != nil {
		return failed("foreseen attention", err)
	}
	if head < 0 || head >= d.Observed.Rows || head >= d.Scores[0].Rows || d.Scores[0].Cols != d.Observed.Cols {
		return failed("foreseen attention", fmt.Errorf("there is no head %d in attention (%d, %d) and scores (%d, %d)", head, d.Observed.Rows, d.Observed.Cols, d.Scores[0].Rows, d.Scores[0].Cols))
	}
	var x, y []float64
	for i := range d.Observed.Cols {
		score, seen := float64(d.Scores[0].At(head, i)), float64(d.Observed.At(head, i))
		if finite(score) && finite(seen) && i >= skipped { // the first tokens are forced to stay: their scores say nothing
			x, y = append(x, score), append(y, seen)
		}
	}
	if len(x) < 2 {
		return failed("foreseen attention", errors.New("there are fewer than two pairs to compare"))
	}
	dots := series{mark: points, color: hue(0)}
	step := (len(x) + mostMarks/2 - 1) / (mostMarks / 2)
	positive := true
	for i := 0; i < len(x); i += step {
		dots.data = append(dots.data, datum{x: x[i], y: y[i], hint: fmt.Sprintf("token %d: score %.3g, attention %.3g", i+skipped, x[i], y[i])})
		positive = positive && x[i] > 0 && y[i] > 0
	}
	p := panel{x: axis{name: "score by " + d.Names[0], log: positive}, y: axis{name: "attention observed", log: positive}, height: 320, series: []series{dots}}
	f := &figure{panels: []panel{p}}
	r := correlation(ranks(x), ranks(y))
	f.title = fmt.Sprintf("layer %d head %d: what %s thinks of a pair and what later queries pay to it have a rank correlation of %.2f", d.Layer, head, d.Names[0], r)
	f.summary = fmt.Sprintf("%d pairs, %d drawn. 1 means the same order, 0 no relation, -1 the reverse order (Spearman).", len(x), len(dots.data))
	return f.chart()
}

// ranks are the places of the numbers in ascending order; equal numbers share the mean of theirs.
func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	all := make([]float64, len(x))
	for i := 0; i < len(order); {
		end := i
		for end < len(order) && x[order[end]] == x[order[i]] {
			end++
		}
		for _, at := range order[i:end] {
			all[at] = float64(i+end-1) / 2
		}
		i = end
	}
	return all
}
