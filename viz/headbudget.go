package viz

import (
	"fmt"
	"image/color"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// HeadBudget draws what a head-wise press does to the heads: the pairs of every KV head of one layer before and after.
// Layer -1 draws the heads of all layers, from the longest to the shortest. Before may be the whole session, or one
// pressed to the same budget with equal heads.
func HeadBudget(before, after *llm.Session, layer int) *Chart {
	return HeadBudgetOf(KeptBy(before), KeptBy(after), layer)
}

// HeadBudgetOf is HeadBudget for numbers from elsewhere.
func HeadBudgetOf(before, after Kept, layer int) *Chart {
	if err := before.fits(after); err != nil {
		return failed("head budgets", err)
	}
	if layer >= len(after.Lens) {
		return failed("head budgets", fmt.Errorf("there is no layer %d: layers run from 0 to %d, and -1 means all", layer, len(after.Lens)-1))
	}
	if layer < 0 {
		return sortedBudgets(before, after)
	}
	f := &figure{panels: []panel{{y: axis{name: "pairs", zero: true}, x: axis{name: fmt.Sprintf("KV head of layer %d", layer), places: names(len(after.Lens[layer]))}, height: 240}}}
	for i, k := range []Kept{before, after} {
		s := series{mark: bars, name: k.label(), color: []color.RGBA{hues[7], hues[0]}[i]}
		for h, n := range k.Lens[layer] {
			s.data = append(s.data, datum{x: float64(h), y: float64(n), hint: fmt.Sprintf("%s: layer %d, head %d: %d pairs", k.label(), layer, h, n)})
		}
		f.panels[0].series = append(f.panels[0].series, s)
	}
	one := Kept{Press: after.Press, Full: after.Full, Lens: after.Lens[layer : layer+1]}
	kept, heads, _ := one.sums()
	had, _, _ := Kept{Lens: before.Lens[layer : layer+1]}.sums()
	most, least := one.extremes()
	f.title = fmt.Sprintf("layer %d, %s: head %d keeps %d pairs, head %d keeps %d", layer, after.Press, most[1], most[2], least[1], least[2])
	if most[2] == least[2] {
		f.title = fmt.Sprintf("layer %d, %s: every head keeps %d pairs", layer, after.Press, most[2])
	}
	f.summary = fmt.Sprintf("%d KV heads held %d pairs (%s) and hold %d (%s).", heads, had, before.label(), kept, after.label())
	return f.chart()
}

// fits reports two layouts that are not of the same model.
func (k Kept) fits(other Kept) error {
	if _, heads, _ := k.sums(); heads == 0 {
		return fmt.Errorf("there are no heads to draw: Lens is empty")
	}
	if len(k.Lens) != len(other.Lens) {
		return fmt.Errorf("there are %d layers before and %d after: take sessions of one model", len(k.Lens), len(other.Lens))
	}
	for l := range k.Lens {
		if len(k.Lens[l]) != len(other.Lens[l]) {
			return fmt.Errorf("layer %d has %d KV heads before and %d after: take sessions of one model", l, len(k.Lens[l]), len(other.Lens[l]))
		}
	}
	return nil
}

// label names the press in a legend.
func (k Kept) label() string {
	if k.Press == "none" || k.Press == "" {
		return "whole cache"
	}
	return k.Press
}

// sortedBudgets draws all heads of the model in the order of their length.
func sortedBudgets(before, after Kept) *Chart {
	p := panel{x: axis{name: "KV heads of all layers, longest first", zero: true}, y: axis{name: "pairs", zero: true}, height: 260}
	var lens []int // of the later one
	for i, k := range []Kept{before, after} {
		lens = slices.Concat(k.Lens...)
		slices.Sort(lens)
		slices.Reverse(lens)
		s := series{mark: line, name: k.label(), color: ink, dashed: true}
		if i == 1 {
			s.mark, s.color, s.dashed = area, hue(0), false
		}
		for _, part := range stretches(len(lens), 300) {
			sum := 0
			for _, n := range lens[part.from:part.to] {
				sum += n
			}
			s.data = append(s.data, datum{x: float64(part.from+part.to) / 2, y: float64(sum) / float64(part.to-part.from)})
		}
		s.data = append(s.data, datum{x: float64(len(lens)), y: s.data[len(s.data)-1].y}) // steps begin and end half a head away
		s.data = append([]datum{{x: 0, y: s.data[0].y}}, s.data...)
		p.series = append(p.series, s)
		p.x.end = float64(len(lens))
	}
	kept, heads, _ := after.sums()
	tenth, top := (heads+9)/10, 0
	for _, n := range lens[:tenth] {
		top += n
	}
	f := &figure{panels: []panel{p}}
	f.title = fmt.Sprintf("%s: the %d longest of %d heads hold %.0f %% of the pairs, from %d down to %d a head", after.Press, tenth, heads, percent(top, kept), lens[0], lens[len(lens)-1])
	had, _, _ := before.sums()
	f.summary = fmt.Sprintf("%d KV heads held %d pairs (%s) and hold %d (%s).", heads, had, before.label(), kept, after.label())
	return f.chart()
}
