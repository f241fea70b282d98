package bind_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos72/gomacro/fast"

	"github.com/kvnotes/kvnotes/kernel/bind"
)

// TestBindingsAreFresh generates the bindings again and compares.
func TestBindingsAreFresh(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "run", "./gen", "-out", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*_*"))
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Glob("*_[bd][io][nc][ds]*")
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != len(here) {
		t.Errorf("%d bindings are made, %d are here", len(made), len(here))
	}
	for _, path := range made {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Base(path))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes now: run make generate", filepath.Base(path))
		}
	}
}

// TestAnyGomacroKernelReachesUs is what a blank import gives another kernel.
func TestAnyGomacroKernelReachesUs(t *testing.T) {
	in := fast.New()
	in.Eval(`import ("github.com/kvnotes/kvnotes/kvpress"; "github.com/kvnotes/kvnotes/kvpress/tensor")`)
	v, _ := in.Eval1(`kvpress.KeepCount(100, 0.9)`)
	if v.Interface() != 9 {
		t.Errorf("KeepCount(100, 0.9) is %v in a cell", v)
	}
	in.Eval(`type Mine struct{ Start float32 }
func (m Mine) Name() string { return "mine" }
func (m Mine) Score(l *kvpress.Layer) (kvpress.Scores, error) {
	values := tensor.New(l.KVHeads, l.Len)
	for i := range values.Data { values.Data[i] = m.Start + float32(i) }
	return kvpress.Scores{Values: values}, nil
}`)
	v, _ = in.Eval1(`kvpress.TopK(Mine{1}, kvpress.Ratio(0.5)).Name()`)
	if v.Interface() != "mine:0.5" {
		t.Errorf("a scorer of a cell is called %v", v)
	}
}

// TestGuidesCellRuns runs the cell that CONTRIBUTING.md shows, in which a press of a cell is checked.
func TestGuidesCellRuns(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, cell, ok := strings.Cut(string(guide), "```go\nimport (")
	if !ok {
		t.Fatal("CONTRIBUTING.md shows no cell")
	}
	cell, _, _ = strings.Cut("import ("+cell, "```")
	in := fast.New()
	in.Eval(cell) // panics when the check fails
	v, _ := in.Eval1(`presstest.CheckScorer(Newest{}) == nil`)
	if v.Interface() != true {
		t.Error("the press of the guide's cell breaks a promise")
	}
}

// TestEvaluationInACell runs a sweep over a press of the cell's own, and measures it without an answer key.
func TestEvaluationInACell(t *testing.T) {
	in := fast.New()
	in.Eval(`import (
	"context"
	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/eval"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/viz"
)
type Newest struct{}
func (Newest) Name() string { return "newest" }
func (Newest) Score(l *kvpress.Layer) (kvpress.Scores, error) {
	values := tensor.New(l.KVHeads, l.Len)
	for h := 0; h < l.KVHeads; h++ {
		for i := range values.Row(h) { values.Set(h, i, float32(i)) }
	}
	return kvpress.Scores{Values: values}, nil
}
ctx := context.Background()
model, err := llm.Load("needle", cpu.New())
if err != nil { panic(err) }
presses, err := kvpress.ParseSweep("knorm, snapkv(window=8)", kvpress.Ratio(0.25), kvpress.Ratio(0.75))
if err != nil { panic(err) }
presses = append(presses, kvpress.TopK(Newest{}, kvpress.Ratio(0.5)))
bench, err := eval.Find("needle")
if err != nil { panic(err) }
report, err := eval.Run(ctx, model, eval.Sweep{Benchmark: bench, Options: eval.Options{Tokens: 150, Samples: 4}, Presses: presses, Closeness: true})
if err != nil { panic(err) }
chart := viz.Sweep(report.Scores())
whole, err := model.Prefill(ctx, "The best friend of Anna is Ben. The access code of Oslo is 1234.", llm.Full())
if err != nil { panic(err) }
ref, err := eval.Refer(ctx, whole, llm.Question{Text: "\nWho is the best friend of Anna?", MaxTokens: 8})
if err != nil { panic(err) }
pressed, err := whole.Press(presses[4])
if err != nil { panic(err) }
close, err := ref.Compare(ctx, pressed)
if err != nil { panic(err) }`)
	v, _ := in.Eval1(`len(report.Records)`)
	if v.Interface() != 24 {
		t.Errorf("the sweep of a cell has %v records", v)
	}
	v, _ = in.Eval1(`chart.Text() + report.String() + report.Markdown() + close.String()`)
	text := v.String()
	for _, want := range []string{"newest", "right", "log_likelihood", "saved", "| facts | newest:0.5 |", "attention lost"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	v, _ = in.Eval1(`report.Failed() == 0 && close.KL >= 0 && close.AttentionLost > 0`)
	if v.Interface() != true {
		t.Errorf("failures, or no closeness:\n%s", text)
	}
}

func TestDocumentation(t *testing.T) {
	doc := bind.Documentation("github.com/kvnotes/kvnotes/kvpress.TopK")
	if !strings.HasPrefix(doc, "func TopK(") || !strings.Contains(doc, "budget") {
		t.Errorf("the documentation of TopK is %q", doc)
	}
}
