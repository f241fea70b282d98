package hub

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/internal/bounded"
	"github.com/kvnotes/kvnotes/kvpress/needle"
)

func TestRetryAfter(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	for text, want := range map[string]time.Duration{
		"": 0, "nonsense": 0, "7": 7 * time.Second, "99999999999999": math.MaxInt32 * time.Second,
		soon.UTC().Format(http.TimeFormat): time.Hour, soon.UTC().Format(time.ANSIC): time.Hour,
	} {
		if got := retryAfter(text); (got - want).Abs() > 5*time.Second {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

// TestFullDisk pulls weights into a device that is always full.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("NOT RUN: this system has no /dev/full")
	}
	newFakeHub(t)
	blobs := filepath.Join(os.Getenv("HF_HOME"), "hub", "models--org--tiny", "blobs")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(blobs, blobName("model.safetensors", needle.Weights)+".incomplete")); err != nil {
		t.Fatal(err)
	}
	_, err := Pull(context.Background(), testModel, nil)
	if err == nil || !strings.Contains(err.Error(), "make room") || !strings.Contains(err.Error(), "HF_HUB_CACHE") {
		t.Errorf("%v, want what to do about a full disk", err)
	}
	if _, err := Find(testModel); err == nil {
		t.Error("a pull that found no room looks finished")
	}
}

// TestProxy pulls through a proxy, in a process of its own: Go reads the proxy's variables once.
func TestProxy(t *testing.T) {
	if os.Getenv("KVNOTES_TEST_PROXY") != "" {
		dir, err := Pull(context.Background(), testModel, nil)
		fmt.Printf("<%s|%v>", dir, err)
		return
	}
	h := newFakeHub(t)
	pull := func(proxy string) string {
		c := exec.Command(os.Args[0], "-test.run=^TestProxy$", "-test.v")
		c.Env = append(os.Environ(), "KVNOTES_TEST_PROXY=1", "HF_ENDPOINT=http://hub.invalid", "HTTP_PROXY="+proxy, "HF_HOME="+t.TempDir())
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if said := pull(h.URL); !strings.Contains(said, testCommit+"|<nil>") || h.asked["model.safetensors"] != 1 {
		t.Errorf("through a proxy: %s", said)
	}
	h.serve["list"] = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return true
	}
	if said := pull(h.URL); !strings.Contains(said, "the proxy wants a name and a password") {
		t.Errorf("through a proxy that knows nobody: %s", said)
	}
}

// FuzzHub: whatever a hub answers, a pull ends, and writes nothing outside its cache.
func FuzzHub(f *testing.F) {
	h := &fakeHub{files: map[string][]byte{"config.json": []byte("{}"), "model.safetensors": []byte("w")}}
	recorder := httptest.NewRecorder()
	h.answerList(recorder)
	f.Add(recorder.Body.Bytes(), []byte("{}"), "bytes 0-1/2", 200)
	f.Add([]byte(`{"sha":"`+testCommit+`","siblings":[{"rfilename":"../model.safetensors","size":9e18,"blobId":"../x"}]}`), []byte("x"), "5", 206)
	f.Add([]byte("<html>"), []byte(""), "", 429)
	var list, body []byte
	var header string
	var status int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			_, _ = w.Write(list)
			return
		}
		w.Header().Set("Content-Range", header)
		w.Header().Set("Retry-After", header)
		w.Header().Set("Location", header)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, l, b []byte, h string, s int) {
		if s < 200 || s > 599 || s == http.StatusTooManyRequests {
			s = 200
		}
		list, body, header, status = l, b, h, s
		around := t.TempDir()
		t.Setenv("HF_ENDPOINT", server.URL)
		t.Setenv("HF_HOME", filepath.Join(around, "home"))
		connect = func() *client {
			c := newClient()
			c.stall, c.pause, c.attempts = time.Second, time.Microsecond, 2
			return c
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		bounded.Run(t, func() {
			_, _ = Pull(ctx, testModel, nil) // an error or a model: both are fine
		})
		if beside, err := os.ReadDir(around); err != nil || len(beside) > 1 || len(beside) == 1 && beside[0].Name() != "home" {
			t.Errorf("%v stands beside the cache, %v", beside, err)
		}
	})
}

// TestRedirectsKeepTheToken checks that another host, to which the hub sends for large files, is not told the token.
func TestRedirectsKeepTheToken(t *testing.T) {
	h := newFakeHub(t)
	t.Setenv("HF_TOKEN", "secret")
	told := ""
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told += r.Header.Get("Authorization")
		_, _ = w.Write(needle.Weights)
	}))
	defer store.Close()
	elsewhere, err := url.Parse(store.URL)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.Host = "localhost:" + elsewhere.Port()
	h.serve["model.safetensors"] = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		http.Redirect(w, r, elsewhere.String(), http.StatusFound)
		return true
	}
	if _, err := Pull(context.Background(), testModel, nil); err != nil {
		t.Fatal(err)
	}
	if told != "" {
		t.Errorf("the other host was told %q", told)
	}
}
