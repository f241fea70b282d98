package llm_test

import (
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// TestEstimate compares what is said before loading with what a session takes.
func TestEstimate(t *testing.T) {
	m := loadNeedle(t)
	s := prefilled(t, 640) // whole pages
	e, err := llm.EstimateFor("needle", 640)
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
	if _, err := llm.EstimateFor("needle", 0); err == nil {
		t.Error("a context of no tokens is no error")
	}
}
