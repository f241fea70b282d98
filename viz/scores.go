package viz

import (
	"fmt"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// pooled is how many points a line along a text has at most.
const pooled = 240

// Scored is what a press thought of the pairs of one layer, and what it kept.
type Scored struct {
	Press string
	Layer int
	Plan  kvpress.Plan
}

// Scores draws what the last press of a session thought of every pair of one layer along the text: a line per KV head,
// the lowest score that stayed, and the zones that stay whatever their score. Heads chooses KV heads; none means all.
// A whole session has no scores.
func Scores(s *llm.Session, layer int, heads ...int) *Chart {
	plans := s.Plans()
	if len(plans) == 0 {
		return failed("scores", fmt.Errorf("session %s has no scores: press it first", s.PressName()))
	}
	if layer < 0 || layer >= len(plans) {
		return failed("scores", fmt.Errorf("there is no layer %d: layers run from 0 to %d", layer, len(plans)-1))
	}
	return ScoresOf(Scored{Press: s.PressName(), Layer: layer, Plan: plans[layer]}, heads...)
}

// ScoresOf is Scores for a plan from elsewhere.
func ScoresOf(d Scored, heads ...int) *Chart {
	scores, keep := d.Plan.Scores, d.Plan.Keep
	if scores.Rows == 0 || scores.Cols == 0 || scores.Rows != len(keep) {
		return failed("scores", fmt.Errorf("layer %d: %s keeps no scores", d.Layer, d.Press))
	}
	if err := intact("scores", scores); err != nil {
		return failed("scores", fmt.Errorf("layer %d: %w", d.Layer, err))
	}
	if len(heads) == 0 {
		for h := range keep {
			heads = append(heads, h)
		}
	}
	for _, h := range heads {
		if h < 0 || h >= len(keep) {
			return failed("scores", fmt.Errorf("layer %d: there is no head %d: heads run from 0 to %d", d.Layer, h, len(keep)-1))
		}
	}
	forced := map[int]bool{}
	for _, at := range d.Plan.Force {
		forced[at] = true
	}
	p := panel{x: axis{name: along("token", scores.Cols), zero: true, end: float64(scores.Cols)}, y: axis{name: "score"}, height: 300, zones: zonesOf(d.Plan.Force, scores.Cols)}
	var cuts []series
	most, least := heads[0], heads[0]
	for i, h := range heads {
		row := make([]float64, scores.Cols)
		for at, v := range scores.Row(h) {
			row[at] = float64(v)
			if forced[at] { // the number there only says that the place must stay
				row[at] = math.NaN()
			}
		}
		cut := math.NaN()
		for _, at := range keep[h] {
			if at >= 0 && at < len(row) && finite(row[at]) && !(row[at] >= cut) {
				cut = row[at]
			}
		}
		p.series = append(p.series, series{mark: line, name: fmt.Sprintf("head %d, %d kept", h, len(keep[h])), color: hue(i), data: pointsOf(pool(row, pooled))})
		cuts = append(cuts, series{mark: line, name: "lowest kept", color: hue(i), dashed: true, data: []datum{{x: 0, y: cut}, {x: float64(scores.Cols - 1), y: cut}}})
		if len(keep[h]) > len(keep[most]) {
			most = h
		}
		if len(keep[h]) < len(keep[least]) {
			least = h
		}
	}
	p.series = append(p.series, cuts...)
	p.y.log = wide(p.series)
	f := &figure{panels: []panel{p}}
	f.title = fmt.Sprintf("layer %d, %s: each head keeps %d of %d pairs", d.Layer, d.Press, len(keep[most]), scores.Cols)
	if len(keep[most]) != len(keep[least]) {
		f.title = fmt.Sprintf("layer %d, %s: head %d keeps %d of %d pairs, head %d keeps %d", d.Layer, d.Press, most, len(keep[most]), scores.Cols, least, len(keep[least]))
	}
	f.summary = fmt.Sprintf("Scores of %d pairs per head; %d places stay whatever their score.", scores.Cols, len(forced))
	return f.chart()
}

// along names an axis of tokens, and says so where a point stands for several.
func along(what string, n int) string {
	if step := (n + pooled - 1) / pooled; step > 1 {
		return fmt.Sprintf("%s (a point is the largest of %d neighbours)", what, step)
	}
	return what
}

func pointsOf(x, y []float64) []datum {
	all := make([]datum, len(x))
	for i := range x {
		all[i] = datum{x: x[i], y: y[i]}
	}
	return all
}

// zonesOf takes neighbouring places together. Of scattered ones it shows the longest few.
func zonesOf(places []int, n int) []zone {
	places = slices.Clone(places)
	slices.Sort(places)
	var all []zone
	for _, at := range places {
		if at < 0 || at >= n {
			continue
		}
		if last := len(all) - 1; last >= 0 && float64(at) <= all[last].to+1 {
			all[last].to = float64(at)
			continue
		}
		all = append(all, zone{name: "always kept", from: float64(at), to: float64(at)})
	}
	slices.SortStableFunc(all, func(a, b zone) int { return int((b.to - b.from) - (a.to - a.from)) })
	all = all[:min(len(all), 20)]
	for i := range all { // half a place to each side, so that one place can be seen too
		all[i].from, all[i].to = all[i].from-0.5, all[i].to+0.5
		if all[i].to-all[i].from < float64(n)/12 {
			all[i].name = "" // no room for words
		}
	}
	return all
}
