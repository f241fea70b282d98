package viz

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/eval"
)

// Sweep draws the share of right answers against the ratio removed, a line per press. Scores are eval's; the press
// "none" becomes a dashed line.
func Sweep(scores []eval.Score) *Chart {
	byPress := map[string]*Line{}
	var order []string
	var base *eval.Score
	for i, s := range scores {
		name, budget, ok := strings.Cut(s.Press, ":")
		if j := strings.LastIndexByte(s.Press, ':'); j >= 0 {
			name, budget = s.Press[:j], s.Press[j+1:]
		}
		ratio, err := strconv.ParseFloat(budget, 64)
		if !ok || err != nil {
			if s.Press == "none" {
				base = &scores[i]
			}
			continue
		}
		if byPress[name] == nil {
			byPress[name] = &Line{Name: name}
			order = append(order, name)
		}
		line := byPress[name]
		line.X, line.Y = append(line.X, ratio), append(line.Y, 100*s.Accuracy())
	}
	c := &Chart{width: 900, height: 420}
	var lines []Line
	for _, name := range order {
		sortByX(byPress[name])
		lines = append(lines, *byPress[name])
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return int(mean(b.Y)*1e6) - int(mean(a.Y)*1e6) })
	if len(lines) > 0 {
		best, worst := lines[0], lines[len(lines)-1]
		c.title = fmt.Sprintf("%s keeps most answers (mean %.0f %%), %s fewest (%.0f %%)", best.Name, mean(best.Y), worst.Name, mean(worst.Y))
		for _, l := range lines {
			c.summary += l.Name + ":"
			for i := range l.X {
				c.summary += fmt.Sprintf(" %.0f %% at %v", l.Y[i], l.X[i])
			}
			c.summary += "\n"
		}
	}
	if base != nil && len(lines) > 0 {
		low, high := 1.0, 0.0
		for _, l := range lines {
			low, high = min(low, slices.Min(l.X)), max(high, slices.Max(l.X))
		}
		lines = append(lines, Line{Name: "whole cache", X: []float64{low, high}, Y: []float64{100 * base.Accuracy(), 100 * base.Accuracy()}, Dash: true})
		c.summary += fmt.Sprintf("whole cache: %.0f %%", 100*base.Accuracy())
	}
	return c.lines("share of pairs removed", "right answers, %", lines)
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(max(1, len(x)))
}

func sortByX(l *Line) {
	type point struct{ x, y float64 }
	var all []point
	for i := range l.X {
		all = append(all, point{l.X[i], l.Y[i]})
	}
	slices.SortFunc(all, func(a, b point) int {
		if a.x < b.x {
			return -1
		}
		return 1
	})
	for i, p := range all {
		l.X[i], l.Y[i] = p.x, p.y
	}
}
