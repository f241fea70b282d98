//go:build cuda && cgo

package cuda_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A shared prefill says where its time went.
type shared struct {
	Context int                `json:"context"`
	Way     string             `json:"way"`
	Seconds []float64          `json:"prefill_seconds"` // of prefills that nobody watches, in turn
	Watched float64            `json:"watched_seconds"` // of one whose verbs are waited for, one by one
	Verbs   map[string]float64 `json:"verbs_seconds"`
	Asked   map[string]float64 `json:"asked_seconds"` // until the verb returned
}

// TestPrefillShares times prefills of the 8B shape and says where their time goes, verb by verb, where KVNOTES_SHARES names
// the file to write. KVNOTES_LONG=1 takes 131,072 tokens as well.
func TestPrefillShares(t *testing.T) {
	out := os.Getenv("KVNOTES_SHARES")
	if out == "" {
		t.Skip("NOT RUN: KVNOTES_SHARES names no file for the shares")
	}
	dir, err := os.MkdirTemp("/dev/shm", "kvnotes") //nolint:usetesting // 16 GiB: memory, not a disk
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	write8B(t, dir)
	var all []shared
	for _, way := range append(ways[:len(ways):len(ways)], "alone") { // alone: our own kernels only
		t.Run(way, func(t *testing.T) { all = append(all, shares(t, way, dir)...) })
	}
	text, err := json.MarshalIndent(all, "", "\t")
	if err == nil {
		err = os.WriteFile(out, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func shares(t *testing.T, way, dir string) (all []shared) {
	b := &watched{Backend: openWay(t, way), t: t}
	m, err := llm.Load(dir, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{32768, 131072} {
		if n > 32768 && (way == "flash" || os.Getenv("KVNOTES_LONG") == "") {
			continue
		}
		r := rand.New(rand.NewPCG(1, 2))
		ids := make([]int, n)
		for i := range ids {
			ids[i] = r.IntN(m.Config.Vocabulary)
		}
		prefill := func() float64 {
			s, err := m.PrefillTokens(context.Background(), ids, llm.Record{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			return s.PrefillSeconds()
		}
		s := shared{Context: n, Way: way, Verbs: map[string]float64{}, Asked: map[string]float64{}}
		b.to = nil
		s.Seconds = append(s.Seconds, prefill())
		if n <= 32768 {
			s.Seconds = append(s.Seconds, prefill())
			b.to = &s
			s.Watched = prefill()
		}
		all = append(all, s)
		t.Logf("%+v", s)
	}
	return all
}

// A watched backend adds up what its verbs take, if it is told where.
type watched struct {
	llm.Backend
	t  *testing.T
	to *shared
}

func (w *watched) watch(verb string, dst llm.Buf, do func()) {
	start := time.Now()
	do()
	if w.to != nil {
		w.to.Asked[verb] += time.Since(start).Seconds()
		if err := w.Read(nil, dst.Slice(0, 0)); err != nil {
			w.t.Error(err)
		}
		w.to.Verbs[verb] += time.Since(start).Seconds()
	}
}

func (w *watched) Norm(dst, x llm.Buf, v llm.Weight, epsilon float32) {
	w.watch("norm", dst, func() { w.Backend.Norm(dst, x, v, epsilon) })
}

func (w *watched) MatMul(dst, x llm.Buf, v llm.Weight) {
	w.watch("product", dst, func() { w.Backend.MatMul(dst, x, v) })
}

func (w *watched) Attend(dst, qkv llm.Buf, c llm.Cache, a llm.Attention) {
	w.watch("attend", dst, func() { w.Backend.Attend(dst, qkv, c, a) })
}

func (w *watched) Gate(dst, gateUp llm.Buf, a llm.Activation) {
	w.watch("gate", dst, func() { w.Backend.Gate(dst, gateUp, a) })
}

func (w *watched) Add(dst, x llm.Buf) {
	w.watch("add", dst, func() { w.Backend.Add(dst, x) })
}
