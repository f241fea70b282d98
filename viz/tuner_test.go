package viz

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// counting is a scorer that counts how often it is asked.
type counting struct {
	ratio bool // its scores depend on the ratio
	calls *int
}

func (c counting) Name() string { return fmt.Sprint("counting ", c.ratio) }

func (c counting) Score(l *kvpress.Layer) (kvpress.Scores, error) {
	if l.Index == 1 {
		*c.calls++
	}
	values := tensor.New(l.KVHeads, l.Len)
	for i := range values.Data {
		values.Data[i] = float32(i % 17)
		if c.ratio && i%l.Len < int(float64(l.Len)*l.Ratio) {
			values.Data[i] = -1
		}
	}
	return kvpress.Scores{Values: values}, nil
}

func TestPlannerRemembersScores(t *testing.T) {
	for _, test := range []struct {
		depends bool
		want    int
	}{{false, 1}, {true, 3}} {
		calls := 0
		p := planner{session: whole(t)}
		for _, ratio := range []float64{0.3, 0.5, 0.7} {
			press := kvpress.Ada(counting{test.depends, &calls}, kvpress.Ratio(ratio), 0.2)
			plans, err := p.plan(press)
			if err != nil {
				t.Fatal(err)
			}
			s, err := whole(t).Press(press)
			if err != nil {
				t.Fatal(err)
			}
			calls-- // the session's own
			for l, plan := range s.Plans() {
				if !reflect.DeepEqual(plan.Keep, plans[l].Keep) {
					t.Errorf("ratio %g, layer %d: the planner keeps other pairs than the session", ratio, l)
				}
			}
		}
		if calls != test.want {
			t.Errorf("depends on the ratio: %v: the scorer was asked %d times for layer 1, want %d", test.depends, calls, test.want)
		}
	}
	// A press that is registered again may be another one.
	calls := 0
	p := planner{session: whole(t)}
	for range 2 {
		kvpress.Register(kvpress.Method{Name: "knorm", Paper: "arXiv 2406.11430", Scorer: kvpress.Knorm{}})
		if _, err := p.plan(kvpress.TopK(counting{false, &calls}, kvpress.Ratio(0.5))); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 2 {
		t.Errorf("the scorer was asked %d times around a registration, want 2", calls)
	}
}

// Every press of the catalogue can be chosen. What it keeps is what a session keeps, or the page says why it cannot.
func TestTunerShowsEveryPress(t *testing.T) {
	tuner := Tuner(whole(t))
	shown := 0
	for _, m := range kvpress.Methods() {
		if err := tuner.press.SetValue(m.Name); err != nil {
			t.Fatal(err)
		}
		tuner.choose()
		p, err := kvpress.Parse(tuner.Press())
		if err != nil {
			t.Errorf("%s: %v", tuner.Press(), err)
			continue
		}
		s, err := whole(t).Press(p)
		if err != nil {
			if !strings.Contains(tuner.numbers.Value(), "color:") {
				t.Errorf("%s: %v: the page shows %s", p.Name(), err, tuner.numbers.Value())
			}
			continue
		}
		shown++
		for l, lens := range s.Lens() {
			for h := range lens {
				if s.Plans() != nil && !slices.Equal(s.Kept(l, h), tuner.tokens.Keep[l][h]) {
					t.Fatalf("%s: layer %d head %d: the session keeps %d pairs, the page shows %d", p.Name(), l, h, lens[h], len(tuner.tokens.Keep[l][h]))
				}
			}
		}
		want := fmt.Sprintf("<b>%.2f</b> of", float64(s.Bytes().Live)/(1<<20))
		if !strings.Contains(tuner.numbers.Value(), want) {
			t.Errorf("%s: the page says %s, the session holds %s", p.Name(), tuner.numbers.Value(), want)
		}
		s.Close()
	}
	if shown < 25 {
		t.Errorf("only %d presses can be shown", shown)
	}
}

func TestTunerMoves(t *testing.T) {
	Document(func(name string) string {
		if name == "github.com/kvnotes/kvnotes/kvpress.SnapKV.Window" {
			return "Window int\n\nqueries that vote; 0 means 64"
		}
		return ""
	})
	defer Document(nil)
	tuner := Tuner(whole(t))
	if err := errors.Join(tuner.press.SetValue("snapkv"), tuner.rule.SetValue(rules[1]), tuner.ratio.SetValue(0.75)); err != nil {
		t.Fatal(err)
	}
	tuner.choose()
	window := tuner.knobs[0]
	if window.usual != 64 || tuner.Press() != "adakv(snapkv):0.75" {
		t.Fatalf("the page is set to %s, its window to %v", tuner.Press(), window.usual)
	}
	if err := window.control.(interface{ SetValue(int) error }).SetValue(16); err != nil {
		t.Fatal(err)
	}
	tuner.draw()
	if want := "adakv(snapkv(window=16)):0.75"; tuner.spelling.Value() != want {
		t.Errorf("the page shows %s, want %s", tuner.spelling.Value(), want)
	}
	if !strings.Contains(tuner.Picture().Title(), "adakv(snapkv(window=16)):0.75") {
		t.Errorf("the picture: %s", tuner.Picture().Title())
	}
	if err := tuner.Set("knorm:0.25"); err != nil || tuner.ratio.Value() != 0.25 {
		t.Errorf("a typed spelling: %v, the slider stands at %g", err, tuner.ratio.Value())
	}
	if err := tuner.ratio.SetValue(0.5); err != nil {
		t.Fatal(err)
	}
	tuner.moved()
	if tuner.Press() != "knorm:0.5" {
		t.Errorf("a typed spelling does not follow the slider: %s", tuner.Press())
	}
	if err := tuner.Set("nonsense:0.5"); err == nil || tuner.Press() != "knorm:0.5" {
		t.Errorf("nonsense was taken: %v, %s", err, tuner.Press())
	}
	asked := 0
	tuner.OnAnswer(func() { asked++ })
	if err := tuner.Ask(context.Background(), "Where was Hugo born?"); err != nil || asked != 1 {
		t.Error(err, asked)
	}
	if n := len(regexp.MustCompile("<tr>").FindAllString(tuner.answers.Value(), -1)); n != 2 {
		t.Errorf("%d answers are shown: %s", n, tuner.answers.Value())
	}
	if err := tuner.Ask(context.Background(), " "); err == nil {
		t.Error("an empty question was asked")
	}
	if bad := Tuner(pressed(t, "knorm:0.5")); !strings.Contains(bad.Picture().Text(), "whole session") || bad.Set("knorm:0.5") == nil {
		t.Errorf("a pressed session: %s", bad.Picture().Text())
	}
}

// A cell may register a press while the page is open.
func TestTunerFindsNewPresses(t *testing.T) {
	tuner, calls := Tuner(whole(t)), 0
	kvpress.Register(kvpress.Method{Name: "counting", Scorer: counting{false, &calls}})
	tuner.draw()
	if err := tuner.press.SetValue("counting"); err != nil {
		t.Fatal(err)
	}
	tuner.choose()
	if !strings.Contains(tuner.numbers.Value(), "pairs stay") || calls == 0 {
		t.Errorf("the page says %s", tuner.numbers.Value())
	}
}

func TestMarked(t *testing.T) {
	for _, test := range []struct{ text, other, want string }{
		{"In Lima.", "In Lima.", "In Lima."},
		{"In Oslo.", "In Lima.", "In [Oslo.]"},
		{"a b c d", "x b d", "[a] b [c] d"},
		{"", "a", ""},
		{"<b>", "a", "[&lt;b&gt;]"},
	} {
		got := regexp.MustCompile(`<mark[^>]*>([^<]*)</mark>`).ReplaceAllString(marked(test.text, test.other), "[$1]")
		if got != test.want {
			t.Errorf("%q against %q: %s, want %s", test.text, test.other, got, test.want)
		}
	}
}

// Moving the ratio draws anew in well under the 150 ms that a reader may wait, the browser's share included.
func TestTunerIsQuick(t *testing.T) {
	m, err := llm.Load("needle", cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Prefill(context.Background(), needle.NewWorld().Text(1, 208, 50).String(), llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tuner := Tuner(s)
	var took []time.Duration
	for i := range 50 {
		if err := tuner.ratio.SetValue(0.3 + 0.01*float64(i)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		tuner.moved()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("%d tokens: median of 50 moves %v, slowest %v", s.Len(), took[25], took[49])
	if took[25] > 150*time.Millisecond {
		t.Errorf("a move takes %v", took[25])
	}
}
