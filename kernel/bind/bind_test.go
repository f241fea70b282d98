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

func TestDocumentation(t *testing.T) {
	doc := bind.Documentation("github.com/kvnotes/kvnotes/kvpress.TopK")
	if !strings.HasPrefix(doc, "func TopK(") || !strings.Contains(doc, "budget") {
		t.Errorf("the documentation of TopK is %q", doc)
	}
}
