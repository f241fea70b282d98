package viz

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// px is a length in pixels of a screen with 96 to the inch.
func px(n float64) vg.Length { return vg.Length(n) * vg.Inch / 96 }

// bold is the weight 700 as fonts count it: 3 steps of 100 above the normal 400.
const bold = 3

func letters(size float64) text.Style {
	return text.Style{Color: ink, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, px(size)), Handler: plot.DefaultTextHandler}
}

// svg draws the figure as SVG.
func (f *figure) svg() (string, error) {
	c := newSVG(px(width), px(float64(f.height())))
	text, err := f.picture(c, c)
	return string(text), err
}

// png draws the figure as dots on a transparent ground.
func (f *figure) png() ([]byte, error) {
	c := vgimg.NewWith(vgimg.UseWH(px(width), px(float64(f.height()))), vgimg.UseBackgroundColor(color.Transparent))
	return f.picture(c, vgimg.PngCanvas{Canvas: c})
}

// picture draws on a canvas and returns what it then writes. The plotting library panics on numbers that it cannot
// label; that becomes an error.
func (f *figure) picture(sized vg.CanvasSizer, out io.WriterTo) (text []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be drawn: %v", r)
		}
	}()
	c := draw.New(sized)
	top := f.drawHead(c)
	plots, canvases := make([]*plot.Plot, len(f.panels)), make([]draw.Canvas, len(f.panels))
	var left vg.Length
	for i, p := range f.panels {
		plots[i] = p.plot()
		canvases[i] = draw.Crop(c, px(8), -px(rightEdge), 0, 0)
		canvases[i].Max.Y = top
		top -= px(float64(p.height + axisRoom))
		canvases[i].Min.Y = top + px(8)
		left = max(left, plots[i].DataCanvas(canvases[i]).Min.X)
	}
	for i, p := range plots {
		canvases[i].Min.X += left - p.DataCanvas(canvases[i]).Min.X
		p.Draw(canvases[i])
	}
	var b bytes.Buffer
	_, err = out.WriteTo(&b)
	return b.Bytes(), err
}

// drawHead writes the title, the legend and the scale of colours, and returns where they end.
func (f *figure) drawHead(c draw.Canvas) vg.Length {
	y := c.Max.Y - px(10)
	title := letters(14)
	title.Font.Weight = bold
	title.YAlign = draw.YTop
	for _, row := range f.titleLines() {
		c.FillText(title, vg.Point{X: c.Min.X + px(10), Y: y}, row)
		y -= px(titleLine)
	}
	name := letters(12)
	name.YAlign = draw.YCenter
	for _, row := range f.legend() {
		x := c.Min.X + px(10)
		y -= px(legendLine)
		middle := y + px(legendLine)/2
		for _, s := range row {
			s.sign(&c, x, middle)
			c.FillText(name, vg.Point{X: x + px(26), Y: middle}, s.name)
			x += px(legendWidth(s.name))
		}
	}
	if p := f.scaled(); p != nil {
		y -= px(30)
		x, middle := c.Min.X+px(10), y+px(15)
		low, high := brief(p.low), brief(p.high)
		c.FillText(name, vg.Point{X: x, Y: middle}, low)
		x += name.Width(low) + px(6)
		const steps = 40
		for i := range steps {
			fill(&c, shade(float64(i)/(steps-1)), x, middle-px(6), x+px(4.2), middle+px(6))
			x += px(4)
		}
		c.FillText(name, vg.Point{X: x + px(6), Y: middle}, high+" "+p.scale)
	}
	return y - px(8)
}

// sign draws what stands for the series in the legend.
func (s series) sign(c *draw.Canvas, x, y vg.Length) {
	switch s.mark {
	case line:
		c.StrokeLine2(s.stroke(), x, y, x+px(20), y)
	case points:
		c.DrawGlyph(draw.GlyphStyle{Color: s.color, Radius: px(4), Shape: draw.CircleGlyph{}}, vg.Point{X: x + px(10), Y: y})
	default:
		fill(c, s.color, x+px(4), y-px(5), x+px(18), y+px(5))
	}
}

func (s series) stroke() draw.LineStyle {
	style := draw.LineStyle{Color: s.color, Width: px(1.8)}
	if s.dashed {
		style.Dashes = []vg.Length{px(6), px(4)}
	}
	return style
}

func fill(c *draw.Canvas, ground color.Color, x0, y0, x1, y1 vg.Length) {
	c.FillPolygon(ground, []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
}

// plot makes the panel's axes with everything on them.
func (p panel) plot() *plot.Plot {
	g := plot.New()
	g.BackgroundColor = nil
	g.X.Padding, g.Y.Padding = 0, 0
	p.x.onto(&g.X)
	p.y.onto(&g.Y)
	for _, z := range p.zones {
		g.Add(boxes{{x0: z.from, x1: z.to, y0: math.NaN(), y1: math.NaN(), color: zoned}})
	}
	g.Add(behind{p}, p.boxes())
	for _, s := range p.series {
		switch s.mark {
		case line, area:
			for _, part := range s.runs() {
				l, err := plotter.NewLine(part)
				if err != nil {
					continue // runs gives numbers only
				}
				l.LineStyle = s.stroke()
				if s.mark == area {
					l.StepStyle = plotter.MidStep
					l.FillColor = faded(s.color)
				}
				g.Add(l)
			}
		case points:
			var dots plotter.XYs
			for _, part := range s.runs() {
				dots = append(dots, part...)
			}
			if d, err := plotter.NewScatter(dots); err == nil {
				d.GlyphStyle = draw.GlyphStyle{Color: s.color, Radius: px(3.5), Shape: draw.CircleGlyph{}}
				g.Add(d)
			}
		}
	}
	p.x.limit(&g.X)
	p.y.limit(&g.Y)
	return g
}

func faded(c color.Color) color.Color {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	n.A = 70
	return n
}

// runs are the stretches of a series without a gap.
func (s series) runs() []plotter.XYs {
	var all []plotter.XYs
	open := false
	for _, d := range s.data {
		if !finite(d.x) || !finite(d.y) {
			open = false
			continue
		}
		if !open {
			all, open = append(all, nil), true
		}
		all[len(all)-1] = append(all[len(all)-1], plotter.XY{X: d.x, Y: d.y})
	}
	return all
}

// onto gives a gonum axis its name, its scale and its colours.
func (a axis) onto(g *plot.Axis) {
	g.Label.Text = a.name
	rotation := g.Label.TextStyle.Rotation
	g.Label.TextStyle.Font, g.Label.TextStyle.Color = letters(12).Font, ink
	g.Label.TextStyle.Rotation = rotation
	g.Label.Padding = px(4)
	g.Tick.Label.Font, g.Tick.Label.Color = letters(12).Font, ink
	g.LineStyle.Color, g.Tick.LineStyle.Color = ink, ink
	g.Tick.Length = px(4)
	switch {
	case a.places != nil:
		g.Tick.Marker = places(a.places)
		g.Tick.Length = 0
	case a.log:
		g.Scale, g.Tick.Marker = plot.LogScale{}, powers{}
	default:
		g.Tick.Marker = steps{}
	}
}

// limit sets where a gonum axis begins and ends, once it knows the numbers.
func (a axis) limit(g *plot.Axis) {
	if a.places != nil {
		g.Min, g.Max = -0.5, float64(len(a.places))-0.5
		return
	}
	if a.log {
		if g.Max <= g.Min {
			g.Min, g.Max = g.Min/2, g.Max*2
		}
		return
	}
	room := 0.04 * (g.Max - g.Min)
	if a.zero {
		g.Min = math.Min(0, g.Min)
	} else {
		g.Min -= room
	}
	g.Max += room
	if a.end > 0 {
		g.Max = a.end
	}
}
