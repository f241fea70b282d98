package viz

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/eval"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
)

// session is a text of the needle model, whole and pressed.
func session(t *testing.T, sentences int, press string) (whole, pressed *llm.Session) {
	t.Helper()
	m, err := llm.Load("needle", cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	whole, err = m.Prefill(context.Background(), needle.NewWorld().Text(1, sentences, 3).String(), llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	p, err := kvpress.Parse(press)
	if err != nil {
		t.Fatal(err)
	}
	if pressed, err = whole.Press(p); err != nil {
		t.Fatal(err)
	}
	return whole, pressed
}

// series takes the data of a series out of a chart's option, as JSON gives it.
func series(t *testing.T, c *Chart) []struct {
	Name string
	Data []struct{ Value []float64 }
} {
	t.Helper()
	text, err := json.Marshal(c.Option())
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Series []struct {
			Name string
			Data []struct{ Value []float64 }
		}
	}
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o.Series
}

func TestRetainedTellsTheTruth(t *testing.T) {
	_, s := session(t, 30, "adasnapkv(window=16):0.5")
	c := Retained(s)
	marks := series(t, c)[0].Data
	n := 0
	for l, plan := range s.Plans() {
		for h, keep := range plan.Keep {
			found := false
			for _, m := range marks {
				found = found || m.Value[0] == float64(l) && m.Value[1] == float64(h) && m.Value[2] == float64(len(keep))
			}
			if !found {
				t.Errorf("layer %d head %d keeps %d pairs, the chart does not say so", l, h, len(keep))
			}
			n++
		}
	}
	if len(marks) != n {
		t.Errorf("%d marks for %d heads", len(marks), n)
	}
	total := 0
	for _, plan := range s.Plans() {
		total += plan.Kept()
	}
	if !strings.Contains(c.Text(), fmt.Sprintf("keep %d of ", total)) {
		t.Errorf("the summary does not say that %d pairs stay: %s", total, c.Text())
	}
}

func TestStripTellsTheTruth(t *testing.T) {
	_, s := session(t, 10, "adakv(knorm):0.5")
	c := TokenStrip(s, -1, -1)
	hint := regexp.MustCompile(`title="token (\d+): (\d+) of (\d+) heads`)
	found := hint.FindAllStringSubmatch(c.HTML(), -1)
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
		if m[1] != fmt.Sprint(at) || m[2] != fmt.Sprint(kept) || m[3] != fmt.Sprint(heads) {
			t.Errorf("token %d is kept by %d of %d heads, the strip says %v", at, kept, heads, m)
		}
	}
	if one := TokenStrip(s, 2, 1); !strings.Contains(one.Text(), "all 1 heads") {
		t.Errorf("one head of one layer: %s", one.Text())
	}
	if bad := TokenStrip(s, 99, 0); !strings.Contains(bad.HTML(), "layers run from 0 to 5") {
		t.Errorf("a layer that is not there: %s", bad.HTML())
	}
}

func TestScoresTellTheTruth(t *testing.T) {
	_, s := session(t, 30, "snapkv(window=16):0.5")
	plan := s.Plans()[2]
	lines := series(t, Scores(s, 2))
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
				top = max(top, float64(v))
			}
		}
		for _, i := range keep {
			if !forced[i] {
				cut = min(cut, float64(plan.Scores.Row(h)[i]))
			}
		}
		shown := math.Inf(-1)
		for _, p := range lines[2*h].Data {
			shown = max(shown, p.Value[1])
		}
		if math.Abs(shown-top) > 1e-3*math.Abs(top) || math.Abs(lines[2*h+1].Data[0].Value[1]-cut) > 1e-3*math.Abs(cut) {
			t.Errorf("head %d: the highest score is %g and the cut %g, the chart shows %g and %g", h, top, cut, shown, lines[2*h+1].Data[0].Value[1])
		}
	}
	whole, _ := session(t, 10, "knorm:0.5")
	if c := Scores(whole, 0); !strings.Contains(c.Text(), "press the session first") {
		t.Errorf("a whole session: %s", c.Text())
	}
}

func TestSweepTellsTheTruth(t *testing.T) {
	scores := []eval.Score{{Press: "none", Right: 9, Of: 10}, {Press: "a(window=1):0.5", Right: 5, Of: 10}, {Press: "a(window=1):0.25", Right: 8, Of: 10}, {Press: "b:0.5", Right: 1, Of: 10}}
	c := Sweep(scores)
	want := map[string][][]float64{"a(window=1)": {{0.25, 80}, {0.5, 50}}, "b": {{0.5, 10}}, "whole cache": {{0.25, 90}, {0.5, 90}}}
	for _, s := range series(t, c) {
		for i, p := range s.Data {
			if p.Value[0] != want[s.Name][i][0] || p.Value[1] != want[s.Name][i][1] {
				t.Errorf("%s: point %d is %v, want %v", s.Name, i, p.Value, want[s.Name][i])
			}
		}
		delete(want, s.Name)
	}
	if len(want) > 0 {
		t.Errorf("lines that are missing: %v", want)
	}
	if !strings.HasPrefix(c.Title(), "a(window=1) keeps most answers") {
		t.Errorf("title: %s", c.Title())
	}
}

func TestTextsStayTexts(t *testing.T) {
	evil := `<script>alert("1")</script>&'`
	c := Strip(Tokens{Press: evil, Texts: []string{evil, "b"}, Kept: []int{1, 0}, Heads: 2, Who: []string{evil, ""}})
	r := RetainedPairs(Kept{Press: evil, Lens: [][]int{{1, 2}}, Full: 3})
	for name, text := range map[string]string{"strip": c.HTML(), "strip drawing": c.SVG(), "retained drawing": r.SVG()} {
		if strings.Contains(text, "<script>alert") {
			t.Errorf("%s: a text became a script", name)
		}
	}
	if page := r.HTML(); strings.Count(page, "<script>") != 1 || strings.Contains(page, "</script>&") {
		t.Error("retained: a text ends the chart's own script")
	}
}

func TestChartsStayTheSameAndSmall(t *testing.T) {
	lens := make([][]int, 30)
	texts, kept := make([]string, 8192), make([]int, 8192)
	for l := range lens {
		lens[l] = []int{l, 2 * l, 8192 - l}
	}
	for i := range texts {
		texts[i], kept[i] = " token", i*7919%91
	}
	for name, make := range map[string]func() *Chart{
		"retained": func() *Chart { return RetainedPairs(Kept{Press: "x:0.5", Lens: lens, Full: 8192}) },
		"strip":    func() *Chart { return Strip(Tokens{Press: "x:0.5", Texts: texts, Kept: kept, Heads: 90}) },
	} {
		a, b := make(), make()
		if a.HTML() != b.HTML() || a.SVG() != b.SVG() {
			t.Errorf("%s: the same chart is written in two ways", name)
		}
		if n := len(a.HTML()); n > 300_000 {
			t.Errorf("%s: %d bytes of hypertext, at most 300000 are wanted", name, n)
		}
		if n := len(a.SVG()); n > 300_000 {
			t.Errorf("%s: a drawing of %d bytes", name, n)
		}
	}
}

func TestBrokenInput(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]*Chart{
		"no layers":   RetainedPairs(Kept{}),
		"no heads":    RetainedPairs(Kept{Lens: [][]int{{}}}),
		"no scores":   Sweep(nil),
		"one":         Strip(Tokens{Texts: []string{"a"}, Kept: []int{0}, Heads: 1}),
		"no tokens":   Strip(Tokens{}),
		"uneven":      Strip(Tokens{Texts: []string{"a"}, Kept: []int{1, 2}}),
		"200 layers":  RetainedPairs(Kept{Press: "x", Lens: make200(), Full: 9}),
		"not numbers": (&Chart{title: "x", width: 300, height: 200}).lines("x", "y", []Line{{Name: "a", X: []float64{1, 2}, Y: []float64{nan, nan}}}),
	} {
		if c.HTML() == "" || c.Text() == "" {
			t.Errorf("%s: nothing is shown", name)
		}
	}
}

func make200() [][]int {
	all := make([][]int, 200)
	for i := range all {
		all[i] = []int{i % 10, 3}
	}
	return all
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	c := RetainedPairs(Kept{Press: "x:0.5", Lens: [][]int{{1, 2}, {3, 4}}, Full: 8})
	for name, begin := range map[string]string{"a.html": "<!DOCTYPE html>", "a.svg": "<?xml", "a.png": "\x89PNG"} {
		if err := c.Save(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.HasPrefix(string(text), begin) {
			t.Errorf("%s begins with %.20q, %v", name, text, err)
		}
	}
	if err := c.Save(filepath.Join(dir, "a.txt")); err == nil || !strings.Contains(err.Error(), ".html") {
		t.Errorf("an unknown ending: %v", err)
	}
	if err := c.Save(filepath.Join(dir, "nowhere", "a.svg")); err == nil {
		t.Error("a folder that is not there is not noticed")
	}
}
