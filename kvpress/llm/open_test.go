package llm_test

import (
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/cuda"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

func TestOpen(t *testing.T) {
	m, err := llm.Open("needle", "auto")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := cuda.New(cuda.Options{}); err == nil {
		defer b.Close()
		if m.Device() != "cuda" {
			t.Errorf("a GPU starts, and auto takes %s", m.Device())
		}
	} else if m.Backend() != "cpu" || !strings.Contains(m.Device(), err.Error()) {
		t.Errorf("auto takes %q and does not say why: %v", m.Device(), err)
	}
	if m, err := llm.Open("needle", "cpu"); err != nil || m.Device() != "cpu" {
		t.Errorf("cpu: %v, %v", m, err)
	}
	if _, err := llm.Open("needle", "abacus"); err == nil || !strings.Contains(err.Error(), "cpu") {
		t.Errorf("an unknown device: %v", err)
	}
}
