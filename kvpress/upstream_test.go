package kvpress

import (
	"strings"
	"testing"
)

func TestUpstreamNamesParse(t *testing.T) {
	for name := range upstream {
		spelling, ok := Upstream(name)
		if !ok {
			t.Errorf("%s is not found", name)
		}
		p, err := Parse(spelling + ":0.5")
		if err != nil && strings.Contains(err.Error(), "has no budget") {
			p, err = Parse(spelling)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.TrimSuffix(p.Name(), ":0.5"); name != "snap_think" && got != spelling {
			t.Errorf("%s is spelled %s, then %s", name, spelling, got)
		}
	}
	if _, ok := Upstream("no_such_press"); ok {
		t.Error("any name is found")
	}
}
