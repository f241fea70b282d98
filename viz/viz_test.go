package viz

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
)

// prefilled is a generated text in the needle model, read once for all tests.
var prefilled *llm.Session

func whole(t *testing.T) *llm.Session {
	t.Helper()
	if prefilled == nil {
		m, err := llm.Load("needle", cpu.New())
		if err != nil {
			t.Fatal(err)
		}
		if prefilled, err = m.Prefill(context.Background(), needle.NewWorld().Text(1, 20, 3).String(), llm.Full()); err != nil {
			t.Fatal(err)
		}
	}
	return prefilled
}

func pressed(t *testing.T, press string) *llm.Session {
	t.Helper()
	p, err := kvpress.Parse(press)
	if err != nil {
		t.Fatal(err)
	}
	s, err := whole(t).Press(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown is a series as the browser gets it.
type shown struct {
	Name string
	Type string
	Data []struct {
		Name  string
		Value []*float64
	}
}

// seriesOf takes the series out of a chart's option, as JSON gives them, and checks that all of it fits into a page.
func seriesOf(t *testing.T, c *Chart) []shown {
	t.Helper()
	text, err := json.Marshal(c.Option())
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Series []shown }
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Series) == 0 {
		t.Fatalf("no series: %s", c.Text())
	}
	n := 0
	for _, s := range o.Series {
		n += len(s.Data)
	}
	if n > 2*mostMarks {
		t.Errorf("%d marks are more than eyes can tell apart", n)
	}
	return o.Series
}

// named gives the series with a name, all points of them together.
func named(t *testing.T, c *Chart, name string) [][]float64 {
	t.Helper()
	var all [][]float64
	found := false
	for _, s := range seriesOf(t, c) {
		if s.Name == name {
			found = true
			for _, d := range s.Data {
				var row []float64
				for _, v := range d.Value {
					if v == nil {
						row = append(row, math.NaN())
						continue
					}
					row = append(row, *v)
				}
				all = append(all, row)
			}
		}
	}
	if !found {
		t.Fatalf("there is no series %q", name)
	}
	return all
}

func close5(a, b float64) bool { return math.Abs(a-b) <= 1e-4*math.Max(math.Abs(a), math.Abs(b)) }

// rectangles are what a drawing fills with a colour: the height of each.
func rectangles(svg, colour string) []float64 {
	var heights []float64
	for _, path := range regexp.MustCompile(`<path fill="`+colour+`" d="([^"]*)"`).FindAllStringSubmatch(svg, -1) {
		for _, m := range regexp.MustCompile(`m[-\d.]+,?[-\d.]+h[-\d.]+v([-\d.]+)h[-\d.]+z`).FindAllStringSubmatch(path[1], -1) {
			height, _ := strconv.ParseFloat(m[1], 64)
			heights = append(heights, math.Abs(height))
		}
	}
	return heights
}

// pictureIn is the drawing inside the hypertext of a chart.
func pictureIn(t *testing.T, c *Chart) string {
	t.Helper()
	m := regexp.MustCompile(`data:image/svg\+xml;base64,([^"]+)"`).FindStringSubmatch(c.HTML())
	if m == nil {
		t.Fatal("the hypertext holds no picture")
	}
	text, err := base64.StdEncoding.DecodeString(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
