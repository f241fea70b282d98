package display

import (
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// notebook is a front end that remembers what it is told.
type notebook struct {
	mu      sync.Mutex
	shown   []Data
	updated []Data
	cleared int
}

func (n *notebook) Display(d Data) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shown = append(n.shown, d)
	return nil
}

func (n *notebook) Update(d Data) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.updated = append(n.updated, d)
	return nil
}

func (n *notebook) Clear(bool) error { n.cleared++; return nil }

func (n *notebook) Input(prompt string, password bool) (string, error) {
	return fmt.Sprint(prompt, password), nil
}

type (
	bold    struct{}
	drawing struct{}
	bundled struct{}
	speaker struct{ A int }
)

func (bold) HTML() string      { return "<b>x</b>" }
func (bold) Markdown() string  { return "**x**" }
func (drawing) SVG() string    { return "<svg/>" }
func (drawing) PNG() []byte    { return []byte{1} }
func (speaker) String() string { return "spoken" }
func (bundled) HTML() string   { return "not this one" }
func (bundled) SimpleRender() MIMEMap {
	return MIMEMap{MIMETypeHTML: "<i>y</i>", "application/x": 3}
}

func TestAuto(t *testing.T) {
	for _, c := range []struct {
		value interface{}
		want  map[string]string
	}{
		{bold{}, map[string]string{MIMETypeHTML: "<b>x</b>", MIMETypeMarkdown: "**x**"}},
		{drawing{}, map[string]string{MIMETypeSVG: "<svg/>", MIMETypePNG: "[1]"}},
		{bundled{}, map[string]string{MIMETypeHTML: "<i>y</i>", "application/x": "3"}},
		{iotest.ErrReader(errors.New("torn")), map[string]string{MIMETypeText: "reading a *iotest.errReader to show it: torn"}},
		{HTML("h"), map[string]string{MIMETypeHTML: "h"}},
		{Latex("a^2"), map[string]string{MIMETypeLatex: "$a^2$"}},
		{Math("$a^2$"), map[string]string{MIMETypeLatex: "$$a^2$$"}},
		{[]byte("\x89PNG\r\n\x1a\n123"), map[string]string{"image/png": fmt.Sprint([]byte("\x89PNG\r\n\x1a\n123"))}},
		{"plain", map[string]string{MIMETypeText: "plain"}},
		{errors.New("bad"), map[string]string{MIMETypeText: "bad"}},
		{speaker{1}, map[string]string{MIMETypeText: "spoken"}},
		{struct{ A, B int }{1, 2}, map[string]string{MIMETypeText: "{A:1 B:2}"}},
		{1500 * time.Millisecond, map[string]string{MIMETypeText: "1.5s"}},
		{nil, map[string]string{MIMETypeText: "<nil>"}},
	} {
		d := Auto(c.value)
		for format, want := range c.want {
			if got := fmt.Sprint(d.Data[format]); got != want {
				t.Errorf("%T as %s is %q, want %q", c.value, format, got, want)
			}
		}
		if d.Data[MIMETypeText] == nil {
			t.Errorf("%T has no text", c.value)
		}
	}
	picture := Auto(image.NewGray(image.Rect(0, 0, 3, 2)))
	if picture.Data[MIMETypePNG] == nil || picture.Data[MIMETypeText] != "image of 3 x 2" {
		t.Errorf("a picture is %v", picture.Data[MIMETypeText])
	}
	name := filepath.Join(t.TempDir(), "x.svg")
	if err := os.WriteFile(name, []byte("<svg/>"), 0o644); err != nil {
		t.Fatal(err)
	}
	if d, err := File(MIMETypeSVG, name); err != nil || d.Data[MIMETypeSVG] == nil {
		t.Errorf("a file is %v, %v", d, err)
	}
	if _, err := File("", name+"x"); err == nil {
		t.Error("a missing file is shown")
	}
}

func TestTables(t *testing.T) {
	type run struct {
		Press string
		Ratio float64
		Took  time.Duration
		note  string
	}
	var runs []run
	for i := range 25 {
		runs = append(runs, run{"p<" + fmt.Sprint(i), float64(i) / 3, 3333333333, "hidden"})
	}
	d := Value(runs)
	text, html := fmt.Sprint(d.Data[MIMETypeText]), fmt.Sprint(d.Data[MIMETypeHTML])
	for _, want := range []string{"Press   Ratio    Took", "p<19   6.333  3.333s", "25 rows, the first 20 are shown"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "hidden") || strings.Contains(text, "p<20") {
		t.Errorf("the table says too much:\n%s", text)
	}
	if !strings.Contains(html, "<td>p&lt;3</td>") {
		t.Errorf("texts are not escaped: %s", html)
	}
	matrix := struct {
		Rows, Cols int
		Data       []float32
	}{2, 3, []float32{1, 2, 3, 4, 5, float32(math.NaN())}}
	if got := fmt.Sprint(Value(&matrix).Data[MIMETypeText]); !strings.Contains(got, "2 x 3") || !strings.Contains(got, "NaN") {
		t.Errorf("a matrix is\n%s", got)
	}
	matrix.Rows = 7 // not a matrix after all
	if Value(matrix).Data[MIMETypeHTML] != nil {
		t.Error("a broken matrix is a table")
	}
	for _, plain := range []interface{}{[]run{}, []int{1}, []speaker{{1}}, []time.Time{{}}, (*run)(nil), []*run(nil)} {
		if Value(plain).Data[MIMETypeHTML] != nil {
			t.Errorf("%T is a table", plain)
		}
	}
	if got := fmt.Sprint(Value([]*run{nil, {Press: "q"}}).Data[MIMETypeText]); !strings.Contains(got, "q") {
		t.Errorf("pointers are\n%s", got)
	}
}

func TestLongValuesAreCut(t *testing.T) {
	if s := Text(make([]int, 1<<20)); len(s) > 1000 || !strings.Contains(s, "1048576 in all") {
		t.Errorf("a long list is %d bytes: %.80s", len(s), s)
	}
	if s := Text(strings.Repeat("é", 30000)); !strings.Contains(s, "10000 more characters") {
		t.Errorf("a long text ends in %q", s[len(s)-40:])
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1536: "1.5 kB", 999_950: "1 MB", 15_010_000_000: "15 GB", -2500: "-2.5 kB"} {
		if got := Size(n); got != want {
			t.Errorf("%d bytes are %s, want %s", n, got, want)
		}
	}
}

func TestShowUpdateClearInput(t *testing.T) {
	if err := Show("x"); err == nil {
		t.Error("shown without a notebook")
	}
	n := &notebook{}
	Connect(n)
	defer Connect(nil)
	h, err := ShowHandle("first")
	if err != nil {
		t.Fatal(err)
	}
	if err := Update(h, "second"); err != nil {
		t.Fatal(err)
	}
	if id := n.shown[0].Transient["display_id"]; id == nil || id != n.updated[0].Transient["display_id"] || n.updated[0].Data[MIMETypeText] != "second" {
		t.Errorf("shown %v, updated %v", n.shown, n.updated)
	}
	if err := Clear(true); err != nil || n.cleared != 1 {
		t.Errorf("cleared %d times, %v", n.cleared, err)
	}
	if s, err := Input("a"); err != nil || s != "afalse" {
		t.Errorf("input %q, %v", s, err)
	}
	if s, err := Password("b"); err != nil || s != "btrue" {
		t.Errorf("password %q, %v", s, err)
	}
}

func TestProgressIsOneLine(t *testing.T) {
	n := &notebook{}
	Connect(n)
	defer Connect(nil)
	b := Progress(1000)
	for range 1000 {
		b.Add(1)
	}
	if len(n.shown) != 1 || len(n.updated) == 0 {
		t.Fatalf("shown %d times, updated %d times", len(n.shown), len(n.updated))
	}
	last := fmt.Sprint(n.updated[len(n.updated)-1].Data[MIMETypeText])
	if !strings.Contains(last, "1000 of 1000") || strings.Contains(last, "/s") {
		t.Errorf("the last line is %q: what took no time has no rate", last)
	}
	b.start = time.Now().Add(-10 * time.Second)
	if line := b.text(); line != "1000 of 1000, 10s, 100/s" {
		t.Errorf("after ten seconds the line is %q", line)
	}
	// Bytes of a large model: the time that is left times their number is more than an int64 holds.
	large := Progress(16e9)
	large.done, large.start = 4e9, time.Now().Add(-100*time.Second)
	if line := large.text(); !strings.Contains(line, ", 5m0s left") {
		t.Errorf("of a large download the line is %q", line)
	}
	if len(n.updated) > 20 {
		t.Errorf("drawn %d times", len(n.updated))
	}
	b.Show("again", 5, 10)
	b.start = time.Now().Add(-10 * time.Second)
	if b.Show("again", 6, 10); !strings.HasPrefix(b.text(), "again 6 of 10, 10s, 6.7s left") {
		t.Errorf("a stage that goes on shows %q", b.text())
	}
	if b.Show("again", 1, 10); !strings.HasPrefix(b.text(), "again 1 of 10, 0s") {
		t.Errorf("a stage that begins anew shows %q", b.text())
	}
}
