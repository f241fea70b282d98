package presstest_test

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/presstest"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// TestMethods checks every method of the catalogue, in the simplest spelling that makes a press of it.
func TestMethods(t *testing.T) {
	train()
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

// train registers the methods with trained weights for the model of presstest, with invented ones.
func train() {
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(rows, cols int) tensor.Mat {
		m := tensor.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = float32(r.NormFloat64()) * 0.3
		}
		return m
	}
	const small = 4
	group := presstest.Heads / presstest.KVHeads
	var filter kvpress.QFilter
	var stats kvpress.ExpectedAttentionStats
	var zap kvpress.KVzap
	var fast kvpress.FastKVzip
	for range presstest.Depth {
		filter.Filters = append(filter.Filters, normal(presstest.KVHeads, presstest.Dim))
		stats.Mean = append(stats.Mean, normal(presstest.Heads, presstest.Dim))
		var cov []tensor.Mat
		for range presstest.Heads {
			a, c := normal(presstest.Dim, presstest.Dim), tensor.New(presstest.Dim, presstest.Dim)
			tensor.MulT(c, a, a)
			cov = append(cov, c)
		}
		stats.Cov = append(stats.Cov, cov)
		zap.Nets = append(zap.Nets, []kvpress.Affine{{Weight: normal(8, presstest.Width), Bias: make([]float32, 8)}, {Weight: normal(presstest.KVHeads, 8)}})
		fast.Gates = append(fast.Gates, kvpress.Gate{
			Query:     kvpress.Affine{Weight: normal(presstest.Heads*small, presstest.Width)},
			Key:       kvpress.Affine{Weight: normal(presstest.KVHeads*small, presstest.Width)},
			QueryNorm: []float32{1, 1, 1, 1}, KeyNorm: []float32{1, 1, 1, 1},
			Base: []tensor.Mat{normal(3, small), normal(3, small), normal(3, small)}, Bias: normal(presstest.KVHeads, group),
		})
	}
	lukv := kvpress.LUKV{Scorer: kvpress.KeyDiff{}}
	for i := range 99 {
		curve := tensor.New(presstest.Depth, presstest.KVHeads)
		for j := range curve.Data {
			curve.Data[j] = float32(i+1) / 100 * (0.8 + 0.1*float32(j%3))
		}
		lukv.Curve = append(lukv.Curve, curve)
	}
	kvpress.Register(kvpress.Method{Name: "qfilter", Scorer: filter})
	kvpress.Register(kvpress.Method{Name: "expected_attention_stats", Scorer: stats})
	kvpress.Register(kvpress.Method{Name: "kvzap", Scorer: zap})
	kvpress.Register(kvpress.Method{Name: "fastkvzip", Press: fast})
	kvpress.Register(kvpress.Method{Name: "lukv", Press: lukv})
	kvpress.Register(kvpress.Method{Name: "duo_attention", Example: "duo_attention(ratio=0.5)", Press: kvpress.DuoAttention{Pattern: normal(presstest.Depth, presstest.KVHeads), Sinks: 4, Recent: 16}})
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
