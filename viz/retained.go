package viz

import (
	"fmt"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Kept is how many pairs each KV head of each layer holds.
type Kept struct {
	Press string  // how they were chosen
	Lens  [][]int // [layer][KV head]
	Full  int     // pairs of a head before
}

// KeptBy reads a session.
func KeptBy(s *llm.Session) Kept { return Kept{Press: s.PressName(), Lens: s.Lens(), Full: s.Len()} }

// extremes finds the heads with the most and the fewest pairs: layer, head, pairs.
func (k Kept) extremes() (most, least [3]int) {
	most, least = [3]int{-1, -1, -1}, [3]int{-1, -1, math.MaxInt}
	for l, lens := range k.Lens {
		for h, n := range lens {
			if n > most[2] {
				most = [3]int{l, h, n}
			}
			if n < least[2] {
				least = [3]int{l, h, n}
			}
		}
	}
	return most, least
}

// sums are all pairs kept, the number of KV heads, and the heads of the layer that has most.
func (k Kept) sums() (kept, heads, across int) {
	for _, lens := range k.Lens {
		across = max(across, len(lens))
		heads += len(lens)
		for _, n := range lens {
			kept += n
		}
	}
	return kept, heads, across
}

// finding says in one line who keeps most and who fewest.
func (k Kept) finding() string {
	most, least := k.extremes()
	if most[2] == least[2] {
		return fmt.Sprintf("%s: every head keeps %d of %d pairs", k.Press, most[2], k.Full)
	}
	if most[0] == least[0] {
		return fmt.Sprintf("%s: layer %d: head %d keeps %d of %d pairs, head %d keeps %d", k.Press, most[0], most[1], most[2], k.Full, least[1], least[2])
	}
	return fmt.Sprintf("%s: layer %d head %d keeps %d of %d pairs, layer %d head %d keeps %d", k.Press, most[0], most[1], most[2], k.Full, least[0], least[1], least[2])
}

// Retained draws how many pairs every layer and KV head of a session keeps: a map of colours, and bars against the
// mean, which is what every head would keep if they shared alike.
func Retained(s *llm.Session) *Chart { return RetainedOf(KeptBy(s)) }

// RetainedOf is Retained for numbers from elsewhere. Of more than 1,000 heads, neighbouring layers are drawn together.
func RetainedOf(k Kept) *Chart {
	kept, heads, across := k.sums()
	if heads == 0 {
		return failed("pairs kept", fmt.Errorf("there are no layers to draw: Lens is empty"))
	}
	mean := float64(kept) / float64(heads)
	f := &figure{title: k.finding()}
	f.summary = fmt.Sprintf("%d layers of %d KV heads keep %d of %d pairs (%.1f %%), %.0f a head on average.", len(k.Lens), across, kept, heads*k.Full, percent(kept, heads*k.Full), mean)

	grid := series{mark: cells}
	byHead := make([]series, across)
	var layers []string
	for _, part := range stretches(len(k.Lens), mostMarks/2/across) {
		for h := range across {
			sum, n := 0, 0
			for _, lens := range k.Lens[part.from:part.to] {
				if h < len(lens) {
					sum, n = sum+lens[h], n+1
				}
			}
			if n == 0 {
				continue
			}
			pairs := float64(sum) / float64(n)
			hint := fmt.Sprintf("layer %s, head %d: %g of %d pairs", part.name, h, round(pairs), k.Full)
			x := float64(len(layers))
			grid.data = append(grid.data, datum{x: x, y: float64(h), z: pairs, hint: hint})
			byHead[h].data = append(byHead[h].data, datum{x: x, y: pairs, hint: hint})
		}
		layers = append(layers, part.name)
	}
	f.panels = []panel{{
		x: axis{name: "layer", places: layers}, y: axis{name: "KV head", places: names(across)},
		series: []series{grid}, scale: "pairs kept", high: float64(k.Full), height: max(60, min(300, 24*across)),
	}}
	budget := series{
		mark: line, name: fmt.Sprintf("mean of all heads: %.0f", mean), color: ink, dashed: true,
		data: []datum{{x: 0, y: mean}, {x: float64(len(layers) - 1), y: mean}},
	}
	columns := panel{x: axis{name: "layer", places: layers}, y: axis{name: "pairs kept", zero: true}, height: 170}
	for h, s := range byHead {
		s.mark, s.color = bars, hue(h)
		if across <= len(hues) {
			s.name = fmt.Sprintf("head %d", h)
		} else {
			s.color = shade(0.15 + 0.75*float64(h)/float64(across-1))
		}
		columns.series = append(columns.series, s)
	}
	columns.series = append(columns.series, budget)
	f.panels = append(f.panels, columns)
	return f.chart()
}
