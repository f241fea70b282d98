package viz

import (
	"bytes"
	"image/color"
	"math"
	"strconv"

	"github.com/go-echarts/go-echarts/v2/opts"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// cividis are colours that people who see colours differently tell apart, from dark to light.
var cividis = []color.RGBA{
	{0, 34, 78, 255},
	{28, 54, 107, 255},
	{58, 75, 107, 255},
	{82, 94, 110, 255},
	{105, 115, 118, 255},
	{129, 136, 121, 255},
	{155, 158, 115, 255},
	{183, 182, 103, 255},
	{212, 207, 84, 255},
	{242, 233, 56, 255},
	{253, 245, 100, 255},
}

// lineColors are for lines, in the order of Okabe and Ito.
var lineColors = []color.RGBA{{0, 114, 178, 255}, {230, 159, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {213, 94, 0, 255}, {86, 180, 233, 255}, {148, 148, 60, 255}, {120, 120, 120, 255}}

// ink is readable on white and on black.
var ink = color.RGBA{118, 118, 118, 255}

func hexOf(c color.RGBA) string {
	const digits = "0123456789abcdef"
	b := []byte{'#'}
	for _, v := range []uint8{c.R, c.G, c.B} {
		b = append(b, digits[v>>4], digits[v&15])
	}
	return string(b)
}

func hexColors(all []color.RGBA) []string {
	var out []string
	for _, c := range all {
		out = append(out, hexOf(c))
	}
	return out
}

type colors []color.Color

func (c colors) Colors() []color.Color { return c }

// gradient is the palette in so many steps.
func gradient(steps int) palette.Palette {
	var out colors
	for i := range steps {
		at := float64(i) / float64(max(1, steps-1)) * float64(len(cividis)-1)
		j := min(int(at), len(cividis)-2)
		mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + (at-float64(j))*(float64(b)-float64(a)))) }
		a, b := cividis[j], cividis[j+1]
		out = append(out, color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255})
	}
	return out
}

// newPlot is an empty drawing with names on its axes.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Label.TextStyle.Color, a.Tick.Color, a.Tick.Label.Color = ink, ink, ink, ink
	}
	p.Legend.TextStyle.Color = ink
	p.Legend.Top = true
	return p
}

// whole labels an axis of counted things: every one of them, or some when there are many.
type whole struct{ n, first int }

func (w whole) Ticks(_, _ float64) []plot.Tick {
	step := max(1, (w.n+11)/12)
	var out []plot.Tick
	for i := range w.n {
		t := plot.Tick{Value: float64(i)}
		if i%step == 0 {
			t.Label = strconv.Itoa(i + w.first)
		}
		out = append(out, t)
	}
	return out
}

// grid shows a table of numbers to the heat map.
type grid struct {
	rows, cols int
	at         func(row, col int) float64
}

func (g grid) Dims() (c, r int)   { return g.cols, g.rows }
func (g grid) Z(c, r int) float64 { return g.at(r, c) }
func (g grid) X(c int) float64    { return float64(c) }
func (g grid) Y(r int) float64    { return float64(r) }

// heat draws a table of numbers from low to high.
func heat(p *plot.Plot, g grid, low, high float64) {
	h := plotter.NewHeatMap(g, gradient(64))
	h.Min, h.Max = low, high
	h.NaN = ink
	if high <= low {
		h.Max = low + 1
	}
	p.Add(h)
}

// draw turns a plot into SVG, and into PNG when that is wanted.
func (c *Chart) draw(p *plot.Plot) *Chart {
	size := func(n int) vg.Length { return vg.Length(n) * vg.Inch / 96 }
	write := func(format string) ([]byte, error) {
		w, err := p.WriterTo(size(c.width), size(c.height), format)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		_, err = w.WriteTo(&b)
		return b.Bytes(), err
	}
	svg, err := write("svg")
	if err != nil {
		return failed(c.title, err)
	}
	c.svg = string(svg)
	c.png = func() ([]byte, error) { return write("png") }
	return c
}

// Parts of ECharts options that all charts share.

func titleOpts(c *Chart) opts.Title {
	return opts.Title{Title: c.title, TitleStyle: &opts.TextStyle{FontSize: 13, Color: hexOf(ink)}, Left: "center"}
}

func colored(low, high float64, right string) opts.VisualMap {
	return opts.VisualMap{
		Calculable: opts.Bool(true), Min: float32(low), Max: float32(high), Right: "0", Top: "middle", Text: []string{right, ""},
		InRange: &opts.VisualMapInRange{Color: hexColors(cividis)}, TextStyle: &opts.TextStyle{Color: hexOf(ink)},
	}
}
