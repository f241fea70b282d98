package kvnotes_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kvnotes/kvnotes/"

// arrows says which packages of ours each package may reach. Arrows point down; this table is the law.
var arrows = map[string][]string{
	"kvpress/tensor":         {},
	"kvpress/progress":       {},
	"kvpress/needle":         {},
	"kvpress/tokenizer":      {},
	"kvpress/weights":        {"kvpress/tensor"},
	"kvpress":                {"kvpress/tensor"},
	"kvpress/presstest":      {"kvpress", "kvpress/tensor"},
	"kvpress/trained":        {"kvpress", "kvpress/tensor", "kvpress/weights"},
	"kvpress/hub":            {"kvpress/tensor", "kvpress/weights", "kvpress/needle"},
	"kvpress/llm":            {"kvpress", "kvpress/tensor", "kvpress/weights", "kvpress/tokenizer", "kvpress/hub", "kvpress/needle", "kvpress/progress"},
	"kvpress/cpu":            {"kvpress", "kvpress/tensor", "kvpress/weights", "kvpress/tokenizer", "kvpress/hub", "kvpress/needle", "kvpress/progress", "kvpress/llm"},
	"kvpress/eval":           {"kvpress", "kvpress/tensor", "kvpress/weights", "kvpress/tokenizer", "kvpress/hub", "kvpress/needle", "kvpress/progress", "kvpress/llm"},
	"viz":                    {"kvpress", "kvpress/tensor", "kvpress/weights", "kvpress/tokenizer", "kvpress/hub", "kvpress/needle", "kvpress/progress", "kvpress/llm", "kvpress/eval", "viz/widget"},
	"viz/widget":             {},
	"kernel/display":         {},
	"kernel/internal/wire":   {},
	"kernel/internal/interp": {"kernel/display"},
	"kernel/internal/server": {"kernel/display", "kernel/internal/wire", "viz/widget"},
}

// homes says which package alone may name a third party.
var homes = map[string][]string{
	"github.com/cosmos72/gomacro":         {"kernel/internal/interp", "kernel/bind"},
	"github.com/gopherdata/gophernotes":   {"kernel/internal/interp", "kernel/bind"},
	"github.com/go-zeromq/zmq4":           {"kernel/internal/server"},
	"github.com/go-echarts/go-echarts/v2": {"viz"},
	"github.com/nlpodyssey/safetensors":   {"kvpress/weights"},
	"github.com/nikolalohinski/gonja/v2":  {"kvpress/tokenizer"},
	"gorgonia.org/cu":                     {"cuda"},
	"github.com/schollz/progressbar/v3":   {"kernel/kvnotes"},
	"github.com/spf13/cobra":              {"kernel/kvnotes"},
}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func TestArrowsPointDown(t *testing.T) {
	for _, path := range list(t, "./...") {
		name := strings.TrimPrefix(path, module)
		allowed, ruled := arrows[name]
		if !ruled {
			continue // programs, generated bindings and tests may reach everything
		}
		for _, dep := range list(t, "-deps", path) {
			ours, ok := strings.CutPrefix(dep, module)
			if ok && ours != name && !slices.Contains(allowed, ours) {
				t.Errorf("%s reaches %s, which it must not: turn the arrow round, or change the table in the open", name, ours)
			}
		}
	}
}

func TestThirdPartiesHaveOneHome(t *testing.T) {
	for _, path := range list(t, "./...") {
		name := strings.TrimPrefix(path, module)
		for _, imported := range list(t, "-f", "{{join .Imports \"\\n\"}}", path) {
			for party, home := range homes {
				if (imported == party || strings.HasPrefix(imported, party+"/")) && !slices.Contains(home, name) {
					t.Errorf("%s imports %s, whose home is %v", name, imported, home)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSpace(strings.Join(list(t, "-f", "{{.ImportPath}}={{len .Doc}}", "./..."), "\n")), "\n") {
		path, doc, _ := strings.Cut(line, "=")
		if doc == "0" && path != strings.TrimSuffix(module, "/") {
			t.Errorf("%s has no package comment", path)
		}
	}
}
