package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/needle"
)

const (
	testCommit = "0123456789abcdef0123456789abcdef01234567"
	testModel  = "org/tiny"
)

func TestPullFromTheHub(t *testing.T) {
	h := newFakeHub(t)
	t.Setenv("HF_TOKEN", "secret")
	var last, total int64
	dir, err := Pull(context.Background(), testModel, func(_ string, done, all int64) { last, total = done, all })
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(needle.Config) + len(needle.Tokenizer) + len(needle.Weights)); last != want || total != want {
		t.Errorf("progress ended at %d of %d, want %d", last, total, want)
	}
	for _, r := range h.requests {
		if r.Header.Get("Authorization") != "Bearer secret" || !strings.Contains(r.Header.Get("User-Agent"), "kvnotes") {
			t.Errorf("%s was asked for with %v", r.URL, r.Header)
		}
	}
	// The layout is the one of Python's huggingface_hub.
	hub := filepath.Join(os.Getenv("HF_HOME"), "hub", "models--org--tiny")
	if want := filepath.Join(hub, "snapshots", testCommit); dir != want {
		t.Errorf("the folder is %s, want %s", dir, want)
	}
	if target, err := os.Readlink(filepath.Join(dir, "config.json")); err != nil || target != filepath.Join("..", "..", "blobs", blobName("", needle.Config)) {
		t.Errorf("config.json is a link to %s, %v", target, err)
	}
	if text, err := os.ReadFile(filepath.Join(hub, "refs", "main")); err != nil || string(text) != testCommit {
		t.Errorf("main is %q, %v", text, err)
	}
	onlyMine(t, os.Getenv("HF_HOME"))
	if _, err := os.Stat(filepath.Join(dir, "README.md")); err == nil {
		t.Error("README.md was fetched, which is no part of a model")
	}
	m, err := Open(testModel)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Weights.Bytes() != int64(len(needle.Weights)) {
		t.Errorf("the weights have %d bytes", m.Weights.Bytes())
	}
	// What is there is not fetched again, offline nothing is asked, and a commit is a revision too.
	if again, err := Pull(context.Background(), testModel, nil); err != nil || again != dir || h.asked["model.safetensors"] != 1 {
		t.Errorf("a second pull: %s, %v, weights fetched %d times", again, err, h.asked["model.safetensors"])
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	h.Close()
	for _, name := range []string{testModel, testModel + "@" + testCommit} {
		if again, err := Pull(context.Background(), name, nil); err != nil || again != dir {
			t.Errorf("%s offline: %s, %v", name, again, err)
		}
	}
	if _, err := Pull(context.Background(), "org/other@v1", nil); err == nil || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") {
		t.Errorf("another model offline: %v", err)
	}
}

// TestPullSurvives a hub that fails now and then.
func TestPullSurvives(t *testing.T) {
	half := len(needle.Weights) / 2
	cut := func(w http.ResponseWriter, attempt int) bool {
		if attempt == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(needle.Weights)))
			_, _ = w.Write(needle.Weights[:half])
		}
		return attempt == 1
	}
	for name, serve := range map[string]func(w http.ResponseWriter, r *http.Request, attempt int) bool{
		"a connection that breaks off": func(w http.ResponseWriter, r *http.Request, attempt int) bool {
			if attempt == 2 && r.Header.Get("Range") == "" {
				t.Error("the second attempt begins at the beginning")
			}
			return cut(w, attempt)
		},
		"a server that knows no ranges": func(w http.ResponseWriter, r *http.Request, attempt int) bool {
			r.Header.Del("Range")
			return cut(w, attempt)
		},
		"a server that has no such range": func(w http.ResponseWriter, r *http.Request, attempt int) bool {
			if attempt == 2 {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			}
			return attempt == 2 || cut(w, attempt)
		},
		"a busy server": func(w http.ResponseWriter, _ *http.Request, attempt int) bool {
			if attempt == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return attempt == 1
		},
		"a server that throttles": func(w http.ResponseWriter, _ *http.Request, attempt int) bool {
			if attempt == 1 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return attempt == 1
		},
		"a server that throttles until a date": func(w http.ResponseWriter, _ *http.Request, attempt int) bool {
			if attempt == 1 {
				w.Header().Set("Retry-After", time.Now().Add(-time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return attempt == 1
		},
		"a connection on which nothing comes any more": func(w http.ResponseWriter, r *http.Request, attempt int) bool {
			if attempt == 1 {
				w.Header().Set("Content-Length", fmt.Sprint(len(needle.Weights)))
				_, _ = w.Write(needle.Weights[:half])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
			return attempt == 1
		},
		"a connection that is cut again and again": func(w http.ResponseWriter, r *http.Request, attempt int) bool {
			from := 0
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			if to := from + 1<<20; attempt < 8 && from < to && to < len(needle.Weights) {
				w.Header().Set("Content-Length", fmt.Sprint(len(needle.Weights)-from))
				if from > 0 {
					w.WriteHeader(http.StatusPartialContent)
				}
				_, _ = w.Write(needle.Weights[from:to])
				return true
			}
			return false
		},
		"damage on the way": func(w http.ResponseWriter, _ *http.Request, attempt int) bool {
			if attempt == 1 {
				_, _ = w.Write(make([]byte, len(needle.Weights)))
			}
			return attempt == 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t)
			h.serve["model.safetensors"] = serve
			h.stall = 500 * time.Millisecond
			dir, err := Pull(context.Background(), testModel, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
			if err != nil || string(got) != string(needle.Weights) {
				t.Errorf("the weights differ, %v", err)
			}
			if h.asked["model.safetensors"] < 2 {
				t.Error("nothing was tried again")
			}
		})
	}
}

func TestPullFromTheHubFails(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, *http.Request, int) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(code)
			return true
		}
	}
	text := func(s string) func(http.ResponseWriter, *http.Request, int) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			_, _ = w.Write([]byte(s))
			return true
		}
	}
	for want, spoil := range map[string]func(h *fakeHub){
		"set HF_TOKEN":            func(h *fakeHub) { h.serve["list"] = status(401) },
		"gated":                   func(h *fakeHub) { h.serve["model.safetensors"] = status(403) },
		"check the spelling":      func(h *fakeHub) { h.serve["list"] = status(404) },
		"500":                     func(h *fakeHub) { h.serve["list"] = status(500) },
		"slow down":               func(h *fakeHub) { h.serve["tokenizer.json"] = status(429) },
		"418":                     func(h *fakeHub) { h.serve["tokenizer.json"] = status(418) },
		"check HF_ENDPOINT":       func(h *fakeHub) { h.serve["list"] = text("<html>") },
		"names the commit":        func(h *fakeHub) { h.serve["list"] = text(`{"sha":"../../x"}`) },
		"no model.safetensors":    func(h *fakeHub) { delete(h.files, "model.safetensors") },
		"the hash is":             func(h *fakeHub) { h.serve["config.json"] = text(strings.Repeat("x", len(needle.Config))) },
		"more than the":           func(h *fakeHub) { h.serve["config.json"] = text(string(needle.Config) + "x") },
		"broke off":               func(h *fakeHub) { h.serve["config.json"] = text("{") },
		"config.json has -1":      func(h *fakeHub) { h.list = liar("config.json", "size", -1) },
		`the hash "../../escape"`: func(h *fakeHub) { h.list = liar("config.json", "blobId", "../../escape") },
		"pickles": func(h *fakeHub) {
			delete(h.files, "model.safetensors")
			h.files["pytorch_model.bin"] = []byte("pickle")
		},
		"no answer": func(h *fakeHub) { h.Close() },
	} {
		t.Run(want, func(t *testing.T) {
			h := newFakeHub(t)
			spoil(h)
			_, err := Pull(context.Background(), testModel, nil)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "pulling "+testModel) {
				t.Errorf("%v, want %q", err, want)
			}
			if _, err := Find(testModel); err == nil {
				t.Error("a pull that failed looks finished")
			}
		})
	}
}

// liar changes what the hub says of one file.
func liar(name, key string, value interface{}) func(map[string]interface{}) {
	return func(answer map[string]interface{}) {
		for _, s := range answer["siblings"].([]interface{}) {
			if file := s.(map[string]interface{}); file["rfilename"] == name {
				file[key] = value
			}
		}
	}
}

func TestFilesCannotEscape(t *testing.T) {
	h := newFakeHub(t)
	for _, name := range []string{"../escape.json", "/escape.json", `..\escape.json`, "sub/escape.json", "..json/../../escape.json", ".escape.json"} {
		h.files[name] = []byte("{}")
	}
	if _, err := Pull(context.Background(), testModel, nil); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(os.Getenv("HF_HOME"), func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(path, "escape") {
			t.Errorf("%s was written", path)
		}
		return err
	})
	if err != nil || h.asked["escape.json"] > 0 {
		t.Errorf("asked %d times for a file outside, %v", h.asked["escape.json"], err)
	}
	for _, name := range []string{"../x", "org/../x", "org/x@../../y", "org/x@", "a/b/c", "org/x@/y"} {
		if _, err := Pull(context.Background(), name, nil); err == nil || !strings.Contains(err.Error(), "there is no model") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKilledPullGoesOn(t *testing.T) {
	h := newFakeHub(t)
	ctx, cancel := context.WithCancel(context.Background())
	h.serve["model.safetensors"] = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
		if attempt > 1 {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(needle.Weights)))
		_, _ = w.Write(needle.Weights[:4<<20])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	most := int64(0)
	_, err := Pull(ctx, testModel, func(_ string, done, _ int64) {
		most = max(most, done)
		if done > 4<<20 { // the small files and the beginning of the large one
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled pull ends with %v", err)
	}
	if _, err := Find(testModel); err == nil {
		t.Error("a cancelled pull looks finished")
	}
	if _, err := Pull(context.Background(), testModel, nil); err != nil {
		t.Fatal(err)
	}
	goesOn := slices.ContainsFunc(h.requests, func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/model.safetensors") && strings.HasPrefix(r.Header.Get("Range"), "bytes=")
	})
	if !goesOn {
		t.Error("no request asks for the rest of the weights: the second pull should go on where the first stopped")
	}
}

func TestHubPullsAtOnce(t *testing.T) {
	h := newFakeHub(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := Pull(context.Background(), testModel, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if h.asked["model.safetensors"] != 1 {
		t.Errorf("the weights were fetched %d times", h.asked["model.safetensors"])
	}
}

func TestShardsAreChosen(t *testing.T) {
	hash := strings.Repeat("0", 64)
	var all []remoteFile
	for _, name := range []string{
		"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
		"consolidated.safetensors", "model.fp16.safetensors", "pytorch_model.bin", ".gitattributes", "tokenizer.model", "chat_template.jinja", "merges.txt",
	} {
		all = append(all, remoteFile{name: name, hash: hash})
	}
	names := func(files []remoteFile) string {
		var list []string
		for _, f := range files {
			list = append(list, f.name)
		}
		return strings.Join(list, " ")
	}
	const small = "config.json model.safetensors.index.json tokenizer.model chat_template.jinja merges.txt"
	files, err := choose(all)
	if want := small + " model-00001-of-00002.safetensors model-00002-of-00002.safetensors"; err != nil || names(files) != want {
		t.Errorf("chosen are %s, %v", names(files), err)
	}
	files, err = choose(append(all, remoteFile{name: "model.safetensors", hash: hash}))
	if want := small + " model.safetensors"; err != nil || names(files) != want {
		t.Errorf("with whole weights chosen are %s, %v", names(files), err)
	}
}

// TestPullFiles fetches what a press learnt, and nothing else.
func TestPullFiles(t *testing.T) {
	h := newFakeHub(t)
	h.files["folder/gates.pt"] = []byte("gates")
	h.serve["gates.pt"] = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == "/"+testModel+"/resolve/"+testCommit+"/folder/gates.pt" {
			_, _ = w.Write([]byte("gates"))
		}
		return true
	}
	dir, err := PullFiles(context.Background(), testModel, []string{"folder/gates.pt", "config.json"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "folder", "gates.pt")); err != nil || string(text) != "gates" {
		t.Errorf("%q, %v", text, err)
	}
	if found, err := Find(testModel); err != nil || found != dir || h.asked["model.safetensors"] > 0 {
		t.Errorf("found in %s, %v; weights asked for %d times", found, err, h.asked["model.safetensors"])
	}
	for _, name := range []string{"nothing.pt", "../gates.pt", "/etc/passwd", "folder/../../x", ""} {
		h.files[name] = []byte("x")
		if name == "nothing.pt" {
			delete(h.files, name)
		}
		if _, err := PullFiles(context.Background(), testModel, []string{name}, nil); err == nil || !strings.Contains(err.Error(), "no file") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestLook learns sizes from the hub before anything is pulled, and from few bytes.
func TestLook(t *testing.T) {
	h := newFakeHub(t)
	sent := 0
	h.serve["model.safetensors"] = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		for rest := needle.Weights; len(rest) > 0; rest = rest[min(len(rest), 1<<12):] { // until the client has enough
			n, err := w.Write(rest[:min(len(rest), 1<<12)])
			if sent += n; err != nil {
				break
			}
		}
		return true
	}
	got, err := Look(context.Background(), testModel)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Open("needle")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	names := want.Weights.Names()
	if string(got.Config) != string(needle.Config) || len(got.Weights) != len(names) {
		t.Errorf("%d bytes of configuration, %d tensors; want %d and %d", len(got.Config), len(got.Weights), len(needle.Config), len(names))
	}
	for _, w := range got.Weights {
		if x, err := want.Weights.Tensor(w.Name); err != nil || !slices.Equal(x.Shape, w.Shape) || x.DType != w.DType {
			t.Errorf("%s is %s %v, want %s %v, %v", w.Name, w.DType, w.Shape, x.DType, x.Shape, err)
		}
	}
	if sent >= len(needle.Weights) {
		t.Error("all of the weights were sent")
	}
	if _, err := Find(testModel); !errors.Is(err, ErrNotHere) {
		t.Errorf("after a look the model is found, %v", err)
	}
	h.serve["model.safetensors"] = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		_, _ = w.Write([]byte("<html>"))
		return true
	}
	if _, err := Look(context.Background(), testModel); err == nil || !strings.Contains(err.Error(), "model.safetensors") {
		t.Errorf("weights that are none: %v", err)
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	if _, err := Look(context.Background(), testModel); err == nil || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") {
		t.Errorf("offline: %v", err)
	}
}
