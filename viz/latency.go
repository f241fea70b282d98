package viz

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Timing is how long a new token takes with so many pairs.
type Timing struct {
	Press  string  // a line of the chart; sessions of one press may differ in Pairs
	Pairs  float64 // mean over the heads
	Millis float64 // median time of a new token
}

// Timed measures a session: the median of so many new tokens, whatever they say.
func Timed(ctx context.Context, s *llm.Session, tokens int) (Timing, error) {
	pairs, heads, _ := KeptBy(s).sums()
	a, err := s.AskTokens(ctx, s.Tokens()[s.Len()-1:], max(2, tokens), nil, nil)
	if err != nil {
		return Timing{}, fmt.Errorf("timing %s: %w", s.PressName(), err)
	}
	return Timing{Press: s.PressName(), Pairs: float64(pairs) / float64(max(1, heads)), Millis: a.TokenMillis}, nil
}

// Latency times so many new tokens of every session and draws the milliseconds against the pairs that a head holds.
func Latency(ctx context.Context, tokens int, sessions ...*llm.Session) *Chart {
	var all []Timing
	for _, s := range sessions {
		t, err := Timed(ctx, s, tokens)
		if err != nil {
			return failed("latency", err)
		}
		all = append(all, t)
	}
	return LatencyOf(all...)
}

// LatencyOf is Latency for numbers from elsewhere. Timings of one press become a line.
func LatencyOf(timings ...Timing) *Chart {
	timings = slices.DeleteFunc(slices.Clone(timings), func(t Timing) bool { return !finite(t.Pairs) || !finite(t.Millis) })
	if len(timings) == 0 {
		return failed("latency", fmt.Errorf("there are no times to draw"))
	}
	if len(timings) > mostMarks {
		return failed("latency", fmt.Errorf("%d times are more than one picture can show: give at most %d", len(timings), mostMarks))
	}
	slices.SortStableFunc(timings, func(a, b Timing) int { return cmp.Compare(a.Pairs, b.Pairs) })
	p := panel{x: axis{name: "pairs held, mean of all heads", zero: true}, y: axis{name: "ms per new token", zero: true}, height: 280}
	byPress := map[string]int{}
	f := &figure{}
	for _, t := range timings {
		i, known := byPress[t.Press]
		if !known {
			i = len(p.series)
			byPress[t.Press] = i
			p.series = append(p.series, series{mark: points, name: t.Press, color: hue(i)})
		}
		p.series[i].data = append(p.series[i].data, datum{x: t.Pairs, y: t.Millis, hint: fmt.Sprintf("%s: %.0f pairs: %.2f ms", t.Press, t.Pairs, t.Millis)})
		f.summary += fmt.Sprintf("%s: %.2f ms with %.0f pairs\n", t.Press, t.Millis, t.Pairs)
	}
	var xs, ys []float64
	for _, t := range timings {
		xs, ys = append(xs, t.Pairs), append(ys, t.Millis)
	}
	few, many := timings[0], timings[len(timings)-1]
	f.title = fmt.Sprintf("a new token takes %.2f ms with %.0f pairs a head (%s)", few.Millis, few.Pairs, few.Press)
	if many.Pairs > few.Pairs {
		f.title = fmt.Sprintf("a new token takes %.2f ms with %.0f pairs a head (%s), %.2f ms with %.0f (%s)", few.Millis, few.Pairs, few.Press, many.Millis, many.Pairs, many.Press)
		if base, slope := straight(xs, ys); finite(base) && finite(slope) {
			p.series = append(p.series, series{mark: line, name: "straight line through all", color: ink, dashed: true, data: []datum{{x: 0, y: base}, {x: many.Pairs, y: base + slope*many.Pairs}}})
			f.summary += fmt.Sprintf("A straight line: %.2f ms, and %.2f ms for every 1,000 pairs of a head.", base, 1000*slope)
		}
	}
	f.panels = []panel{p}
	return f.chart()
}
