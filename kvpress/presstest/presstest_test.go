package presstest_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/internal/invented"
	"github.com/kvnotes/kvnotes/kvpress/presstest"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// TestMethods checks every method of the catalogue, in the simplest spelling that makes a press of it.
func TestMethods(t *testing.T) {
	invented.Register(kvpress.Layer{Layers: presstest.Depth, Heads: presstest.Heads, KVHeads: presstest.KVHeads, Dim: presstest.Dim, Width: presstest.Width})
	for _, m := range kvpress.Methods() {
		t.Run(m.Name, func(t *testing.T) {
			if m.Scorer != nil && m.Name != "criticalkv" && m.Name != "shared" { // these need another one inside
				if err := presstest.CheckScorer(m.Scorer); err != nil {
					t.Fatal(err)
				}
				return
			}
			p, err := kvpress.Parse(m.Spelling())
			if err != nil {
				t.Fatal(err)
			}
			if err := presstest.Check(p); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, s := range []kvpress.Scorer{kvpress.CriticalKV{Scorer: kvpress.SnapKV{}}, kvpress.Shared{Scorer: kvpress.SnapKV{}}} {
		if err := presstest.CheckScorer(s); err != nil {
			t.Error(err)
		}
	}
}

// A bad press breaks one promise.
type bad struct {
	name string
	plan func(l *kvpress.Layer) (kvpress.Plan, error)
}

func (b bad) Name() string                                { return b.name }
func (b bad) Plan(l *kvpress.Layer) (kvpress.Plan, error) { return b.plan(l) }

func TestCheckFindsBrokenPromises(t *testing.T) {
	var calls atomic.Int64
	tests := map[string]bad{
		"name is empty": {"", func(l *kvpress.Layer) (kvpress.Plan, error) { return kvpress.KeepAll(l), nil }},
		"panicked":      {"panics", func(l *kvpress.Layer) (kvpress.Plan, error) { panic("oh") }},
		"panicked: later": {"waits", func(l *kvpress.Layer) (kvpress.Plan, error) {
			return kvpress.Plan{Wait: func([]kvpress.Plan) error { panic("later") }}, nil
		}},
		"ascending": {"outside", func(l *kvpress.Layer) (kvpress.Plan, error) {
			p := kvpress.KeepAll(l)
			p.Keep[0][0] = l.Len
			return p, nil
		}},
		"different plan": {"moody", func(l *kvpress.Layer) (kvpress.Plan, error) {
			p := kvpress.KeepAll(l)
			p.Keep[0] = p.Keep[0][min(int(calls.Add(1)), len(p.Keep[0])-1):]
			return p, nil
		}},
		"has 0 heads": {"headless", func(l *kvpress.Layer) (kvpress.Plan, error) { return kvpress.Plan{}, nil }},
	}
	for want, p := range tests {
		if err := presstest.Check(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", p.name, err, want)
		}
	}
}

func TestCheckOfNothing(t *testing.T) {
	if err := presstest.Check(nil); err == nil {
		t.Error("no press keeps all promises")
	}
	if err := presstest.CheckScorer(nil); err == nil {
		t.Error("no scorer keeps all promises")
	}
}

// careless forgets a head, or returns numbers that are none.
type careless struct{ rows int }

func (careless) Name() string { return "careless" }

func (c careless) Score(l *kvpress.Layer) (kvpress.Scores, error) {
	return kvpress.Scores{Values: tensor.New(c.rows, l.Len)}, nil
}

func TestCheckScorerFindsWrongShape(t *testing.T) {
	if err := presstest.CheckScorer(careless{presstest.KVHeads - 1}); err == nil || !strings.Contains(err.Error(), "one number for each") {
		t.Errorf("%v does not tell the shape", err)
	}
	if err := presstest.CheckScorer(careless{presstest.KVHeads}); err != nil {
		t.Errorf("scores that are all equal are fine: %v", err)
	}
}
