package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/needle"
)

// A fakeHub serves one model and misbehaves on request.
type fakeHub struct {
	*httptest.Server
	files map[string][]byte
	stall time.Duration                                                             // how long clients wait for the next byte
	list  func(answer map[string]interface{})                                       // changes what the hub says of the model
	serve map[string]func(w http.ResponseWriter, r *http.Request, attempt int) bool // true where it answered itself

	lock     sync.Mutex
	asked    map[string]int
	requests []*http.Request
}

// newFakeHub serves the embedded model, with an empty cache and no token.
func newFakeHub(t *testing.T) *fakeHub {
	t.Helper()
	h := &fakeHub{
		files: map[string][]byte{"config.json": needle.Config, "tokenizer.json": needle.Tokenizer, "model.safetensors": needle.Weights, "README.md": []byte("read me"), "empty.txt": nil},
		serve: map[string]func(http.ResponseWriter, *http.Request, int) bool{},
		asked: map[string]int{},
		stall: 5 * time.Second,
	}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	for _, name := range []string{"HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "")
	}
	t.Setenv("HF_ENDPOINT", h.URL)
	t.Setenv("HF_HOME", t.TempDir())
	connect = func() *client {
		c := newClient()
		c.stall, c.pause, c.attempts = h.stall, time.Millisecond, 3
		return c
	}
	t.Cleanup(func() { connect = newClient })
	return h
}

// large says which files the hub keeps by their sha256.
func large(name string) bool { return strings.HasSuffix(name, ".safetensors") }

func blobName(name string, data []byte) string {
	if large(name) {
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:])
	}
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
	return hex.EncodeToString(sum[:])
}

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := filepath.Base(r.URL.Path)
	if strings.HasPrefix(r.URL.Path, "/api/") {
		name = "list"
	}
	h.lock.Lock()
	h.asked[name]++
	attempt := h.asked[name]
	h.requests = append(h.requests, r)
	h.lock.Unlock()
	if f := h.serve[name]; f != nil && f(w, r, attempt) {
		return
	}
	switch {
	case name == "list" && strings.HasPrefix(r.URL.Path, "/api/models/"+testModel+"/revision/"):
		h.answerList(w)
	case strings.HasPrefix(r.URL.Path, "/"+testModel+"/resolve/"+testCommit+"/") && h.files[name] != nil:
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader(string(h.files[name])))
	case name == "empty.txt":
	default:
		http.NotFound(w, r)
	}
}

func (h *fakeHub) answerList(w http.ResponseWriter) {
	var siblings []interface{}
	for name, data := range h.files {
		s := map[string]interface{}{"rfilename": name, "size": len(data), "blobId": blobName("", data)}
		if large(name) {
			s["lfs"] = map[string]interface{}{"sha256": blobName(name, data), "size": len(data)}
		}
		siblings = append(siblings, s)
	}
	answer := map[string]interface{}{"sha": testCommit, "siblings": siblings}
	if h.list != nil {
		h.list(answer)
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}
