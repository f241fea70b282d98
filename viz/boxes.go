package viz

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A box is a rectangle in the numbers of the axes. Where y0 is no number, it is as high as the panel.
type box struct {
	x0, x1, y0, y1 float64
	color          color.Color
	gap            bool // leaves a little air around it
}

type boxes []box

// boxes are the bars and cells of a panel. Bars of one place stand side by side, or on top of each other when stacked.
func (p panel) boxes() boxes {
	groups := 0
	for _, s := range p.series {
		if s.mark == bars && !s.stacked {
			groups++
		}
	}
	var all boxes
	group, on := -1, map[float64]float64{}
	lying := p.y.places != nil
	for _, s := range p.series {
		if s.mark == bars && !s.stacked {
			group, on = group+1, map[float64]float64{}
		}
		for _, d := range s.data {
			if !finite(d.x) || !finite(d.y) || !finite(d.z) {
				continue
			}
			switch s.mark {
			case cells:
				share := (d.z - p.low) / (p.high - p.low)
				if p.high <= p.low {
					share = 0
				}
				all = append(all, box{x0: d.x - 0.5, x1: d.x + 0.5, y0: d.y - 0.5, y1: d.y + 0.5, color: shade(share), gap: true})
			case bars:
				place, length := d.x, d.y
				if lying {
					place, length = d.y, d.x
				}
				wide := 0.8 / float64(max(1, groups))
				from := place - 0.4 + wide*float64(max(0, group))
				b := box{x0: from, x1: from + wide, y0: on[place], y1: on[place] + length, color: s.color}
				on[place] += length
				if lying {
					b.x0, b.x1, b.y0, b.y1 = b.y0, b.y1, b.x0, b.x1
				}
				all = append(all, b)
			}
		}
	}
	return all
}

// Plot draws the boxes. It is a plot.Plotter.
func (all boxes) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	for _, b := range all {
		x0, x1, y0, y1 := toX(b.x0), toX(b.x1), c.Min.Y, c.Max.Y
		if !math.IsNaN(b.y0) {
			y0, y1 = toY(b.y0), toY(b.y1)
		}
		if b.gap && x1-x0 > px(4) && y1-y0 > px(4) {
			x1, y1 = x1-px(1), y1-px(1)
		}
		inside := c.ClipPolygonXY([]vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
		c.FillPolygon(b.color, inside)
	}
}

// DataRange is what the axes must show. It is a plot.DataRanger.
func (all boxes) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, xmax, ymin, ymax = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, b := range all {
		xmin, xmax = min(xmin, b.x0, b.x1), max(xmax, b.x0, b.x1)
		if !math.IsNaN(b.y0) {
			ymin, ymax = min(ymin, b.y0, b.y1), max(ymax, b.y0, b.y1)
		}
	}
	return xmin, xmax, ymin, ymax
}

// behind draws what lies behind the data: lines at the labels of continuous axes, and the names of zones.
type behind struct{ panel }

// Plot draws them. It is a plot.Plotter.
func (b behind) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	thin := draw.LineStyle{Color: faint, Width: px(1)}
	if b.y.places == nil {
		for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
			if y := toY(t.Value); t.Label != "" && y >= c.Min.Y && y <= c.Max.Y {
				c.StrokeLine2(thin, c.Min.X, y, c.Max.X, y)
			}
		}
	}
	if b.y.places != nil && b.x.places == nil {
		for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
			if x := toX(t.Value); t.Label != "" && x >= c.Min.X && x <= c.Max.X {
				c.StrokeLine2(thin, x, c.Min.Y, x, c.Max.Y)
			}
		}
	}
	style := letters(11)
	style.YAlign = draw.YTop
	for _, z := range b.zones {
		x := toX(z.from)
		if x+style.Width(z.name) > c.Max.X {
			style.XAlign, x = draw.XRight, min(c.Max.X, toX(z.to))
		}
		c.FillText(style, vg.Point{X: x, Y: c.Max.Y - px(2)}, z.name)
		style.XAlign = draw.XLeft
	}
}
