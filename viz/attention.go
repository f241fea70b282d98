package viz

import (
	"fmt"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Looked is the attention that some queries pay to the pairs of one layer.
type Looked struct {
	Layer     int
	Last      int         // queries, the last ones of the context
	Mean      [][]float64 // [KV head][pair]: mean over the queries, and over the query heads that share the KV head
	Positions [][]int     // [KV head][pair]: token position of each pair
}

// Attention draws how much attention the last queries of the context pay to each token in one layer, a line per KV
// head; layer -1 draws all layers as a map, along the text. Needs a session that recorded hidden states.
func Attention(s *llm.Session, layer, last int) *Chart {
	if layer >= 0 {
		d, err := looked(s, layer, last)
		if err != nil {
			return failed("attention", err)
		}
		return AttentionOf(d)
	}
	var all []Looked
	for l := range s.Lens() {
		d, err := looked(s, l, last)
		if err != nil {
			return failed("attention", err)
		}
		all = append(all, d)
	}
	return AttentionOf(all...)
}

func looked(s *llm.Session, layer, last int) (Looked, error) {
	l, err := s.Layer(layer)
	if err != nil {
		return Looked{}, err
	}
	byHead, err := l.Attention(last, nil)
	if err != nil {
		return Looked{}, err
	}
	mean := l.GroupMean(byHead)
	d := Looked{Layer: layer, Last: last}
	for h := range l.KVHeads {
		positions, err := l.Positions(h)
		if err != nil {
			return Looked{}, err
		}
		row := make([]float64, len(positions))
		for i := range row {
			row[i] = float64(mean.At(h, i))
		}
		d.Mean, d.Positions = append(d.Mean, row), append(d.Positions, positions)
	}
	return d, nil
}

// AttentionOf is Attention for numbers from elsewhere: lines for one layer, a map for several.
func AttentionOf(layers ...Looked) *Chart {
	tokens := 0
	for _, d := range layers {
		if len(d.Mean) != len(d.Positions) {
			return failed("attention", fmt.Errorf("layer %d: numbers of %d heads and positions of %d", d.Layer, len(d.Mean), len(d.Positions)))
		}
		for h := range d.Mean {
			if len(d.Mean[h]) != len(d.Positions[h]) {
				return failed("attention", fmt.Errorf("layer %d head %d: %d numbers for %d positions", d.Layer, h, len(d.Mean[h]), len(d.Positions[h])))
			}
			for _, at := range d.Positions[h] {
				if at < 0 || at >= mostTokens {
					return failed("attention", fmt.Errorf("layer %d head %d: there is no position %d", d.Layer, h, at))
				}
				tokens = max(tokens, at+1)
			}
		}
	}
	if tokens == 0 {
		return failed("attention", fmt.Errorf("there are no pairs to look at"))
	}
	if len(layers) == 1 {
		return attentionLines(layers[0], tokens)
	}
	return attentionMap(layers, tokens)
}

// mostTokens is more than any text has.
const mostTokens = 1 << 27

// attentionLines draws one layer.
func attentionLines(d Looked, tokens int) *Chart {
	p := panel{x: axis{name: along("token", tokens), zero: true, end: float64(tokens)}, y: axis{name: "attention"}, height: 300}
	top, where, head := 0.0, 0, 0
	for h, row := range d.Mean {
		byToken := make([]float64, tokens) // what a head no longer holds gets no attention: a gap
		for at := range byToken {
			byToken[at] = math.NaN()
		}
		for i, v := range row {
			byToken[d.Positions[h][i]] = v
			if v > top {
				top, where, head = v, d.Positions[h][i], h
			}
		}
		p.series = append(p.series, series{mark: line, name: fmt.Sprintf("head %d", h), color: hue(h), data: pointsOf(pool(byToken, pooled))})
	}
	p.y.log = wide(p.series)
	f := &figure{panels: []panel{p}}
	f.title = fmt.Sprintf("layer %d: the last %d queries look most at token %d (%.1f %% of head %d's attention)", d.Layer, d.Last, where, 100*top, head)
	f.summary = fmt.Sprintf("%d KV heads, mean over the query heads that share one.", len(d.Mean))
	return f.chart()
}

// attentionMap draws several layers: a row of stretches of text for each.
func attentionMap(layers []Looked, tokens int) *Chart {
	columns := max(1, min(tokens, 60, mostMarks/len(layers)))
	stretch := (tokens + columns - 1) / columns
	columns = (tokens + stretch - 1) / stretch
	grid := series{mark: cells}
	p := panel{x: axis{name: "first token of each stretch of text"}, y: axis{name: "layer"}, scale: "% of the attention, or more", height: max(80, min(420, 18*len(layers)))}
	var best datum
	for row, d := range layers {
		share := make([]float64, columns)
		for h := range d.Mean {
			for i, v := range d.Mean[h] {
				if finite(v) {
					share[d.Positions[h][i]/stretch] += 100 * v / float64(len(d.Mean))
				}
			}
		}
		for col, v := range share {
			mark := datum{x: float64(col), y: float64(row), z: v}
			mark.hint = fmt.Sprintf("layer %d, tokens %d to %d: %.2g %%", d.Layer, col*stretch, min(tokens, (col+1)*stretch)-1, v)
			grid.data = append(grid.data, mark)
			if col > 0 && v > best.z {
				best = mark
			}
		}
		p.y.places = append(p.y.places, fmt.Sprint(d.Layer))
	}
	for col := range columns {
		p.x.places = append(p.x.places, fmt.Sprint(col*stretch))
	}
	// The first tokens often take nearly everything: the colours end where nineteen of twenty cells do.
	var sorted []float64
	for _, d := range grid.data {
		sorted = append(sorted, d.z)
	}
	slices.Sort(sorted)
	p.high = sorted[len(sorted)*19/20]
	if p.high <= 0 {
		p.high = 100
	}
	p.series = []series{grid}
	first := 0.0
	for _, d := range grid.data {
		if d.x == 0 {
			first += d.z / float64(len(layers))
		}
	}
	f := &figure{panels: []panel{p}}
	f.title = fmt.Sprintf("attention of the last %d queries: %.0f %% falls on the first %d tokens; behind them, layer %d looks most at tokens %d to %d",
		layers[0].Last, first, stretch, layers[int(best.y)].Layer, int(best.x)*stretch, min(tokens, (int(best.x)+1)*stretch)-1)
	f.summary = fmt.Sprintf("%d layers, stretches of %d tokens, mean over all heads.", len(layers), stretch)
	return f.chart()
}
