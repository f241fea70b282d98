package viz

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A figure is what a chart draws, said once and drawn twice: as a picture (picture.go) and as an ECharts option
// (option.go), so that both always show the same numbers.
type figure struct {
	title   string // the finding
	summary string // the numbers, in words
	panels  []panel
}

// A panel is one pair of axes. Panels stand below each other.
type panel struct {
	x, y   axis
	series []series
	zones  []zone
	scale  string  // what the colours of cells mean
	low    float64 // value of the darkest cell
	high   float64 // value of the brightest cell
	height int     // of the data, in pixels
}

// An axis has a name with a unit.
type axis struct {
	name   string
	places []string // names of 0, 1, 2, ...; nil for a continuous axis
	log    bool
	zero   bool    // the axis begins at 0
	end    float64 // where the axis ends; 0 means behind the last number
}

type mark int

const (
	line   mark = iota // joins points in the order of x; values that are no numbers leave a gap
	area               // line in steps, with the ground below it filled
	points             // a dot each
	bars               // from 0 to y, or to x where the y axis has places
	cells              // coloured by z
)

// A series is one row of data.
type series struct {
	mark    mark
	name    string // in the legend; "" for none
	color   color.Color
	dashed  bool // a limit, not a measurement
	stacked bool // bars on top of the bars before
	data    []datum
}

type datum struct {
	x, y, z float64
	hint    string // shown while the pointer is on it
}

// A zone is a stretch of the x axis with a meaning.
type zone struct {
	name     string
	from, to float64
}

// Sizes in pixels.
const (
	width      = 900
	rightEdge  = 30
	titleLine  = 19
	legendLine = 20
	axisRoom   = 52 // below a panel: labels and name of the x axis
	letter     = 6.6
	mostMarks  = 1000
)

// titleLines breaks the title so that it fits the width.
func (f *figure) titleLines() []string { return wrap(f.title, 124) }

func wrap(text string, width int) []string {
	var lines []string
	now := ""
	for _, word := range strings.Fields(text) {
		if now != "" && utf8.RuneCountInString(now)+1+utf8.RuneCountInString(word) > width {
			lines, now = append(lines, now), ""
		}
		if now != "" {
			now += " "
		}
		now += word
	}
	return append(lines, now)
}

// legend lists the named series, each name once, broken into rows that fit the width.
func (f *figure) legend() [][]series {
	var rows [][]series
	seen := map[string]bool{}
	room := 0.0
	for _, p := range f.panels {
		for _, s := range p.series {
			if s.name == "" || seen[s.name] {
				continue
			}
			seen[s.name] = true
			need := legendWidth(s.name)
			if len(rows) == 0 || room < need {
				rows, room = append(rows, nil), width-rightEdge-10
			}
			rows[len(rows)-1] = append(rows[len(rows)-1], s)
			room -= need
		}
	}
	return rows
}

// legendWidth is the room of an entry: its sign, its name and a gap.
func legendWidth(name string) float64 { return 44 + letter*float64(utf8.RuneCountInString(name)) }

// head is the room above the panels.
func (f *figure) head() int {
	h := 10 + titleLine*len(f.titleLines()) + legendLine*len(f.legend())
	if f.scaled() != nil {
		h += 30
	}
	return h + 8
}

// scaled is the panel whose cells are coloured; nil if there is none.
func (f *figure) scaled() *panel {
	for i := range f.panels {
		if f.panels[i].scale != "" {
			return &f.panels[i]
		}
	}
	return nil
}

func (f *figure) height() int {
	h := f.head()
	for _, p := range f.panels {
		h += p.height + axisRoom
	}
	return h
}

// chart draws the figure. A figure without a single number becomes a chart that says so.
func (f *figure) chart() *Chart {
	found := false
	for _, p := range f.panels {
		for _, s := range p.series {
			for _, d := range s.data {
				found = found || finite(d.x) && finite(d.y) && finite(d.z)
			}
		}
	}
	if !found {
		return failed(f.title, fmt.Errorf("there are no numbers to draw"))
	}
	svg, err := f.svg()
	if err != nil {
		return failed(f.title, err)
	}
	option, err := f.option()
	if err != nil {
		return failed(f.title, err)
	}
	return &Chart{title: f.title, summary: f.summary, option: option, svg: svg, png: f.png, height: f.height()}
}

// finite reports whether a number can be drawn. Numbers near the end of float64 overflow when axes are scaled.
func finite(v float64) bool { return math.Abs(v) < 1e100 }

// names lists 0 .. n-1 as texts.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return all
}

// round keeps five digits: more cannot be seen and make pages long.
func round(v float64) float64 {
	if v == 0 || !finite(v) {
		return v
	}
	text, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
	if err != nil {
		return v
	}
	return text
}

// pool shortens a row to at most n numbers, each the largest of its neighbours, with the middle of their places. A
// stretch without a number stays without.
func pool(row []float64, n int) (places, largest []float64) {
	step := max(1, (len(row)+n-1)/n)
	for from := 0; from < len(row); from += step {
		to := min(len(row), from+step)
		top := math.NaN()
		for _, v := range row[from:to] {
			if finite(v) && !(v <= top) {
				top = v
			}
		}
		places, largest = append(places, float64(from+to-1)/2), append(largest, top)
	}
	return places, largest
}

// A stretch is a run of layers or tokens that are drawn as one.
type stretch struct {
	name     string
	from, to int // to is behind the last one
}

// stretches cuts 0 .. n-1 into at most so many stretches of equal length.
func stretches(n, most int) []stretch {
	step := max(1, (n+max(1, most)-1)/max(1, most))
	var all []stretch
	for from := 0; from < n; from += step {
		s := stretch{fmt.Sprint(from), from, min(n, from+step)}
		if s.to-s.from > 1 {
			s.name = fmt.Sprintf("%d-%d", s.from, s.to-1)
		}
		all = append(all, s)
	}
	return all
}

// wide reports whether the numbers ask for a logarithmic axis: all above 0, over three powers of ten.
func wide(all []series) bool {
	low, high := math.Inf(1), 0.0
	for _, s := range all {
		for _, d := range s.data {
			if !finite(d.y) {
				continue
			}
			if d.y <= 0 {
				return false
			}
			low, high = math.Min(low, d.y), math.Max(high, d.y)
		}
	}
	return high > 1000*low
}

// intact reports a matrix that does not hold as many numbers as its sizes say.
func intact(what string, m tensor.Mat) error {
	if m.Rows < 0 || m.Cols < 0 || len(m.Data) != m.Rows*m.Cols {
		return fmt.Errorf("%s: a matrix (%d, %d) of %d numbers", what, m.Rows, m.Cols, len(m.Data))
	}
	return nil
}

// percent is a part of a whole; 0 of nothing.
func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(1, whole)) }
