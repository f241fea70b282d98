package viz

import (
	"fmt"
	"strconv"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Kept is how many pairs each KV head of each layer holds.
type Kept struct {
	Press string  // how they were chosen
	Lens  [][]int // [layer][KV head]
	Full  int     // pairs of a head before
}

// KeptOf reads a session.
func KeptOf(s *llm.Session) Kept { return Kept{Press: s.PressName(), Lens: s.Lens(), Full: s.Len()} }

// Retained draws how many pairs every layer and KV head of a session keeps.
func Retained(s *llm.Session) *Chart { return RetainedPairs(KeptOf(s)) }

// RetainedPairs is Retained for numbers that come from elsewhere.
func RetainedPairs(k Kept) *Chart {
	if len(k.Lens) == 0 || len(k.Lens[0]) == 0 {
		return failed("pairs kept", fmt.Errorf("there are no layers to draw"))
	}
	layers, heads := len(k.Lens), 0
	total, most, least := 0, [3]int{-1}, [3]int{-1}
	for l, lens := range k.Lens {
		heads = max(heads, len(lens))
		for h, n := range lens {
			total += n
			if most[0] < 0 || n > most[2] {
				most = [3]int{l, h, n}
			}
			if least[0] < 0 || n < least[2] {
				least = [3]int{l, h, n}
			}
		}
	}
	c := &Chart{width: 760, height: max(220, min(640, 90+22*heads))}
	if layers > heads*4 {
		c.width = 900
	}
	if most[2] == least[2] {
		c.title = fmt.Sprintf("%s: every head keeps %d of %d pairs", k.Press, most[2], k.Full)
	} else {
		c.title = fmt.Sprintf("%s: layer %d head %d keeps %d of %d pairs, layer %d head %d keeps %d", k.Press, most[0], most[1], most[2], k.Full, least[0], least[1], least[2])
	}
	all := layers * heads * k.Full
	c.summary = fmt.Sprintf("%d layers of %d KV heads keep %d of %d pairs (%.1f %%).", layers, heads, total, all, 100*float64(total)/float64(max(1, all)))

	p := newPlot(fmt.Sprintf("layer (dark: no pairs kept, bright: all %d)", k.Full), "KV head")
	at := func(h, l int) float64 {
		if h >= len(k.Lens[l]) {
			return 0
		}
		return float64(k.Lens[l][h])
	}
	heat(p, grid{rows: heads, cols: layers, at: at}, 0, float64(k.Full))
	p.X.Tick.Marker, p.Y.Tick.Marker = whole{n: layers}, whole{n: heads}
	p.Title.Text, p.Title.TextStyle.Color = c.title, ink

	m := charts.NewHeatMap()
	var data []opts.HeatMapData
	for l, lens := range k.Lens {
		for h, n := range lens {
			data = append(data, opts.HeatMapData{Value: [3]int{l, h, n}})
		}
	}
	m.SetGlobalOptions(
		charts.WithTitleOpts(titleOpts(c)),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Formatter: "{c}"}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(false)}),
		charts.WithXAxisOpts(opts.XAxis{Type: "category", Name: "layer", Data: numbers(layers), SplitArea: &opts.SplitArea{Show: opts.Bool(true)}}),
		charts.WithYAxisOpts(opts.YAxis{Type: "category", Name: "KV head", Data: numbers(heads), SplitArea: &opts.SplitArea{Show: opts.Bool(true)}}),
		charts.WithVisualMapOpts(colored(0, float64(k.Full), "pairs kept")),
		charts.WithGridOpts(opts.Grid{Right: "110", Left: "70", Bottom: "50", Top: "50"}),
		charts.WithAnimation(false),
	)
	m.AddSeries("pairs kept (layer, head, pairs)", data)
	m.Validate()
	c.option = m.JSON()
	return c.draw(p)
}

// numbers lists 0 .. n-1 as names.
func numbers(n int) []string {
	var out []string
	for i := range n {
		out = append(out, strconv.Itoa(i))
	}
	return out
}
