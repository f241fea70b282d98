package interp

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kernel/bind"
)

func TestComplete(t *testing.T) {
	in := start(t)
	if got := text(in, "import \"strings\"\ntype pair struct{ Left, Right int }\nfunc (p pair) Sum() int { return 0 }\nvar élan pair\nlonely := 1"); got != "" {
		t.Fatal(got)
	}
	for _, c := range []struct {
		code   string // | is the cursor
		want   string // one of the matches
		within string // what the matches replace
	}{
		{"strings.ToU|", "ToUpper", "ToU"},
		{"x := strings.ToU|(1)", "ToUpper", "ToU"},
		{"lone|", "lonely", "lone"},
		{"élan.Le|", "Left", "Le"},
		{"é := 1; élan.S|", "Sum", "S"},
		{"import \"container/h|", "container/heap", "container/h"},
		{"import (\n\t\"math/r|", "math/rand", "math/r"},
		{"var undone int\nund|", "undone", "und"},
		{"und|\nvar undone int", "undone", "und"},
		{"retu|", "return", "retu"},
		{"slices.So|", "", "So"},
		{"|", "", ""},
		{")(|", "", ""},
	} {
		cursor := len([]rune(c.code[:strings.Index(c.code, "|")]))
		code := strings.Replace(c.code, "|", "", 1)
		matches, from, to := in.Complete(code, cursor)
		if c.want != "" && !slices.Contains(matches, c.want) {
			t.Errorf("%s: %q is not among %q", c.code, c.want, matches)
		}
		if got := string([]rune(code)[from:to]); got != c.within {
			t.Errorf("%s: %q is replaced, want %q", c.code, got, c.within)
		}
		if slices.ContainsFunc(matches, func(m string) bool { return strings.Contains(m, "·") }) {
			t.Errorf("%s: inner names are among %q", c.code, matches)
		}
	}
}

func TestCompleteBesideARunningCell(t *testing.T) {
	in := start(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { _, _, err := in.Eval(ctx, "for {}"); ended <- err }()
	began := time.Now()
	for time.Since(began) < 100*time.Millisecond {
		in.Complete("display.HT", 10)
		in.Inspect("display.HTML", 9)
		in.IsComplete("for {")
	}
	stop()
	if err := <-ended; !errors.Is(err, ErrInterrupted) {
		t.Error(err)
	}
}

func TestIsComplete(t *testing.T) {
	in := start(t)
	for code, want := range map[string]string{
		"": "complete", "x := 1": "complete", "func f() int {\n\treturn 1\n}": "complete", "%time": "complete", "$ ls": "complete",
		"func f() {": "incomplete", "x := []int{1,": "incomplete", "s := `a": "incomplete", "/* a": "incomplete", "f(1,": "incomplete",
		"x := )": "invalid", "for for": "invalid",
	} {
		if got, _ := in.IsComplete(code); got != want {
			t.Errorf("%q is %s, want %s", code, got, want)
		}
	}
	if _, indent := in.IsComplete("func f() {\n\tif x {"); indent != "\t\t" {
		t.Errorf("the indent is %q", indent)
	}
}

func TestInspect(t *testing.T) {
	Documentation = bind.Documentation
	defer func() { Documentation = func(string) string { return "" } }()
	in := start(t)
	if got := text(in, "import (\"strings\"; \"net/http\"; \"slices\"; \"github.com/kvnotes/kvnotes/kvpress\")\ntype pair struct{ Left, Right int }\nfunc (p pair) Sum() int { return p.Left }\nv := pair{1, 2}\nvar b strings.Builder\nclient := &http.Client{}\nmy := 3.5"); got != "" {
		t.Fatal(got)
	}
	for _, c := range []struct {
		code string // | is the cursor
		want []string
	}{
		{"strings.ToUp|per(x)", []string{"func ToUpper(s string) string", "returns s with all"}},
		{"strings.ToUpper(|", []string{"func ToUpper"}},
		{"string|s.ToUpper", []string{"package strings", "UTF-8 encoded strings", "TrimLeft"}},
		{"strings.Builder|", []string{"type Builder struct", "minimizes memory copying"}},
		{"strings.Builder.Grow|", []string{"func (b *Builder) Grow(n int)"}},
		{"b.Gro|w", []string{"func (b *Builder) Grow(n int)"}},
		{"client.Get|", []string{"func (c *Client) Get(url string)"}},
		{"client.Timeout|", []string{"client.Timeout time.Duration"}},
		{"kvpress.TopK|", []string{"func TopK(", "budget"}},
		{"kvpress.Press|", []string{"type Press interface"}},
		{"kvpress.Press.Plan|", []string{"Plan("}},
		{"display.Markdown|", []string{"func Markdown("}},
		{"v|", []string{"v main.pair = {Left:1 Right:2}"}},
		{"my|", []string{"my float64 = 3.5"}},
		{"v.Left|", []string{"v.Left int"}},
		{"append|", []string{"func append(slice []Type"}},
		{"slices.Sort|", []string{"Sort(s)"}},
		{"pair|", []string{"pair struct { Left int; Right int }", "Sum func"}},
		{"kvpress|", []string{"package kvpress"}},
	} {
		cursor := strings.Index(c.code, "|")
		got, found := in.Inspect(strings.Replace(c.code, "|", "", 1), cursor)
		for _, want := range c.want {
			if !found || !strings.Contains(got, want) {
				t.Errorf("%s: %q is not in %.300q", c.code, want, got)
			}
		}
	}
	for _, code := range []string{"", "nosuchname", "strings.NoSuch", "1.5", "v.w.x.y"} {
		if got, found := in.Inspect(code, len(code)); found {
			t.Errorf("%q is described as %q", code, got)
		}
	}
}

func TestNewerPackages(t *testing.T) {
	in := start(t)
	for _, c := range []struct{ code, want string }{
		{"import (\"log/slog\"; \"strings\"; \"math/rand/v2\"; \"errors\"; \"context\"; \"os\"; \"net/http\"; \"unicode/utf8\")", ""},
		{"var b strings.Builder; slog.New(slog.NewTextHandler(&b, nil)).Info(\"hello\", \"n\", 3); strings.Contains(b.String(), \"msg=hello n=3\")", "true"},
		{"n := rand.New(rand.NewPCG(1, 2)).IntN(10); n >= 0 && n < 10", "true"},
		{"e := errors.New(\"e\"); errors.Is(errors.Join(e, nil), e)", "true"},
		{"rest, found := strings.CutPrefix(\"go1\", \"go\"); rest", "1"},
		{"c, cancel := context.WithCancelCause(ctx); cancel(e); context.Cause(c) == e", "true"},
	} {
		if got := text(in, c.code); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.code, got, c.want)
		}
	}
}
