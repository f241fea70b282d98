package kvpress_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/presstest"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestSelectShowsChosenPairs(t *testing.T) {
	l := presstest.Layers(40)[1]
	keep := [][]int{{0, 7, 39}, {3}, {}}
	part := must(l.Select(keep))(t)
	if !slices.Equal(part.Lens, []int{3, 1, 0}) || part.Len != 3 || !part.Ragged() {
		t.Fatalf("lengths are %v", part.Lens)
	}
	whole, some := must(l.Keys(0))(t), must(part.Keys(0))(t)
	if !slices.Equal(some.Row(2), whole.Row(39)) {
		t.Error("the third key is not that of place 39")
	}
	if at := must(part.Positions(0))(t); !slices.Equal(at, keep[0]) {
		t.Errorf("positions are %v", at)
	}
	norms, all := must(part.OutputNorms(1))(t), must(l.OutputNorms(1))(t)
	if norms.At(0, 2) != all.At(0, 39) {
		t.Error("output norms are not those of the chosen pairs")
	}
	if _, err := l.Select([][]int{{5, 4}, {}, {}}); err == nil {
		t.Error("places out of order are taken")
	}
}

// A slice must be what a prefill of the shorter context would have left, wherever its numbers do not depend on what
// lies outside.
func TestSliceIsAShorterContext(t *testing.T) {
	l := presstest.Layers(60)[0]
	part := must(l.Slice(0, 50))(t)
	if part.Len != 50 || part.Tokens != 50 || part.Next != 50 {
		t.Fatalf("the slice has %d pairs, %d tokens, next %d", part.Len, part.Tokens, part.Next)
	}
	q, all := must(part.Queries(3, 2))(t), must(l.Queries(3, 12))(t)
	if !slices.Equal(q.Row(1), all.Row(1)) {
		t.Error("the last query is not that of token 49")
	}
	attention := must(part.Attention(1, nil))(t)
	if sum := tensor.Sum(attention.Row(0)); math.Abs(float64(sum)-1) > 1e-5 {
		t.Errorf("attention adds up to %v", sum)
	}
	later := must(l.Slice(20, 50))(t)
	if at := must(later.Positions(0))(t); at[0] != 20 || later.Next != 50 {
		t.Errorf("positions begin with %d, next is %d", at[0], later.Next)
	}
	if k, all := must(later.KeysBeforeRope(1))(t), must(l.KeysBeforeRope(1))(t); !slices.Equal(k.Row(0), all.Row(20)) {
		t.Error("keys before RoPE do not begin with token 20")
	}
	for _, bounds := range [][2]int{{-1, 5}, {5, 5}, {0, 61}} {
		if _, err := l.Slice(bounds[0], bounds[1]); err == nil {
			t.Errorf("slice %v of 60 tokens is taken", bounds)
		}
	}
	pressed := must(l.Select([][]int{{1}, {1, 2}, {3}}))(t)
	if _, err := pressed.Slice(0, 1); err == nil || !strings.Contains(err.Error(), "put the press that works on parts first") {
		t.Errorf("%v does not tell the cure", err)
	}
}

func TestComposedLeavesTheProduct(t *testing.T) {
	l := presstest.Layers(200)[2]
	for _, spelling := range []string{"composed(knorm:0.5, keydiff:0.5)", "composed(snapkv(window=8):0.5, adakv(knorm):0.5)", "composed(adakv(snapkv(window=8)):0.5, snapkv(window=4):0.5)", "composed(streaming_llm:0.5, tova:0.5)"} {
		p := must(kvpress.Parse(spelling))(t)
		plan := must(p.Plan(l))(t)
		if err := plan.Check(l); err != nil {
			t.Errorf("%s: %v", spelling, err)
		}
		if kept := plan.Kept(); math.Abs(float64(kept)-150) > 3 { // each head truncates by itself
			t.Errorf("%s keeps %d of 600", spelling, kept)
		}
	}
	first := must(must(kvpress.Parse("knorm:0.5"))(t).Plan(l))(t)
	both := must(must(kvpress.Parse("composed(knorm:0.5, keydiff:0.5)"))(t).Plan(l))(t)
	for h := range both.Keep {
		for _, i := range both.Keep[h] {
			if !slices.Contains(first.Keep[h], i) {
				t.Fatalf("pair %d of head %d came back", i, h)
			}
		}
	}
	_, err := must(kvpress.Parse("composed(rerotate(knorm):0.5, keydiff:0.5)"))(t).Plan(l)
	if err == nil || !strings.Contains(err.Error(), "put it last") {
		t.Errorf("%v does not tell the cure", err)
	}
}

func TestRatioZeroKeepsAll(t *testing.T) {
	l := presstest.Layers(100)[0]
	for _, m := range kvpress.Methods() {
		for _, spelling := range []string{m.Name + ":0", m.Name + "(keydiff):0"} {
			p, err := kvpress.Parse(spelling)
			if err != nil {
				continue // needs an inner scorer, or none
			}
			plan, err := p.Plan(l)
			if err != nil {
				continue // has no budget but trained numbers
			}
			if plan.Kept() != 300 || plan.Channels != nil {
				t.Errorf("%s keeps %d of 300", spelling, plan.Kept())
			}
		}
	}
}

func TestPlanCheck(t *testing.T) {
	l := presstest.Layers(10)[0]
	good := func() kvpress.Plan { return kvpress.KeepAll(l) }
	tests := map[string]func(*kvpress.Plan){
		"has 2 heads, the layer 3":          func(p *kvpress.Plan) { p.Keep = p.Keep[:2] },
		"KV head 1: kept pairs":             func(p *kvpress.Plan) { p.Keep[1] = []int{3, 3} },
		"entry 0 is 10 after -1":            func(p *kvpress.Plan) { p.Keep[1] = []int{10} },
		"kept channels: entry 1 is 16":      func(p *kvpress.Plan) { p.Channels = [][]int{{0}, {0, 16}, {0}} },
		"channels of 1 heads":               func(p *kvpress.Plan) { p.Channels = [][]int{{0}} },
		"merges of 1 heads":                 func(p *kvpress.Plan) { p.Merge = [][]kvpress.Merge{{}} },
		"merge into a kept pair":            func(p *kvpress.Plan) { p.Keep[0], p.Merge = []int{1}, [][]kvpress.Merge{{{From: 1, To: 2}}, {}, {}} },
		"missing channels cannot":           func(p *kvpress.Plan) { p.Rerotate, p.Channels = true, [][]int{{0}, {0}, {0}} },
		"different lengths cannot be rotat": func(p *kvpress.Plan) { p.Rerotate, p.Keep[0] = true, []int{1} },
	}
	for want, spoil := range tests {
		p := good()
		if err := p.Check(l); err != nil {
			t.Fatal(err)
		}
		spoil(&p)
		err := p.Check(l)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
