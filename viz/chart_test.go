package viz

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// large are charts of 8,192 tokens in 30 layers of 3 heads, every one as uneven as it can be.
func large() map[string]*Chart {
	const n, layers, heads = 8192, 30, 3
	texts := make([]string, n)
	for i := range texts {
		texts[i] = " token"
	}
	a, b := Tokens{Press: "a:0.5", Texts: texts}, Tokens{Press: "b:0.5", Texts: texts}
	k := Kept{Press: "a:0.5", Full: n}
	var attention []Looked
	for l := range layers {
		rows, more := make([][]int, heads), make([][]int, heads)
		d := Looked{Layer: l, Last: 64}
		for h := range heads {
			var mean []float64
			var places []int
			for at := range n {
				if (at*7919+l*104729+h*1299709)%97 < 50 {
					rows[h] = append(rows[h], at)
				}
				if (at*104729+l*7919+h)%89 < 40 {
					more[h] = append(more[h], at)
				}
				mean, places = append(mean, float64(at*7919%1009)/1009/n), append(places, at)
			}
			d.Mean, d.Positions = append(d.Mean, mean), append(d.Positions, places)
		}
		attention = append(attention, d)
		a.Keep, b.Keep = append(a.Keep, rows), append(b.Keep, more)
		k.Lens = append(k.Lens, []int{len(rows[0]), l, n - l})
	}
	scores := tensor.New(heads, n)
	for i := range scores.Data {
		scores.Data[i] = float32(i*7919%10007) / 10007
	}
	return map[string]*Chart{
		"retained":      RetainedOf(k),
		"token strip":   TokenStripOf(a, -1, -1),
		"scores":        ScoresOf(Scored{Press: "a:0.5", Plan: kvpress.Plan{Keep: a.Keep[0], Scores: scores, Force: a.Keep[1][0]}}),
		"attention":     AttentionOf(attention[0]),
		"attention map": AttentionOf(attention...),
		"head budgets":  HeadBudgetOf(k, k, -1),
		"head budget":   HeadBudgetOf(k, k, 3),
		"comparison":    CompareOf(a, b),
		"memory":        MemoryOf(largeUse(layers)...),
		"lost":          LostOf(Pruning{Observed: scores, Names: []string{"a"}, Scores: []tensor.Mat{scores}}),
		"queries":       QueryGaussianOf(Sampled{Of: "q", Values: tensor.Mat{Rows: n, Cols: heads, Data: scores.Data}}),
		"presses":       PressesOf(a, b),
		"foreseen":      ForeseenOf(Pruning{Observed: scores, Names: []string{"a"}, Scores: []tensor.Mat{scores}}, 0),
		"timeline":      DecodeTimelineOf(largeAnswer(n, a.Keep)),
	}
}

func largeUse(layers int) []Used {
	all := make([]Used, 20)
	for i := range all {
		all[i] = Used{Press: strings.Repeat("long", i), Full: 1 << 30, KV: 1 << 20 * int64(i+1), Live: 1 << 20 * int64(i), Peak: 1 << 30, ByLayer: make([]int64, layers)}
	}
	return all
}

// largeAnswer loses pairs at each of 3,000 tokens.
func largeAnswer(n int, keep [][][]int) Evictions {
	d := Evictions{Press: "dms", First: n, Tokens: 3000}
	for _, heads := range keep {
		lens := make([]int, len(heads))
		for h := range lens {
			lens[h] = len(heads[h])
		}
		d.Lens = append(d.Lens, lens)
	}
	for i := range d.Tokens {
		d.Times = append(d.Times, Eviction{Next: n + i + 1, Gone: [][][]int{{{i, 2 * i}, {i}}}})
	}
	return d
}

func TestChartsAreSmallAndStayTheSame(t *testing.T) {
	again := large()
	for name, c := range large() {
		if strings.HasPrefix(c.Title(), name+":") {
			t.Errorf("%s: no chart: %s", name, c.Text())
		}
		if n := len(c.HTML()); n > 300_000 {
			t.Errorf("%s: %d bytes of hypertext, at most 300000 are wanted", name, n)
		}
		if n := len(c.SVG()); n > 300_000 {
			t.Errorf("%s: a drawing of %d bytes", name, n)
		}
		if c.HTML() != again[name].HTML() || c.SVG() != again[name].SVG() {
			t.Errorf("%s: the same chart is written in two ways", name)
		}
		if !strings.Contains(c.HTML(), `title="`) && !strings.Contains(c.HTML(), `alt="`) {
			t.Errorf("%s: no words for those who cannot see it", name)
		}
	}
}

func TestBrokenInput(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	odd := tensor.New(1, 4)
	copy(odd.Data, []float32{float32(nan), float32(inf), 1e-45, 3e38})
	short := tensor.Mat{Rows: 2, Cols: 8, Data: make([]float32, 3)}
	deep := make([][]int, 200)
	for i := range deep {
		deep[i] = []int{i % 10, 3, 9, 9, 9, 9, 9, 9}
	}
	one := Tokens{Press: "x", Texts: []string{"a"}, Keep: [][][]int{{{0}}}}
	for name, test := range map[string]struct {
		chart *Chart
		fails bool
	}{
		"no layers":           {RetainedOf(Kept{}), true},
		"no heads":            {RetainedOf(Kept{Lens: [][]int{{}}}), true},
		"nothing kept":        {RetainedOf(Kept{Press: "x", Lens: [][]int{{0, 0}}}), false},
		"200 layers":          {RetainedOf(Kept{Press: "x", Lens: deep, Full: 9}), false},
		"uneven layers":       {RetainedOf(Kept{Press: "x", Lens: [][]int{{1}, {}, {2, 3}}, Full: 9}), false},
		"no trials":           {SweepOf(nil), true},
		"trial of nothing":    {SweepOf([]Trial{{Press: "x", Ratio: nan, Score: nan}}), true},
		"only the whole":      {SweepOf([]Trial{{Press: "none", Score: 1}}), false},
		"costs of nothing":    {CostsOf(nil), true},
		"costs at one ratio":  {CostsOf([]Trial{{Press: "x", Ratio: 0.5, KVBytes: 1, TokenMillis: nan}}), false},
		"one token":           {TokenStripOf(one, -1, -1), false},
		"no tokens":           {TokenStripOf(Tokens{}, -1, -1), true},
		"no keep":             {TokenStripOf(Tokens{Texts: []string{"a"}}, -1, -1), true},
		"token out of range":  {TokenStripOf(Tokens{Texts: []string{"a"}, Keep: [][][]int{{{7}}}}, -1, -1), true},
		"blank tokens":        {TokenStripOf(Tokens{Texts: []string{"\n", "\t", "\x00", "\xff"}, Keep: [][][]int{{{0}}}}, -1, -1), false},
		"no scores":           {ScoresOf(Scored{Press: "x"}), true},
		"a head too many":     {ScoresOf(Scored{Press: "x", Plan: kvpress.Plan{Keep: [][]int{{0}}, Scores: odd}}, 3), true},
		"scores odd":          {ScoresOf(Scored{Press: "x", Plan: kvpress.Plan{Keep: [][]int{{0, 9, -1}}, Scores: odd, Force: []int{-1, 99}}}), false},
		"no attention":        {AttentionOf(), true},
		"attention uneven":    {AttentionOf(Looked{Mean: [][]float64{{1}}, Positions: [][]int{{1, 2}}}), true},
		"attention no number": {AttentionOf(Looked{Mean: [][]float64{{nan}}, Positions: [][]int{{0}}}), true},
		"budgets of nothing":  {HeadBudgetOf(Kept{}, Kept{}, 0), true},
		"budgets differ":      {HeadBudgetOf(Kept{Lens: [][]int{{1}}}, Kept{Lens: [][]int{{1}, {2}}}, 0), true},
		"budget of layer 9":   {HeadBudgetOf(Kept{Lens: [][]int{{1}}}, Kept{Lens: [][]int{{1}}}, 9), true},
		"budgets, 200 layers": {HeadBudgetOf(Kept{Lens: deep, Full: 9}, Kept{Press: "x", Lens: deep, Full: 9}, -1), false},
		"compare nothing":     {CompareOf(Tokens{}, Tokens{}), true},
		"compare models":      {CompareOf(one, Tokens{Texts: []string{"a"}, Keep: [][][]int{{{0}, {0}}}}), true},
		"compare one token":   {CompareOf(one, one), false},
		"no memory":           {MemoryOf(), true},
		"memory of nothing":   {MemoryOf(Used{Press: "x"}), false},
		"memory of minus":     {MemoryOf(Used{Press: "x", Full: -1, KV: -1, Peak: -1, ByLayer: []int64{-1, 0}}), false},
		"no times":            {LatencyOf(Timing{"x", nan, 1}, Timing{"x", 1, inf}), true},
		"one time":            {LatencyOf(Timing{"x", 1, 1}), false},
		"no samples":          {QueryGaussianOf(Sampled{Of: "x"}), true},
		"samples odd":         {QueryGaussianOf(Sampled{Of: "x", Values: odd}), true},
		"nothing lost":        {LostOf(Pruning{}), true},
		"lost, no scores":     {LostOf(Pruning{Observed: odd, Names: []string{"x"}}), true},
		"lost, odd":           {LostOf(Pruning{Observed: odd, Names: []string{"x"}, Scores: []tensor.Mat{odd}}), false},
		"no presses":          {PressesOf(), true},
		"presses of 2 texts":  {PressesOf(one, Tokens{Texts: []string{"a", "b"}}), true},
		"press of one token":  {PressesOf(one), false},
		"nothing foreseen":    {ForeseenOf(Pruning{}, 0), true},
		"foreseen, no head":   {ForeseenOf(Pruning{Observed: odd, Names: []string{"x"}, Scores: []tensor.Mat{odd}}, 1), true},
		"foreseen, too few":   {ForeseenOf(Pruning{Observed: odd, Names: []string{"x"}, Scores: []tensor.Mat{odd}}, 0), true},
		"no answer":           {DecodeTimelineOf(Evictions{}), true},
		"answer, wrong place": {DecodeTimelineOf(Evictions{Lens: [][]int{{1}}, Tokens: 3, Times: []Eviction{{Next: 9}}}), true},
		"answer, one token":   {DecodeTimelineOf(Evictions{Lens: [][]int{{1}}, Tokens: 1, Times: []Eviction{{Next: 1, Gone: [][][]int{{{-1, 99, 0}}}}}}), false},
		"attention before":    {AttentionOf(Looked{Mean: [][]float64{{1, 1}}, Positions: [][]int{{-1, 3}}}), true},
		"attention far away":  {AttentionOf(Looked{Mean: [][]float64{{1}}, Positions: [][]int{{1 << 50}}}), true},
		"attention, no place": {AttentionOf(Looked{Mean: [][]float64{{1}}}), true},
		"answer before":       {DecodeTimelineOf(Evictions{First: -100, Lens: [][]int{{1}}, Tokens: 5, Times: []Eviction{{Next: -98, Gone: [][][]int{{{1}}}}}}), true},
		"samples, too few":    {QueryGaussianOf(Sampled{Of: "x", Values: short}), true},
		"scores, too few":     {ScoresOf(Scored{Press: "x", Plan: kvpress.Plan{Keep: [][]int{{0}, {1}}, Scores: short}}), true},
		"lost, too few":       {LostOf(Pruning{Observed: short, Names: []string{"x"}, Scores: []tensor.Mat{short}}), true},
		"foreseen, broken":    {ForeseenOf(Pruning{Observed: short, Names: []string{"x"}, Scores: []tensor.Mat{short}}, 1), true},
		"attention one token": {AttentionOf(Looked{Mean: [][]float64{{1}}, Positions: [][]int{{0}}}), false},
	} {
		c := test.chart
		if c.HTML() == "" || c.Text() == "" || !strings.Contains(c.SVG(), "</svg>") {
			t.Errorf("%s: nothing is shown", name)
		}
		if failed := c.Option() == nil && len(c.PNG()) == 0; failed != test.fails {
			t.Errorf("%s: fails: %v, want %v: %s", name, failed, test.fails, c.Text())
		}
	}
}

func TestSaveAndRender(t *testing.T) {
	dir := t.TempDir()
	c := RetainedOf(Kept{Press: "x:0.5", Lens: [][]int{{1, 2}, {3, 4}}, Full: 8})
	for name, begin := range map[string]string{"a.html": "<!DOCTYPE html>", "a.svg": "<svg", "a.png": "\x89PNG"} {
		path := filepath.Join(dir, name)
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), begin) {
			t.Errorf("%s begins with %.20q, %v", name, text, err)
		}
	}
	for path, cure := range map[string]string{"a.txt": "use .html", filepath.Join("nowhere", "a.svg"): "no such file"} {
		if err := c.Save(filepath.Join(dir, path)); err == nil || !strings.Contains(err.Error(), cure) {
			t.Errorf("%s: %v, want %q", path, err, cure)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("%d files in the folder, want 3: %v", len(left), err)
	}
	bundle := c.SimpleRender()
	for kind, begin := range map[string]string{"text/html": "<div data-kvnotes=", "image/svg+xml": "<svg", "text/plain": "x:0.5: layer 1"} {
		if text, _ := bundle[kind].(string); !strings.HasPrefix(text, begin) {
			t.Errorf("%s begins with %.30q, want %q", kind, text, begin)
		}
	}
	t.Setenv("KVNOTES_ECHARTS_URL", `https://example.org/"e".js`)
	if !strings.Contains(c.HTML(), `"https://example.org/\"e\".js"`) {
		t.Error("KVNOTES_ECHARTS_URL is not heeded")
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, test := range []struct {
		low, high float64
		want      string
	}{{0, 588, "0 100 200 300 400 500"}, {0, 1, "0 0.2 0.4 0.6 0.8 1"}, {0.0012, 0.0041, "0.0015 0.002 0.0025 0.003 0.0035 0.004"}, {5, 5, "5"}, {-3, 3, "-3 -2 -1 0 1 2 3"}, {-0.02, 1, "0 0.2 0.4 0.6 0.8 1"}} {
		var got []string
		for _, tick := range (steps{}).Ticks(test.low, test.high) {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%g to %g: %v, want %s", test.low, test.high, got, test.want)
		}
	}
}
