package viz

import (
	"fmt"
	"math"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// A Line is a row of points with a name.
type Line struct {
	Name string
	X, Y []float64
	Dash bool // drawn with gaps, in the colour of the line before: a limit, not a measurement
}

// lines draws lines over named axes. Points that are not numbers are left out.
func (c *Chart) lines(x, y string, all []Line) *Chart {
	p := newPlot(x, y)
	p.Title.Text, p.Title.TextStyle.Color = c.title, ink
	e := charts.NewLine()
	e.SetGlobalOptions(
		charts.WithTitleOpts(titleOpts(c)),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "axis"}),
		charts.WithXAxisOpts(opts.XAxis{Type: "value", Name: x, NameLocation: "middle", NameGap: 28, Scale: opts.Bool(true)}),
		charts.WithYAxisOpts(opts.YAxis{Type: "value", Name: y, Scale: opts.Bool(true)}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(true), Bottom: "0", TextStyle: &opts.TextStyle{Color: hexOf(ink)}}),
		charts.WithGridOpts(opts.Grid{Right: "40", Left: "70", Bottom: "80", Top: "50"}),
		charts.WithAnimation(false),
	)
	drawn, hue := 0, -1
	for _, line := range all {
		if !line.Dash || hue < 0 {
			hue++
		}
		color := lineColors[hue%len(lineColors)]
		var points plotter.XYs
		var data []opts.LineData
		for j := range min(len(line.X), len(line.Y)) {
			if math.IsNaN(line.Y[j]) || math.IsInf(line.Y[j], 0) {
				continue
			}
			points = append(points, plotter.XY{X: line.X[j], Y: line.Y[j]})
			data = append(data, opts.LineData{Value: [2]float64{round(line.X[j]), round(line.Y[j])}})
		}
		if len(points) == 0 {
			continue
		}
		drawn++
		l, err := plotter.NewLine(points)
		if err != nil {
			return failed(c.title, err)
		}
		l.Color, l.Width = color, vg.Points(1.4)
		style, symbols := "solid", len(points) <= 20
		if line.Dash {
			l.Dashes, style, symbols = []vg.Length{vg.Points(4), vg.Points(3)}, "dashed", false
		}
		p.Add(l)
		p.Legend.Add(line.Name, l)
		e.AddSeries(line.Name, data, charts.WithLineChartOpts(opts.LineChart{ShowSymbol: opts.Bool(symbols)}),
			charts.WithLineStyleOpts(opts.LineStyle{Color: hexOf(color), Width: 1.5, Type: style}), charts.WithItemStyleOpts(opts.ItemStyle{Color: hexOf(color)}))
	}
	if drawn == 0 {
		return failed(c.title, fmt.Errorf("there are no numbers to draw"))
	}
	e.Validate()
	c.option = e.JSON()
	return c.draw(p)
}

// round keeps five digits: more cannot be seen and make pages long.
func round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	scale := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// pooled shortens a row of numbers to at most n, each the largest of its neighbours, at the middle of their places.
func pooled(y []float64, n int) (x, out []float64) {
	step := max(1, (len(y)+n-1)/n)
	for from := 0; from < len(y); from += step {
		top := math.Inf(-1)
		for _, v := range y[from:min(len(y), from+step)] {
			if v == v {
				top = max(top, v)
			}
		}
		x, out = append(x, float64(from)+float64(min(step, len(y)-from)-1)/2), append(out, top)
	}
	return x, out
}
