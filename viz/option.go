package viz

import (
	"encoding/json"
	"fmt"
	"image/color"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"
	"github.com/go-echarts/go-echarts/v2/types"
)

// option is the figure as ECharts takes it, as plain data.
func (f *figure) option() (map[string]interface{}, error) {
	c := charts.NewBar() // any chart with two axes: it holds series of every type
	c.XAxisList, c.YAxisList = nil, nil
	c.SetGlobalOptions(
		charts.WithAnimation(false),
		charts.WithTitleOpts(opts.Title{
			Title: strings.Join(f.titleLines(), "\n"), Left: "5", Top: "8",
			TitleStyle: &opts.TextStyle{Color: css(ink), FontSize: 14, LineHeight: titleLine},
		}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "item", Formatter: "{b}"}),
	)
	top := 10 + titleLine*len(f.titleLines())
	if rows := len(f.legend()); rows > 0 {
		c.SetGlobalOptions(charts.WithLegendOpts(opts.Legend{Type: "scroll", Left: "5", Top: strconv.Itoa(top), TextStyle: &opts.TextStyle{Color: css(ink)}}))
		top += legendLine * rows
	} else {
		c.SetGlobalOptions(charts.WithLegendOpts(opts.Legend{Show: opts.Bool(false)}))
	}
	if p := f.scaled(); p != nil {
		c.SetGlobalOptions(charts.WithVisualMapOpts(opts.VisualMap{
			Calculable: opts.Bool(false), Min: float32(p.low), Max: float32(p.high), Orient: "horizontal", Left: "5", Top: strconv.Itoa(top),
			Text: []string{brief(p.high) + " " + p.scale, brief(p.low)}, TextStyle: &opts.TextStyle{Color: css(ink)}, InRange: &opts.VisualMapInRange{Color: scaleColors()},
		}))
	}
	top = f.head()
	left := f.leftEdge()
	for i, p := range f.panels {
		grid := opts.Grid{Left: strconv.Itoa(left), Right: strconv.Itoa(rightEdge), Top: strconv.Itoa(top), Height: strconv.Itoa(p.height)}
		if p.tellsColumn() {
			grid.Tooltip = &opts.Tooltip{Show: opts.Bool(true), Trigger: "axis"}
		}
		c.GridList = append(c.GridList, grid)
		c.XAxisList = append(c.XAxisList, p.x.across(i))
		c.YAxisList = append(c.YAxisList, p.y.up(i, left))
		for _, s := range p.series {
			c.MultiSeries = append(c.MultiSeries, p.single(s, i))
		}
		p.markZones(c.MultiSeries[len(c.MultiSeries)-len(p.series):])
		top += p.height + axisRoom
	}
	option, err := plain(c.JSON())
	if err != nil {
		return nil, err
	}
	option["backgroundColor"] = "transparent"
	// go-echarts cannot say how large a scale is, nor which series it colours; bars would be coloured too.
	if scales, ok := option["visualMap"].([]interface{}); ok {
		for _, s := range scales {
			if scale, ok := s.(map[string]interface{}); ok {
				scale["seriesIndex"], scale["itemWidth"], scale["itemHeight"] = f.cellSeries(), 12, 160
			}
		}
	}
	return option, nil
}

// plain turns structs into maps, lists, numbers and texts.
func plain(v interface{}) (map[string]interface{}, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot be written as JSON: %w", err)
	}
	var m map[string]interface{}
	return m, json.Unmarshal(text, &m)
}

func scaleColors() []string {
	var all []string
	for _, c := range viridis {
		all = append(all, css(c))
	}
	return all
}

// cellSeries are the numbers of the series made of cells.
func (f *figure) cellSeries() []int {
	var all []int
	n := 0
	for _, p := range f.panels {
		for _, s := range p.series {
			if s.mark == cells {
				all = append(all, n)
			}
			n++
		}
	}
	return all
}

// leftEdge is the room for names and labels of the y axes.
func (f *figure) leftEdge() int {
	longest := 6
	for _, p := range f.panels {
		for _, name := range p.y.places {
			longest = max(longest, utf8.RuneCountInString(name))
		}
	}
	return 36 + int(letter*float64(longest))
}

// tellsColumn reports whether the pointer shows all numbers at its x: in panels of lines, whose points have no hints.
func (p panel) tellsColumn() bool {
	for _, s := range p.series {
		for _, d := range s.data {
			if d.hint != "" {
				return false
			}
		}
	}
	return true
}

// across is the x axis of panel i.
func (a axis) across(i int) opts.XAxis {
	x := opts.XAxis{GridIndex: i, Type: a.kind(), Name: a.name, NameLocation: "middle", NameGap: 28, Scale: opts.Bool(!a.zero)}
	x.AxisLabel, x.AxisLine = &opts.AxisLabel{Color: css(ink), HideOverlap: opts.Bool(true)}, axisLine()
	if a.places != nil {
		x.Data = a.places
	} else {
		x.SplitLine = splitLine()
	}
	if a.end > 0 {
		x.Max = a.end
	}
	return x
}

// up is the y axis of panel i.
func (a axis) up(i, left int) opts.YAxis {
	gap := left - 22 // names of places fill the room
	if a.places == nil {
		gap = min(gap, 54)
	}
	y := opts.YAxis{GridIndex: i, Type: a.kind(), Name: a.name, NameLocation: "middle", NameGap: gap, Scale: opts.Bool(!a.zero)}
	y.AxisLabel, y.AxisLine = &opts.AxisLabel{Show: opts.Bool(true), Color: css(ink)}, axisLine()
	if a.places != nil {
		y.Data = a.places
	} else {
		y.SplitLine = splitLine()
	}
	if a.end > 0 {
		y.Max = a.end
	}
	return y
}

func (a axis) kind() string {
	switch {
	case a.places != nil:
		return "category"
	case a.log:
		return "log"
	}
	return "value"
}

func axisLine() *opts.AxisLine {
	return &opts.AxisLine{Show: opts.Bool(true), OnZero: opts.Bool(false), LineStyle: &opts.LineStyle{Color: css(ink)}}
}

func splitLine() *opts.SplitLine {
	return &opts.SplitLine{Show: opts.Bool(true), LineStyle: &opts.LineStyle{Color: css(faint)}}
}

// item is a datum as ECharts reads it.
type item struct {
	Name  string      `json:"name,omitempty"`
	Value interface{} `json:"value"`
}

// value is a number, or nil where there is none.
func value(v float64) interface{} {
	if !finite(v) {
		return nil
	}
	return round(v)
}

// single is a series of panel i.
func (p panel) single(s series, i int) charts.SingleSeries {
	one := charts.SingleSeries{Name: s.name, XAxisIndex: i, YAxisIndex: i}
	data := make([]item, 0, len(s.data))
	for _, d := range s.data {
		v := []interface{}{value(d.x), value(d.y)}
		if s.mark == cells {
			v = append(v, value(d.z))
		}
		data = append(data, item{Name: d.hint, Value: v})
	}
	one.Data = data
	paint := ""
	if s.color != nil {
		paint = css(s.color)
		one.ItemStyle = &opts.ItemStyle{Color: paint}
	}
	switch s.mark {
	case line, area:
		one.Type = types.ChartLine
		one.ShowSymbol = opts.Bool(len(data) <= 20 && !s.dashed)
		one.LineStyle = &opts.LineStyle{Color: paint, Width: 1.8, Type: "solid"}
		if s.dashed {
			one.LineStyle.Type, one.Symbol = "dashed", "none"
		}
		if s.mark == area {
			one.Step = "middle"
			one.AreaStyle = &opts.AreaStyle{Color: paint, Opacity: opts.Float(0.27)}
		}
	case points:
		one.Type, one.SymbolSize = types.ChartScatter, 8
	case bars:
		one.Type, one.BarCategoryGap, one.BarGap = types.ChartBar, "20%", "0%"
		if s.stacked {
			one.Stack = "all"
		}
	case cells:
		one.Type = types.ChartHeatMap
		one.ItemStyle = &opts.ItemStyle{BorderColor: css(color.NRGBA{128, 128, 128, 40}), BorderWidth: 1}
	}
	return one
}

// markZones gives the zones of the panel to its first series, for ECharts draws them with a series.
func (p panel) markZones(all charts.MultiSeries) {
	if len(all) == 0 || len(p.zones) == 0 {
		return
	}
	set := charts.WithMarkAreaStyleOpts(opts.MarkAreaStyle{ItemStyle: &opts.ItemStyle{Color: css(zoned)}, Label: &opts.Label{Color: css(ink)}})
	set(&all[0])
	for _, z := range p.zones {
		charts.WithMarkAreaData([]opts.MarkAreaData{{Name: z.name, XAxis: z.from}, {XAxis: z.to}})(&all[0])
	}
}
