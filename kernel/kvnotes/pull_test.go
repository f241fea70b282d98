package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kernel/display"
	"github.com/kvnotes/kvnotes/kernel/internal/interp"
	"github.com/kvnotes/kvnotes/kvpress/needle"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// tinyHub serves one model at the revision v1, as the Hugging Face hub does, and empties the cache.
func tinyHub(t *testing.T) {
	t.Helper()
	files := map[string][]byte{"config.json": needle.Config, "tokenizer.json": needle.Tokenizer, "model.safetensors": needle.Weights}
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/models/org/tiny/revision/v1":
			var list []string
			for name, data := range files {
				list = append(list, fmt.Sprintf(`{"rfilename":%q,"size":%d,"blobId":%q,"lfs":{"size":%d,"sha256":"%x"}}`, name, len(data), strings.Repeat("0", 40), len(data), sha256.Sum256(data)))
			}
			fmt.Fprintf(w, `{"sha":%q,"siblings":[%s]}`, strings.Repeat("c", 40), strings.Join(list, ","))
		case strings.HasPrefix(r.URL.Path, "/org/tiny/resolve/"+strings.Repeat("c", 40)):
			_, _ = w.Write(files[path.Base(r.URL.Path)])
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(hub.Close)
	t.Setenv("HF_ENDPOINT", hub.URL)
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_HUB_CACHE", t.TempDir())
}

func TestPullCommand(t *testing.T) {
	tinyHub(t)
	looked, _ := command("doctor", "--model", "org/tiny@v1", "--context", "1000").Output() // it fails where anything is missing
	if !strings.Contains(string(looked), "org/tiny@v1 with 1000 tokens: weights") {
		t.Errorf("doctor, before the pull: %s", looked)
	}
	if out := kvnotes(t, "pull", "org/tiny@v1"); !strings.Contains(out, "org/tiny@v1 is in ") || !strings.Contains(out, "snapshots") {
		t.Error(out)
	}
	out, err := command("pull", "org/tiny").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "check the spelling") {
		t.Errorf("a revision that the hub does not have: %v\n%s", err, out)
	}
}

// TestPullInACell pulls and loads a model in a cell, whose context carries the progress to the notebook.
func TestPullInACell(t *testing.T) {
	tinyHub(t)
	in, err := interp.New()
	if err != nil {
		t.Fatal(err)
	}
	var told int64
	ctx := progress.With(context.Background(), func(_ string, done, _ int64) { told = max(told, done) })
	d, ok, err := in.Eval(ctx, `import ("github.com/kvnotes/kvnotes/kvpress/hub"; "github.com/kvnotes/kvnotes/kvpress/llm")
dir, err := hub.Pull(ctx, "org/tiny@v1", nil)
if err != nil { panic(err) }
model, err := llm.Open("org/tiny@v1", "cpu")
if err != nil { panic(err) }
model.Folder == dir`)
	if err != nil || !ok || fmt.Sprint(d.Data[display.MIMETypeText]) != "true" {
		t.Errorf("%v, %v, %v", d.Data, ok, err)
	}
	if told < int64(len(needle.Weights)) {
		t.Errorf("the notebook was told of %d bytes", told)
	}
}
