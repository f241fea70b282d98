// Package kvnotes_test holds the laws that go across packages: which of them may know which, and that the commands of
// the README exist.
package kvnotes_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kvnotes/kvnotes/"

// arrows says which packages of ours each package may import; what these reach, it reaches too. Arrows point down, and
// this table is the law. Programs are not in it: they may import everything.
var arrows = map[string][]string{
	"internal/file":              {},
	"kvpress/tensor":             {},
	"kvpress/progress":           {},
	"kvpress/needle":             {},
	"kvpress/internal/bounded":   {},
	"kvpress/internal/jinja":     {},
	"kvpress/tokenizer":          {"kvpress/internal/jinja"},
	"kvpress/weights":            {"internal/file", "kvpress/tensor"},
	"kvpress":                    {"kvpress/tensor"},
	"kvpress/presstest":          {"kvpress", "kvpress/tensor"},
	"kvpress/trained":            {"internal/file", "kvpress", "kvpress/tensor", "kvpress/weights", "kvpress/hub", "kvpress/llm"},
	"kvpress/internal/invented":  {"kvpress", "kvpress/tensor"},
	"kvpress/internal/reference": {"kvpress", "kvpress/tensor", "kvpress/weights"},
	"kvpress/hub":                {"internal/file", "kvpress/needle", "kvpress/progress", "kvpress/tensor", "kvpress/weights"},
	"kvpress/llm":                {"kvpress", "kvpress/hub", "kvpress/progress", "kvpress/tensor", "kvpress/tokenizer", "kvpress/weights"},
	"kvpress/cpu":                {"kvpress", "kvpress/llm", "kvpress/tensor", "kvpress/weights"},
	"cuda":                       {"kvpress", "kvpress/cpu", "kvpress/llm", "kvpress/tensor", "kvpress/weights"},
	"kvpress/eval":               {"internal/file", "kvpress", "kvpress/eval/metrics", "kvpress/llm", "kvpress/needle", "kvpress/progress"},
	"kvpress/eval/metrics":       {},
	"viz":                        {"internal/file", "kvpress", "kvpress/eval", "kvpress/llm", "kvpress/tensor", "viz/widget"},
	"viz/widget":                 {},
	"kernel/display":             {},
	"kernel/internal/wire":       {},
	"kernel/internal/interp":     {"kernel/display"},
	"kernel/internal/server":     {"kernel/display", "kernel/internal/wire", "viz/widget"},
}

// programs and the bindings, which the interpreter's cells see everything through.
var unruled = []string{"kernel/bind", "kernel/bind/gen", "kernel/kvnotes"}

// homes says which packages alone may name a third party.
var homes = map[string][]string{
	"github.com/cosmos72/gomacro":         {"kernel/internal/interp", "kernel/bind", "kernel/bind/gen"},
	"github.com/gopherdata/gophernotes":   {"kernel/internal/interp", "kernel/bind", "kernel/bind/gen"},
	"github.com/go-zeromq/zmq4":           {"kernel/internal/server"},
	"github.com/go-echarts/go-echarts/v2": {"viz"},
	"gonum.org/v1/plot":                   {"viz"},
	"gorgonia.org/cu":                     {"cuda"},
	"github.com/nlpodyssey/safetensors":   {"kvpress/weights"},
	"github.com/schollz/progressbar/v3":   {"kernel/kvnotes"},
	"github.com/spf13/cobra":              {"kernel/kvnotes"},
	"github.com/parquet-go/parquet-go":    {"kvpress/eval"},
}

// packages lists ours, by path below the module, with one field of what go list says about each.
func packages(t *testing.T, field string) map[string]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}\t"+field, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if name, below := strings.CutPrefix(path, module); below {
			all[name] = value
		}
	}
	if len(all) == 0 {
		t.Fatal("go list finds no package")
	}
	return all
}

func TestArrowsPointDown(t *testing.T) {
	for name, imports := range packages(t, `{{join .Imports " "}}`) {
		allowed, ruled := arrows[name]
		if !ruled && !slices.Contains(unruled, name) {
			t.Errorf("%s is new: say in the table what it may import", name)
		}
		for path := range strings.FieldsSeq(imports) {
			if ours, ok := strings.CutPrefix(path, module); ok && ruled && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which it must not: turn the arrow round, or change the table in the open", name, ours)
			}
			for party, home := range homes {
				if (path == party || strings.HasPrefix(path, party+"/")) && !slices.Contains(home, name) {
					t.Errorf("%s imports %s, whose home is %v", name, path, home)
				}
			}
		}
	}
}

// TestArchitectureShowsTheArrows keeps the list in docs/architecture.md what the table is; -update writes it.
func TestArchitectureShowsTheArrows(t *testing.T) {
	var list strings.Builder
	for _, name := range slices.Sorted(maps.Keys(arrows)) {
		fmt.Fprintln(&list, strings.TrimSpace(fmt.Sprintf("%-26s -> %s", name, strings.Join(arrows[name], ", "))))
	}
	page := filepath.Join("docs", "architecture.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "```text\n")
	shown, after, found := strings.Cut(rest, "```")
	if found && shown == list.String() {
		return
	}
	if !*update {
		t.Fatalf("%s does not show the arrows as they are: go test . -run Architecture -update", page)
	}
	if err := os.WriteFile(page, []byte(before+"```text\n"+list.String()+"```"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPackagesSayWhatTheyAre wants a package comment everywhere, and where numbers are handled, their shapes and units.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	for name, dir := range packages(t, "{{.Dir}}") {
		doc := packageComment(t, dir)
		if doc == "" {
			t.Errorf("%s has no package comment", name)
		}
		if strings.HasPrefix(name, "kernel/") || strings.Contains(name, "internal/") {
			continue
		}
		if !strings.Contains(doc, "\nShapes and units: ") {
			t.Errorf("the comment of %s does not say its shapes and units", name)
		}
	}
}

func packageComment(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		text += f.Doc.Text()
	}
	return text
}
