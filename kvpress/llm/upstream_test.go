package llm_test

import (
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
)

func TestUpstreamNamesParse(t *testing.T) {
	for _, name := range kvpress.UpstreamNames() {
		spelling, ok := kvpress.Upstream(name)
		if !ok {
			t.Errorf("%s is not found", name)
		}
		p, err := kvpress.Parse(spelling + ":0.5")
		if err != nil && strings.Contains(err.Error(), "has no budget") {
			p, err = kvpress.Parse(spelling)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := kvpress.Parse(p.Name())
		if err != nil || again.Name() != p.Name() {
			t.Errorf("%s is spelled %s, then %v (%v)", name, p.Name(), again, err)
		}
	}
	if _, ok := kvpress.Upstream("no_such_press"); ok {
		t.Error("any name is found")
	}
}
