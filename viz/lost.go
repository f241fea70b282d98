package viz

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Pruning is what a part of a text looked like to its presses, and what the rest of the text then looked at.
type Pruning struct {
	Layer    int
	Observed tensor.Mat   // (KVHeads, pairs): attention that later queries paid to each pair
	Names    []string     // of the scorers
	Scores   []tensor.Mat // (KVHeads, pairs) each: higher stays longer
}

// Lost draws how much of the attention of later queries is lost when scorers choose which pairs go. The scorers, such
// as "random" or "knorm", see the first tokens of the context only; the queries of all others are the judges. No choice
// loses less than the one that knows them: "optimal". Scorers left out means random, knorm and expected_attention.
// Needs a session that recorded hidden states.
func Lost(s *llm.Session, layer, first int, scorers ...string) *Chart {
	if len(scorers) == 0 {
		scorers = []string{"random", "knorm", "expected_attention"}
	}
	d, err := pruning(s, layer, first, scorers)
	if err != nil {
		return failed("lost attention", err)
	}
	return LostOf(d)
}

func pruning(s *llm.Session, layer, first int, scorers []string) (Pruning, error) {
	d := Pruning{Layer: layer, Names: scorers}
	l, err := s.Layer(layer)
	if err != nil {
		return d, err
	}
	if first < 2 || first >= l.Tokens {
		return d, fmt.Errorf("%d of %d tokens are to be pruned: leave some before and some behind", first, l.Tokens)
	}
	byHead, err := l.Attention(l.Tokens-first, nil)
	if err != nil {
		return d, err
	}
	mean := l.GroupMean(byHead)
	d.Observed = tensor.New(mean.Rows, first)
	for h := range mean.Rows {
		copy(d.Observed.Row(h), mean.Row(h)[:first])
	}
	past, err := l.Slice(0, first)
	if err != nil {
		return d, err
	}
	for _, name := range scorers {
		scorer, err := kvpress.ParseScorer(name)
		if err != nil {
			return d, err
		}
		scores, err := scorer.Score(past)
		if err != nil {
			return d, fmt.Errorf("%s: %w", name, err)
		}
		d.Scores = append(d.Scores, scores.Values)
	}
	return d, nil
}

// LostOf is Lost for numbers from elsewhere.
func LostOf(d Pruning) *Chart {
	if err := d.intact(); err != nil {
		return failed("lost attention", err)
	}
	pairs := d.Observed.Cols
	if pairs == 0 || d.Observed.Rows == 0 {
		return failed("lost attention", errors.New("no attention was observed"))
	}
	if len(d.Names) != len(d.Scores) {
		return failed("lost attention", fmt.Errorf("%d names for %d scorers", len(d.Names), len(d.Scores)))
	}
	for i, s := range d.Scores {
		if s.Rows != d.Observed.Rows || s.Cols != pairs {
			return failed("lost attention", fmt.Errorf("%s: scores are (%d, %d), the attention is (%d, %d)", d.Names[i], s.Rows, s.Cols, d.Observed.Rows, pairs))
		}
	}
	p := panel{x: axis{name: fmt.Sprintf("pairs pruned of the first %d", pairs), zero: true, end: float64(pairs)}, y: axis{name: "attention lost, %", zero: true, end: 100}, height: 300}
	type loser struct {
		name string
		half float64 // lost when half of the pairs are gone
	}
	var half []loser
	scores, names := append(slices.Clone(d.Scores), d.Observed), append(slices.Clone(d.Names), "optimal")
	for i, name := range names {
		lost := d.lost(scores[i])
		s := series{mark: line, name: name, color: hue(i)}
		if i == len(d.Names) {
			s.color, s.dashed = ink, true
		}
		for _, k := range marksAlong(pairs) {
			s.data = append(s.data, datum{x: float64(k), y: 100 * lost[k]})
		}
		p.series = append(p.series, s)
		half = append(half, loser{name, 100 * lost[pairs/2]})
	}
	best := half[len(half)-1]
	title := fmt.Sprintf("layer %d: half of the pairs gone loses %.1f %% of the attention at best", d.Layer, best.half)
	slices.SortStableFunc(half, func(a, b loser) int { return cmp.Compare(a.half, b.half) })
	f := &figure{title: title, panels: []panel{p}}
	for _, l := range half {
		if l.name != "optimal" {
			f.title += fmt.Sprintf(", %.1f %% with %s", l.half, l.name)
		}
		f.summary += fmt.Sprintf("%s: %.1f %% lost with %d of %d pairs pruned\n", l.name, l.half, pairs/2, pairs)
	}
	return f.chart()
}

// intact reports a matrix that is broken.
func (d Pruning) intact() error {
	err := intact("attention", d.Observed)
	for _, s := range d.Scores {
		err = cmp.Or(err, intact("scores", s))
	}
	return err
}

// lost is, for each number of pruned pairs from 0 to all, the share of the observed attention that went with them, mean
// over the heads. The lowest scores go first.
func (d Pruning) lost(scores tensor.Mat) []float64 {
	lost := make([]float64, d.Observed.Cols+1)
	heads := 0
	for h := range d.Observed.Rows {
		total := 0.0
		for _, v := range d.Observed.Row(h) {
			total += float64(v)
		}
		if !finite(total) || total <= 0 {
			continue
		}
		heads++
		order := make([]int, d.Observed.Cols)
		for i := range order {
			order[i] = i
		}
		row := scores.Row(h)
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(row[a], row[b]) })
		gone := 0.0
		for k, at := range order {
			gone += float64(d.Observed.At(h, at))
			lost[k+1] += gone / total
		}
	}
	for k := range lost {
		lost[k] /= float64(max(1, heads))
	}
	return lost
}

// marksAlong are about a hundred numbers from 0 to n, both included.
func marksAlong(n int) []int {
	step := max(1, n/100)
	var all []int
	for k := 0; k < n; k += step {
		all = append(all, k)
	}
	return append(all, n)
}
