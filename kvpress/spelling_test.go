package kvpress_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
)

func TestParseGivesBackTheSpelling(t *testing.T) {
	for _, text := range []string{
		"knorm:0.5",
		"random(seed=42):0.25",
		"snapkv(window=16, kernel=7):0.75",
		"snapkv:512tok",
		"snapkv:64MiB",
		"expected_attention(epsilon=0.01, no_covariance=true):0.25",
		"streaming_llm(sinks=-1):0.9",
		"adakv(snapkv(window=16), floor=0.3):0.5",
		"adakv(criticalkv(snapkv)):0.5",
		"critical_adakv(snapkv):0.5",
		"global(keydiff):0.5",
		"rerotate(streaming_llm:0.5)",
		"composed(snapkv:0.3, think(ratio=0.5))",
		"perlayer(knorm, ratios=0.25/0.5/0.75)",
		"merging(snapkv, threshold=0.3, fraction=0.75):0.5",
		"dms(knorm, threshold=-4.5)",
		"cur(leverage=key):0.5",
		"lukv(knorm):0.5",
	} {
		p, err := kvpress.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		name := p.Name()
		again, err := kvpress.Parse(name)
		if err != nil || again.Name() != name {
			t.Errorf("%s is spelled %s, which reads as %v, %v", text, name, again, err)
		}
		if canonical := strings.ReplaceAll(text, " ", ""); strings.ReplaceAll(name, " ", "") != canonical {
			t.Errorf("%s is spelled %s", text, name)
		}
	}
}

func TestBudgetReachesInnerPresses(t *testing.T) {
	for text, want := range map[string]string{
		"rerotate(snapkv):0.5":           "rerotate(snapkv:0.5)",
		" adakv ( snapkv ) : 0.5 ":       "adakv(snapkv):0.5",
		"composed(snapkv, knorm:0.1):.3": "composed(snapkv:0.3, knorm:0.1)",
	} {
		p, err := kvpress.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if p.Name() != want {
			t.Errorf("%s is spelled %s, want %s", text, p.Name(), want)
		}
	}
}

func TestParseErrorsTellTheCure(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "name is missing",
		"snapkw:0.5":                `did you mean "snapkv"`,
		"snapkv":                    "needs a budget: write snapkv:0.5",
		"adakv(snapkv)":             "needs a budget",
		"adakv:0.5":                 "takes one scorer",
		"adakv(snapkv:0.5)":         "budget belongs to the outer press",
		"adakv(rerotate(knorm)):.5": "has a budget rule of its own",
		"snapkv(win=3):0.5":         "it has window, kernel",
		"snapkv(window=x):0.5":      "a whole number is wanted",
		"snapkv(window=3:0.5":       "closing bracket is missing",
		"snapkv:1.5":                "from 0 (keep all) to 1",
		"snapkv:0.5 knorm":          "write a ratio",
		"knorm(x=1):0.5":            "no parameters",
		"knorm(snapkv):0.5":         "wraps no other press",
		"simlayerkv:0.5":            "simlayerkv has no budget",
		"think(ratio=0.5):0.5":      "think has no budget",
		"perlayer(knorm, ratios=a)": "numbers separated by /",
		"snapkv:0.5)":               "left over",
	} {
		_, err := kvpress.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v does not say %q", text, err, want)
		}
	}
	if _, err := kvpress.Parse("snapkv(window=x):0.5"); !errors.Is(err, kvpress.ErrBadParameter) {
		t.Errorf("%v is no ErrBadParameter", err)
	}
}

func TestParseList(t *testing.T) {
	all, err := kvpress.ParseList("snapkv(window=16):0.5, adakv(snapkv):0.9,knorm:512tok")
	if err != nil || len(all) != 3 || all[2].Name() != "knorm:512tok" {
		t.Errorf("%v, %v", all, err)
	}
	for _, text := range []string{"", "snapkv:0.5,", ",knorm:0.5", "knorm:0.5 snapkv:0.5"} {
		if _, err := kvpress.ParseList(text); err == nil {
			t.Errorf("%q reads as a list", text)
		}
	}
}

// TestEveryMethodIsListed holds the catalogue to what each method says of itself.
func TestParseSweep(t *testing.T) {
	for _, c := range []struct {
		spelling string
		ratios   []float64
		want     string // names, or what the error says
	}{
		{"snapkv, adakv(snapkv(window=16))", []float64{0.25, 0.5}, "snapkv:0.25 snapkv:0.5 adakv(snapkv(window=16)):0.25 adakv(snapkv(window=16)):0.5"},
		{"snapkv:0.9, knorm", []float64{0.1}, "snapkv:0.9 knorm:0.1"},
		{"snapkv:0.9", nil, "snapkv:0.9"},
		{"chunk(knorm)", []float64{0.5, 0.75}, "chunk(knorm):0.5 chunk(knorm):0.75"},
		{"snapkv", nil, "needs a budget"},
		{"snapkv", []float64{1.5}, "ratio 1.5"},
		{"nosuch", []float64{0.5}, "no press"},
		{"snapkv,", []float64{0.5}, "name is missing"},
	} {
		var budgets []kvpress.Budget
		for _, r := range c.ratios {
			budgets = append(budgets, kvpress.Ratio(r))
		}
		presses, err := kvpress.ParseSweep(c.spelling, budgets...)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: %v, want %q", c.spelling, err, c.want)
			}
			continue
		}
		var names []string
		for _, p := range presses {
			names = append(names, p.Name())
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%q: %s, want %s", c.spelling, got, c.want)
		}
	}
}

func TestEveryMethodIsListed(t *testing.T) {
	for _, m := range kvpress.Methods() {
		if (m.Scorer == nil) == (m.Press == nil) {
			t.Errorf("%s is a scorer or a press, one of both", m.Name)
		}
		if m.Name != strings.ToLower(m.Name) {
			t.Errorf("%s is not lower case", m.Name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"snapkv:0.5", "adakv(snapkv(window=16), floor=0.3):64MiB", "composed(a:0.1,b)", "perlayer(knorm, ratios=1/2)", "x((((", ":::", "a=b=c", "é(ü)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := kvpress.Parse(text)
		if err != nil {
			return
		}
		again, err := kvpress.Parse(p.Name())
		if err != nil {
			t.Fatalf("%q is spelled %q, which does not read: %v", text, p.Name(), err)
		}
		if again.Name() != p.Name() {
			t.Fatalf("%q is spelled %q and then %q", text, p.Name(), again.Name())
		}
	})
}
