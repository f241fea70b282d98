package hub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/weights"
)

func TestArticles(t *testing.T) {
	page := `{"query":{"pages":[{"title":"Tide","extract":"The tide rises.","revisions":[{"revid":7}]}]}}`
	asked := 0
	answers := map[string]func(w http.ResponseWriter){
		"Tide": func(w http.ResponseWriter) { fmt.Fprint(w, page) },
		"Gone": func(w http.ResponseWriter) { fmt.Fprint(w, `{"query":{"pages":[{"title":"Gone","missing":true}]}}`) },
		"Many": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"query":{"pages":[{"title":"Many","extract":"x","pageprops":{"disambiguation":""}}]}}`)
		},
		"Empty":   func(w http.ResponseWriter) { fmt.Fprint(w, `{"query":{"pages":[{"title":"Empty","extract":" "}]}}`) },
		"Page":    func(w http.ResponseWriter) { fmt.Fprint(w, `<html>`) },
		"Fault":   func(w http.ResponseWriter) { fmt.Fprint(w, `{"error":{"info":"the database sleeps"}}`) },
		"Slow":    func(w http.ResponseWriter) { w.Header().Set("Retry-After", "9"); w.WriteHeader(429) },
		"Broken":  func(w http.ResponseWriter) { w.WriteHeader(500) },
		"Cut":     func(w http.ResponseWriter) { w.Header().Set("Content-Length", "1000"); fmt.Fprint(w, page) },
		"Huge":    func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat(" ", longestPage+1)) },
		"Several": func(w http.ResponseWriter) { fmt.Fprint(w, `{"query":{"pages":[{},{}]}}`) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if !strings.Contains(r.Header.Get("User-Agent"), "kvnotes") {
			t.Error("the request does not say who asks")
		}
		answers[r.URL.Query().Get("titles")](w)
	}))
	defer server.Close()
	t.Setenv("KVNOTES_WIKIPEDIA", server.URL)
	t.Setenv("KVNOTES_CACHE", t.TempDir())
	for range 2 {
		a, err := FetchArticle(context.Background(), "Tide")
		if err != nil || a.Text != "The tide rises." || a.Revision != 7 {
			t.Errorf("got %+v, %v", a, err)
		}
	}
	if asked != 1 {
		t.Errorf("the article was fetched %d times, it should be remembered", asked)
	}
	onlyMine(t, os.Getenv("KVNOTES_CACHE"))
	for title, want := range map[string]string{
		"Gone": "no such article", "Many": "similar names", "Empty": "no text", "Page": "not what the API gives", "Fault": "the database sleeps",
		"Slow": "slow down", "Broken": "500", "Cut": "broke off", "Huge": "longer than", "Several": "2 pages",
	} {
		if _, err := FetchArticle(context.Background(), title); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), title) {
			t.Errorf("%s: %v, want %q", title, err, want)
		}
	}
	server.Close()
	if _, err := FetchArticle(context.Background(), "Other"); err == nil || !strings.Contains(err.Error(), "FallbackArticle") {
		t.Errorf("without a network: %v", err)
	}
}

func TestFetchingIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done() // never answers
	}))
	defer server.Close()
	t.Setenv("KVNOTES_WIKIPEDIA", server.URL)
	t.Setenv("KVNOTES_CACHE", t.TempDir())
	if _, err := FetchArticle(ctx, "Tide"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled request ends with %v", err)
	}
}

func TestFallback(t *testing.T) {
	a := FallbackArticle()
	for _, q := range FallbackQuestions() {
		if !strings.Contains(a.Text, q.Answer) || !strings.HasSuffix(q.Question, "?") {
			t.Errorf("the article does not answer %q with %q", q.Question, q.Answer)
		}
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	t.Setenv("KVNOTES_CACHE", t.TempDir())
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	empty, half := t.TempDir(), t.TempDir()
	for _, name := range []string{"config.json", "tokenizer.json"} {
		if err := os.WriteFile(filepath.Join(half, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"smollm2": "kvnotes pull smollm2", "nothing": "there is no model", "org/model": "not in the Hugging Face cache", empty: "config.json", half: "model.safetensors",
	} {
		if _, err := Open(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	m, err := Open("needle")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Weights.Tensor("model.norm.weight"); err != nil {
		t.Error(err)
	}
	if _, err := Pull(context.Background(), "nothing", nil); err == nil || !strings.Contains(err.Error(), "smollm2") {
		t.Errorf("pulling an unknown model: %v", err)
	}
}

func TestCachedModelIsFound(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	cache := t.TempDir()
	t.Setenv("HF_HUB_CACHE", cache)
	dir := filepath.Join(cache, "models--org--model", "snapshots", commit)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	refs := filepath.Join(cache, "models--org--model", "refs")
	if err := os.MkdirAll(refs, 0o700); err != nil {
		t.Fatal(err)
	}
	for revision, want := range map[string]string{commit + "\n": dir, "../../..": ""} {
		if err := os.WriteFile(filepath.Join(refs, "main"), []byte(revision), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Find("org/model")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("revision %q: %q, %v", revision, got, err)
		}
	}
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Verify(dir, true); err == nil {
		t.Error("a folder without a manifest counts as whole")
	}
	if err := writeManifest(dir, "test"); err != nil {
		t.Fatal(err)
	}
	if err := Verify(dir, true); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("hallo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if Verify(dir, false) != nil || Verify(dir, true) == nil {
		t.Error("a change of content is seen only by its hash, and must be")
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if Verify(dir, false) == nil {
		t.Error("a missing file is not noticed")
	}
}

func TestRowsAreRestored(t *testing.T) {
	// Two heads of four rows: GGUF keeps the channels of a pair together.
	w := weights.Tensor{DType: weights.F16, Shape: []int{8, 1}, Data: []byte{0, 0, 2, 2, 1, 1, 3, 3, 4, 4, 6, 6, 5, 5, 7, 7}}
	if err := restoreRows(&w, 2); err != nil {
		t.Fatal(err)
	}
	for i, v := range w.Data {
		if int(v) != i/2 {
			t.Fatalf("rows come back as %v", w.Data)
		}
	}
	if err := restoreRows(&w, 3); err == nil {
		t.Error("rows that do not divide into heads are accepted")
	}
}

func TestRowsThatDoNotDivide(t *testing.T) {
	for _, c := range []struct{ rows, heads int }{{0, 1}, {2, 2}, {6, 2}, {4, 0}, {4, -1}, {4, math.MaxInt}, {4, 1 << 62}} {
		m := weights.Floats("q", make([]float32, 3*c.rows), c.rows, 3)
		if err := restoreRows(&m, c.heads); err == nil || !strings.Contains(err.Error(), "does not divide") {
			t.Errorf("%d rows, %d heads: %v", c.rows, c.heads, err)
		}
	}
}
