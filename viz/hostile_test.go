package viz

import (
	"encoding/xml"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// hostile are texts that would become more than texts in a page that is put together carelessly: of a Wikipedia article, a
// token, a model, a press, an error.
var hostile = []string{
	`<script>alert(1)</script>`,
	`</script><script>alert(1)</script>`,
	`"><img src=x onerror="alert(1)">`,
	`' onmouseover='alert(1)' x='`,
	`</text></svg><svg onload="alert(1)">`,
	"]]>--><!--<![CDATA[\u2028alert(1)\u2029",
	`&lt;script&gt;&#60;b&#62;`,
	`</title></style></textarea><iframe srcdoc="<b>">`,
	"<\x00script>\xff\u202e\x1b[31m",
}

// sayingEverywhere makes every chart that is made of data, each with a text wherever data can have one.
func sayingEverywhere(text string) map[string]*Chart {
	scores := tensor.New(2, 40)
	for i := range scores.Data {
		scores.Data[i] = float32(i*7919%41) / 41
	}
	plan := kvpress.Plan{Keep: [][]int{{0, 1}, {2}}, Scores: scores}
	kept := Kept{Press: text, Lens: [][]int{{1, 2}, {3, 4}}, Full: 40}
	tokens := Tokens{Press: text, Texts: []string{text, "b", text}, Keep: [][][]int{{{0}, {1}}, {{0, 1}, {2}}}}
	fewer := Tokens{Press: text + "2", Texts: tokens.Texts, Keep: [][][]int{{{0}, {0}}, {{1}, {2}}}}
	pruning := Pruning{Observed: scores, Names: []string{text}, Scores: []tensor.Mat{scores}}
	return map[string]*Chart{
		"AttentionOf":      AttentionOf(Looked{Last: 1, Mean: [][]float64{{0.5, 0.5}}, Positions: [][]int{{0, 1}}}),
		"CompareOf":        CompareOf(tokens, fewer),
		"CostsOf":          CostsOf([]Trial{{Press: text, KVBytes: 9, TokenMillis: 2}, {Press: text, Ratio: 0.5, KVBytes: 5, TokenMillis: 1}}),
		"DecodeTimelineOf": DecodeTimelineOf(Evictions{Press: text, Lens: [][]int{{2}}, First: 2, Asked: 1, Tokens: 3, Times: []Eviction{{Next: 3, Gone: [][][]int{{{0}}}}}}),
		"ForeseenOf":       ForeseenOf(pruning, 0),
		"HeadBudgetOf":     HeadBudgetOf(kept, kept, -1),
		"LatencyOf":        LatencyOf(Timing{text, 10, 1}, Timing{text, 20, 2}),
		"LostOf":           LostOf(pruning),
		"MemoryOf":         MemoryOf(Used{Press: text, Full: 9, KV: 5, Live: 4, Peak: 9, ByLayer: []int64{2, 3}}),
		"PressesOf":        PressesOf(tokens, fewer),
		"QueryGaussianOf":  QueryGaussianOf(Sampled{Of: text, Values: tensor.Mat{Rows: 40, Cols: 2, Data: scores.Data}}),
		"RetainedOf":       RetainedOf(kept),
		"ScoresOf":         ScoresOf(Scored{Press: text, Plan: plan}),
		"SweepOf":          SweepOf([]Trial{{Press: text, Ratio: 0.5, Score: 0.5}, {Press: "none", Score: 1}}),
		"TokenStripOf":     TokenStripOf(tokens, -1, -1),
		"an error":         failed(text, errors.New(text)),
	}
}

// TestHostileTextsStayTexts draws every chart with hostile texts and once more with a letter in their place: pages and
// drawings must have the same kinds of elements, with the same attributes, and as many scripts.
func TestHostileTextsStayTexts(t *testing.T) {
	tame := sayingEverywhere("x")
	for _, name := range chartsOfData(t) {
		if tame[name] == nil {
			t.Errorf("%s is not tried with hostile texts", name)
		}
	}
	for _, evil := range hostile {
		for name, c := range sayingEverywhere(evil) {
			if failed := c.png == nil; failed != (name == "an error") {
				t.Fatalf("%s: not drawn: %s", name, c.Text())
			}
			for what, pages := range map[string][2]string{
				"page":     {c.HTML(), tame[name].HTML()},
				"document": {c.document(), tame[name].document()},
				"strip":    {c.page, tame[name].page},
			} {
				if got, want := elements(t, pages[0]), elements(t, pages[1]); !slices.Equal(got, want) {
					t.Errorf("%s with %q: the %s has %v, want %v", name, evil, what, got, want)
				}
			}
			if got, want := drawn(t, name, c.SVG()), drawn(t, name, tame[name].SVG()); !slices.Equal(got, want) {
				t.Errorf("%s with %q: the drawing has %v, want %v", name, evil, got, want)
			}
		}
		if got := elements(t, marked(evil, "y")); !slices.Equal(got, []string{"mark style"}) {
			t.Errorf("an answer of the tuner, %q, has %v", evil, got)
		}
	}
}

// chartsOfData are the exported functions of this package that make a chart of data, not of a session.
func chartsOfData(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasSuffix(f.Name.Name, "Of") || f.Type.Results == nil {
				continue
			}
			if star, ok := f.Type.Results.List[0].Type.(*ast.StarExpr); ok && star.X.(*ast.Ident).Name == "Chart" {
				names = append(names, f.Name.Name)
			}
		}
	}
	if len(names) < 10 {
		t.Fatalf("only %v are found", names)
	}
	return names
}

// elements lists the kinds of elements that a browser finds in a page, with the names of their attributes, and each script.
func elements(t *testing.T, page string) []string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for n := range root.Descendants() {
		if n.Type == html.CommentNode {
			kinds = append(kinds, "a comment")
		}
		if n.Type != html.ElementNode || n.Data == "html" || n.Data == "head" || n.Data == "body" && len(n.Attr) == 0 {
			continue
		}
		kind := n.Data
		for _, a := range n.Attr {
			kind += " " + a.Key
		}
		if n.Data == "script" || !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		if n.Data == "script" && strings.ContainsAny(n.FirstChild.Data, "\u2028\u2029") {
			t.Error("a line separator stands in a script")
		}
	}
	slices.Sort(kinds)
	return kinds
}

// drawn lists the same for a drawing, which must be well-formed.
func drawn(t *testing.T, name, svg string) []string {
	t.Helper()
	var kinds []string
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			slices.Sort(kinds)
			return kinds
		}
		if err != nil {
			t.Fatalf("%s: the drawing is no XML: %v\n%.300s", name, err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			kind := e.Name.Local
			for _, a := range e.Attr {
				kind += " " + a.Name.Local
			}
			if !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
	}
}
