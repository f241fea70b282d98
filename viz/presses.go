package viz

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Presses draws what many presses keep of one text on one picture: a row for each press, along the text the share of
// the heads that keep it.
func Presses(sessions ...*llm.Session) *Chart {
	var all []Tokens
	for _, s := range sessions {
		all = append(all, TokensOf(s))
	}
	return PressesOf(all...)
}

// PressesOf is Presses for plans from elsewhere.
func PressesOf(all ...Tokens) *Chart {
	if len(all) == 0 || len(all[0].Texts) == 0 {
		return failed("presses", fmt.Errorf("there is nothing to draw: give sessions of one text"))
	}
	if len(all) > 60 {
		return failed("presses", fmt.Errorf("%d presses are more than one picture can show: give at most 60", len(all)))
	}
	n := len(all[0].Texts)
	text := stretches(n, min(60, 2*mostMarks/len(all)))
	p := panel{x: axis{name: "first token of each stretch of text"}, scale: "% of the heads keep it", high: 100, height: 40 + 17*len(all)}
	for _, s := range text {
		p.x.places = append(p.x.places, fmt.Sprint(s.from))
	}
	grid := series{mark: cells}
	even, uneven := -1, -1 // rows whose shares differ least and most along the text
	var spread []float64
	for row := range all {
		t := all[len(all)-1-row] // the first one stands on top
		if len(t.Texts) != n {
			return failed("presses", fmt.Errorf("%s: %d tokens, %s: %d: press one session", t.Press, len(t.Texts), all[0].Press, n))
		}
		c, err := t.count(-1, -1)
		if err != nil {
			return failed("presses", fmt.Errorf("%s: %w", t.Press, err))
		}
		low, high := 100.0, 0.0
		for col, s := range text {
			sum := 0
			for _, kept := range c.kept[s.from:s.to] {
				sum += kept
			}
			share := percent(sum, c.heads*(s.to-s.from))
			low, high = min(low, share), max(high, share)
			grid.data = append(grid.data, datum{x: float64(col), y: float64(row), z: share, hint: fmt.Sprintf("%s: tokens %s: %.0f %% of the heads", t.Press, s.name, share)})
		}
		spread = append(spread, high-low)
		if even < 0 || spread[row] < spread[even] {
			even = row
		}
		if uneven < 0 || spread[row] > spread[uneven] {
			uneven = row
		}
		p.y.places = append(p.y.places, t.Press)
	}
	p.series = []series{grid}
	f := &figure{panels: []panel{p}}
	f.title = fmt.Sprintf("%d presses on %d tokens: %s treats all parts of the text most alike, %s least", len(all), n, p.y.places[even], p.y.places[uneven])
	if len(all) == 1 {
		f.title = fmt.Sprintf("%s on %d tokens", all[0].Press, n)
	}
	for i, name := range p.y.places {
		f.summary += fmt.Sprintf("%s: the share of heads differs by %.0f points along the text\n", name, spread[i])
	}
	return f.chart()
}
