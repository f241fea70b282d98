package llm_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	embedded "github.com/kvnotes/kvnotes/kvpress/needle"
)

// TestEstimate compares what is said before loading with what a session takes.
func TestEstimate(t *testing.T) {
	m := loadNeedle(t)
	s := prefilled(t, 640) // whole pages
	e, err := llm.EstimateFor(context.Background(), "needle", 640)
	if err != nil {
		t.Fatal(err)
	}
	b := s.Bytes()
	if e.KV != b.KV || e.KV != b.Full || e.Record != b.Record || e.TokenKV*640 != e.KV {
		t.Errorf("estimated %+v, measured %+v", e, b)
	}
	if off := float64(e.Weights)/float64(m.Bytes()) - 1; off < -0.05 || off > 0.05 {
		t.Errorf("weights are estimated as %d bytes, they take %d", e.Weights, m.Bytes())
	}
	for _, c := range []struct {
		bytes int64
		ratio float64
		ok    bool
	}{
		{e.Weights + e.Activations + e.KV, 0, true},
		{e.Weights + e.Activations + e.LayerKV + e.KV/4, 0.75, true},
		{e.Weights + e.Activations + e.LayerKV, 1, false},
		{0, 1, false},
	} {
		if ratio, ok := e.Fits(c.bytes); ratio != c.ratio || ok != c.ok {
			t.Errorf("%d bytes: ratio %v, %v; want %v, %v", c.bytes, ratio, ok, c.ratio, c.ok)
		}
	}
	if _, err := llm.EstimateFor(context.Background(), "needle", 0); err == nil {
		t.Error("a context of no tokens is no error")
	}
}

// TestEstimateFromTheHub estimates a model that a hub has and this machine has not.
func TestEstimateFromTheHub(t *testing.T) {
	files := map[string][]byte{"config.json": embedded.Config, "model.safetensors": embedded.Weights}
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			hash := strings.Repeat("0", 40)
			fmt.Fprintf(w, `{"sha":"%s","siblings":[{"rfilename":"config.json","size":1,"blobId":"%s"},{"rfilename":"model.safetensors","size":1,"blobId":"%s"}]}`, hash, hash, hash)
			return
		}
		_, _ = w.Write(files[path.Base(r.URL.Path)])
	}))
	defer hub.Close()
	t.Setenv("HF_ENDPOINT", hub.URL)
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	far, err := llm.EstimateFor(context.Background(), "org/needle", 640)
	if err != nil {
		t.Fatal(err)
	}
	near, err := llm.EstimateFor(context.Background(), "needle", 640)
	if err != nil {
		t.Fatal(err)
	}
	near.Model = far.Model
	if far != near {
		t.Errorf("the hub's files give %+v, those at hand %+v", far, near)
	}
}
