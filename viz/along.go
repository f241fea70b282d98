package viz

import (
	"fmt"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// points is how many points a line along a text has at most.
const points = 300

// Scores draws what a press thought of every pair of one layer, along the text, a line per KV head, and the lowest
// score that stayed. A pressed session knows its scores; a whole one has none.
func Scores(s *llm.Session, layer int) *Chart {
	plans := s.Plans()
	if layer < 0 || layer >= len(plans) {
		return failed("scores", fmt.Errorf("layer %d of session %s has no scores: press the session first, layers run from 0 to %d", layer, s.PressName(), len(plans)-1))
	}
	plan := plans[layer]
	if plan.Scores.Rows == 0 {
		return failed("scores", fmt.Errorf("%s keeps no scores", s.PressName()))
	}
	forced := map[int]bool{}
	for _, f := range plan.Force {
		forced[f] = true
	}
	c := &Chart{width: 900, height: 360}
	var lines []Line
	most, least := 0, 0
	for h, keep := range plan.Keep {
		row := plan.Scores.Row(h)
		y := make([]float64, len(row))
		for i, v := range row {
			y[i] = float64(v)
			if forced[i] { // the numbers there only say that the place must stay
				y[i] = math.NaN()
			}
		}
		px, py := pooled(y, points)
		lines = append(lines, Line{Name: fmt.Sprintf("head %d (%d kept)", h, len(keep)), X: px, Y: py})
		cut := math.Inf(1)
		for _, i := range keep {
			if !forced[i] {
				cut = min(cut, float64(row[i]))
			}
		}
		if !math.IsInf(cut, 1) {
			lines = append(lines, Line{Name: fmt.Sprintf("head %d: lowest kept", h), X: []float64{0, float64(len(row) - 1)}, Y: []float64{cut, cut}, Dash: true})
		}
		if len(keep) > len(plan.Keep[most]) {
			most = h
		}
		if len(keep) < len(plan.Keep[least]) {
			least = h
		}
	}
	c.title = fmt.Sprintf("layer %d, %s: head %d keeps %d pairs, head %d keeps %d", layer, s.PressName(), most, len(plan.Keep[most]), least, len(plan.Keep[least]))
	c.summary = fmt.Sprintf("scores of %d pairs per head; %d places stay whatever their score.", plan.Scores.Cols, len(plan.Force))
	return c.lines("token", "score", lines)
}

// Attention draws how much attention the last queries of the context pay to each token in one layer, a line per KV
// head, the mean over its query heads. Needs a session that recorded hidden states.
func Attention(s *llm.Session, layer, last int) *Chart {
	l, err := s.Layer(layer)
	if err != nil {
		return failed("attention", err)
	}
	a, err := l.Attention(last, nil)
	if err != nil {
		return failed("attention", err)
	}
	c := &Chart{width: 900, height: 360}
	var lines []Line
	top, at := 0.0, 0
	for h := range l.KVHeads {
		positions, err := l.Positions(h)
		if err != nil {
			return failed("attention", err)
		}
		y := make([]float64, len(positions))
		for g := range l.Group() {
			for i := range y {
				y[i] += float64(a.At(h*l.Group()+g, i)) / float64(l.Group())
			}
		}
		for i, v := range y {
			if v > top {
				top, at = v, positions[i]
			}
		}
		px, py := pooled(y, points)
		for i := range px {
			px[i] = float64(positions[int(px[i])])
		}
		lines = append(lines, Line{Name: fmt.Sprintf("head %d", h), X: px, Y: py})
	}
	c.title = fmt.Sprintf("layer %d: the last %d queries look most at token %d (%.0f %% of one head's attention)", layer, last, at, 100*top)
	c.summary = fmt.Sprintf("%d KV heads, %d pairs in the longest.", l.KVHeads, l.Len)
	return c.lines("token", "attention", lines)
}
