package viz

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The tests of this file count again, with loops of their own, what the charts show.

func TestRetainedTellsTheTruth(t *testing.T) {
	s := pressed(t, "adasnapkv(window=16):0.5")
	c := Retained(s)
	series := seriesOf(t, c)
	total, heads := 0, 0
	for l, plan := range s.Plans() {
		for h, keep := range plan.Keep {
			total, heads = total+len(keep), heads+1
			want := fmt.Sprintf("layer %d, head %d: %d of %d pairs", l, h, len(keep), s.Len())
			found := 0
			for _, d := range series[0].Data {
				if *d.Value[0] == float64(l) && *d.Value[1] == float64(h) && *d.Value[2] == float64(len(keep)) && d.Name == want {
					found++
				}
			}
			for _, p := range named(t, c, fmt.Sprintf("head %d", h)) {
				if p[0] == float64(l) && p[1] == float64(len(keep)) {
					found++
				}
			}
			if found != 2 {
				t.Errorf("%s: %d of cell and bar say so", want, found)
			}
		}
	}
	if len(series[0].Data) != heads {
		t.Errorf("%d cells for %d heads", len(series[0].Data), heads)
	}
	if want := fmt.Sprintf("keep %d of %d pairs", total, heads*s.Len()); !strings.Contains(c.Text(), want) {
		t.Errorf("the summary does not say %q: %s", want, c.Text())
	}
	mean := named(t, c, fmt.Sprintf("mean of all heads: %.0f", float64(total)/float64(heads)))
	if !close5(mean[0][1], float64(total)/float64(heads)) {
		t.Errorf("the mean line is at %g, want %g", mean[0][1], float64(total)/float64(heads))
	}
}

// The drawing has the same bars as the option: their heights have the ratios of the numbers.
func TestDrawingTellsTheTruth(t *testing.T) {
	k := Kept{Press: "x:0.5", Lens: [][]int{{10, 40}, {20, 30}}, Full: 50}
	svg := pictureIn(t, RetainedOf(k))
	if svg != RetainedOf(k).SVG() {
		t.Error("the picture in the page is not the drawing")
	}
	for h := range 2 {
		heights := rectangles(svg, css(hue(h)))[1:] // the first is in the legend
		if len(heights) != 2 {
			t.Fatalf("head %d: %d bars for 2 layers", h, len(heights))
		}
		if want := float64(k.Lens[0][h]) / float64(k.Lens[1][h]); math.Abs(heights[0]/heights[1]-want) > 0.01*want {
			t.Errorf("head %d: bars are as %g to 1, the numbers as %g to 1", h, heights[0]/heights[1], want)
		}
	}
	// A cell has the colour of its share, one mark for each head.
	for _, lens := range k.Lens {
		for _, n := range lens {
			if len(rectangles(svg, css(shade(float64(n)/50)))) == 0 {
				t.Errorf("no cell has the colour of %d of 50 pairs", n)
			}
		}
	}
}

func TestTokenStripTellsTheTruth(t *testing.T) {
	s := pressed(t, "adakv(knorm):0.5")
	c := TokenStrip(s, -1, -1)
	found := regexp.MustCompile(`title="token (\d+): (\d+) of (\d+) heads`).FindAllStringSubmatch(c.HTML(), -1)
	if len(found) != s.Len() {
		t.Fatalf("%d tokens are shown, the text has %d", len(found), s.Len())
	}
	for at, m := range found {
		kept, heads := 0, 0
		for l, lens := range s.Lens() {
			for h := range lens {
				heads++
				for _, p := range s.Kept(l, h) {
					if p == at {
						kept++
					}
				}
			}
		}
		if m[1] != strconv.Itoa(at) || m[2] != strconv.Itoa(kept) || m[3] != strconv.Itoa(heads) {
			t.Errorf("token %d is kept by %d of %d heads, the strip says %v", at, kept, heads, m)
		}
	}
	if one, want := TokenStrip(s, 2, 1), fmt.Sprintf("layer 2 head 1: %d of %d tokens are kept", len(s.Kept(2, 1)), s.Len()); !strings.Contains(one.Title(), want) {
		t.Errorf("one head: %s, want %s", one.Title(), want)
	}
	for _, bad := range []*Chart{TokenStrip(s, 99, 0), TokenStrip(s, 0, 99), TokenStrip(s, -1, 2)} {
		if !strings.Contains(bad.HTML(), "token strip: ") {
			t.Errorf("a head that is not there: %s", bad.HTML())
		}
	}
}

func TestTokenStripNamesTheHeads(t *testing.T) {
	c := TokenStripOf(Tokens{Press: "x", Texts: []string{"a", "b", "c"}, Keep: [][][]int{{{0, 1}, {0}}, {{0, 1}, {0, 1}}, {{0}, {0, 2}}}}, -1, -1)
	for _, want := range []string{
		`title="token 0: 6 of 6 heads"`, `title="token 1: 3 of 6 heads: all of layers 1; layer 0: 0"`, `title="token 2: 1 of 6 heads: layer 2: 1"`,
	} {
		if !strings.Contains(c.HTML(), want) {
			t.Errorf("%s is missing in %s", want, c.HTML())
		}
	}
	if !strings.HasPrefix(c.Title(), "x: 1 of 3 tokens are kept by all 6 heads, 0 by none") {
		t.Errorf("title: %s", c.Title())
	}
}

func TestScoresTellTheTruth(t *testing.T) {
	s := pressed(t, "snapkv(window=16):0.5")
	plan := s.Plans()[2]
	c := Scores(s, 2)
	lines := seriesOf(t, c)
	if len(lines) != 2*len(plan.Keep) {
		t.Fatalf("%d lines for %d heads and their cuts", len(lines), len(plan.Keep))
	}
	forced := map[int]bool{}
	for _, f := range plan.Force {
		forced[f] = true
	}
	for h, keep := range plan.Keep {
		top, cut := math.Inf(-1), math.Inf(1)
		for i, v := range plan.Scores.Row(h) {
			if !forced[i] {
				top = math.Max(top, float64(v))
			}
		}
		for _, i := range keep {
			if !forced[i] {
				cut = math.Min(cut, float64(plan.Scores.Row(h)[i]))
			}
		}
		shown := math.Inf(-1)
		for _, p := range named(t, c, fmt.Sprintf("head %d, %d kept", h, len(keep))) {
			if finite(p[1]) {
				shown = math.Max(shown, p[1])
			}
		}
		drawn := named(t, c, "lowest kept")[2*h]
		if !close5(shown, top) || !close5(drawn[1], cut) {
			t.Errorf("head %d: the highest score is %g and the cut %g, the chart shows %g and %g", h, top, cut, shown, drawn[1])
		}
	}
	if one := seriesOf(t, Scores(s, 2, 1)); len(one) != 2 || !strings.HasPrefix(one[0].Name, "head 1,") {
		t.Errorf("only head 1 was asked for: %d series, %q", len(one), one[0].Name)
	}
	if c := Scores(whole(t), 0); !strings.Contains(c.Text(), "press it first") {
		t.Errorf("a whole session: %s", c.Text())
	}
	if c := Scores(s, 99); !strings.Contains(c.Text(), "layers run from 0 to") {
		t.Errorf("a layer that is not there: %s", c.Text())
	}
	zones := zonesOf([]int{0, 1, 2, 50, 98, 99}, 100)
	if len(zones) != 3 || zones[0].from != -0.5 || zones[0].to != 2.5 {
		t.Errorf("zones %v, want 0 to 2 first, then 98 to 99, then 50", zones)
	}
}

func TestAttentionTellsTheTruth(t *testing.T) {
	s, last := whole(t), 8
	layer, err := s.Layer(1)
	if err != nil {
		t.Fatal(err)
	}
	a, err := layer.Attention(last, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, group := Attention(s, 1, last), layer.Heads/layer.KVHeads
	largest, where := 0.0, 0
	for h := range layer.KVHeads {
		top := 0.0
		for i := range layer.Len {
			sum := 0.0
			for g := range group {
				sum += float64(a.At(h*group+g, i))
			}
			if top = math.Max(top, sum/float64(group)); sum/float64(group) > largest {
				largest, where = sum/float64(group), i
			}
		}
		shown := 0.0
		for _, p := range named(t, c, fmt.Sprintf("head %d", h)) {
			shown = math.Max(shown, p[1])
		}
		if !close5(shown, top) {
			t.Errorf("head %d pays at most %g, the chart shows %g", h, top, shown)
		}
	}
	if want := fmt.Sprintf("look most at token %d ", where); !strings.Contains(c.Title(), want) {
		t.Errorf("title %q, want %q", c.Title(), want)
	}
	// The map shows all attention there is: 100 % in every layer.
	sums := map[float64]float64{}
	for _, d := range seriesOf(t, Attention(s, -1, last))[0].Data {
		sums[*d.Value[1]] += *d.Value[2]
	}
	if len(sums) != len(s.Lens()) {
		t.Errorf("%d rows for %d layers", len(sums), len(s.Lens()))
	}
	for l, sum := range sums {
		if math.Abs(sum-100) > 0.1 {
			t.Errorf("layer %g: the cells hold %g %% of the attention", l, sum)
		}
	}
}
