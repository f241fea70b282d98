package viz

import (
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Compare draws where two presses of one text agree: for each layer the pairs that both keep, only one of them, or
// none, and along the text the share of the heads that only one of them keeps.
func Compare(a, b *llm.Session) *Chart { return CompareOf(TokensOf(a), TokensOf(b)) }

// agreement counts pairs: of both, of a alone, of b alone, of none.
type agreement [4]int

func (g agreement) all() int { return g[0] + g[1] + g[2] + g[3] }

// CompareOf is Compare for plans from elsewhere.
func CompareOf(a, b Tokens) *Chart {
	byLayer, byToken, err := agree(a, b)
	if err != nil {
		return failed("comparison", err)
	}
	var sum agreement
	for _, g := range byLayer {
		sum.add(g)
	}
	kinds := []string{"kept by both", "only " + a.Press, "only " + b.Press, "kept by none"}
	if a.Press == b.Press { // equal names would be one entry of the legend
		kinds[1], kinds[2] = "only the first "+a.Press, "only the second "+b.Press
	}
	f := &figure{}
	f.title = fmt.Sprintf("of %d pairs, both %s and %s keep %.0f %%, only the first %.0f %%, only the second %.0f %%", sum.all(), a.Press, b.Press, percent(sum[0], sum.all()), percent(sum[1], sum.all()), percent(sum[2], sum.all()))
	if most := lonely(byLayer); most >= 0 {
		f.summary = fmt.Sprintf("They differ most in layer %d. ", most)
	}
	f.summary += fmt.Sprintf("%d pairs are kept by both, %d only by %s, %d only by %s, %d by none.", sum[0], sum[1], a.Press, sum[2], b.Press, sum[3])

	layers := panel{x: axis{name: "layer"}, y: axis{name: "% of the pairs", zero: true, end: 100}, height: 200}
	text := panel{x: axis{name: "token", zero: true, end: float64(len(byToken))}, y: axis{name: "% of the heads", zero: true}, height: 150}
	bars4 := make([]series, len(kinds))
	for kind, name := range kinds {
		bars4[kind] = series{mark: bars, stacked: true, name: name, color: hues[[]int{2, 0, 1, 7}[kind]]}
	}
	for _, part := range stretches(len(byLayer), mostMarks/2/len(kinds)) {
		var g agreement
		for _, one := range byLayer[part.from:part.to] {
			g.add(one)
		}
		for kind, name := range kinds {
			y := percent(g[kind], g.all())
			bars4[kind].data = append(bars4[kind].data, datum{x: float64(len(layers.x.places)), y: y, hint: fmt.Sprintf("layer %s: %d pairs %s (%.1f %%)", part.name, g[kind], name, y)})
		}
		layers.x.places = append(layers.x.places, part.name)
	}
	layers.series = bars4
	for kind := 1; kind <= 2; kind++ {
		s := series{mark: line, name: kinds[kind], color: bars4[kind].color}
		for _, part := range stretches(len(byToken), pooled/2) {
			var g agreement
			for _, one := range byToken[part.from:part.to] {
				g.add(one)
			}
			s.data = append(s.data, datum{x: float64(part.from+part.to-1) / 2, y: percent(g[kind], g.all())})
		}
		text.series = append(text.series, s)
	}
	f.panels = []panel{layers, text}
	return f.chart()
}

func (g *agreement) add(other agreement) {
	for i, n := range other {
		g[i] += n
	}
}

// lonely is the layer where most pairs are kept by one press alone, -1 if there is none.
func lonely(byLayer []agreement) int {
	at, most := -1, 0
	for l, g := range byLayer {
		if g[1]+g[2] > most {
			at, most = l, g[1]+g[2]
		}
	}
	return at
}

// agree counts the pairs of two presses by layer and by token.
func agree(a, b Tokens) (byLayer, byToken []agreement, err error) {
	n := len(a.Texts)
	if n == 0 || len(a.Keep) == 0 {
		return nil, nil, fmt.Errorf("there are no pairs to compare")
	}
	if len(b.Texts) != n || len(a.Keep) != len(b.Keep) {
		return nil, nil, fmt.Errorf("%d tokens in %d layers and %d tokens in %d layers cannot be compared: press the same session twice", n, len(a.Keep), len(b.Texts), len(b.Keep))
	}
	byLayer, byToken = make([]agreement, len(a.Keep)), make([]agreement, n)
	for l := range a.Keep {
		if len(a.Keep[l]) != len(b.Keep[l]) {
			return nil, nil, fmt.Errorf("layer %d has %d KV heads and %d: press the same session twice", l, len(a.Keep[l]), len(b.Keep[l]))
		}
		for h := range a.Keep[l] {
			for at := range n {
				_, first := slices.BinarySearch(a.Keep[l][h], at)
				_, second := slices.BinarySearch(b.Keep[l][h], at)
				kind := 3
				switch {
				case first && second:
					kind = 0
				case first:
					kind = 1
				case second:
					kind = 2
				}
				byLayer[l][kind]++
				byToken[at][kind]++
			}
		}
	}
	return byLayer, byToken, nil
}
