package cpu

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

const dim = 8

// filled is a cache of one layer with heads of the given lengths.
func filled(lens ...int) *Cache {
	c := newCache(llm.CacheShape{Layers: 1, KVHeads: len(lens), Dim: dim})
	for h, n := range lens {
		add(c, h, n)
	}
	return c
}

// add appends n random pairs to a head.
func add(c *Cache, h, n int) {
	head := &c.layers[0][h]
	r := rand.New(rand.NewPCG(uint64(h), uint64(head.pages.Len)))
	for range n {
		pair := make([]float32, 2*dim)
		for i := range pair {
			pair[i] = r.Float32() - 0.5
		}
		head.append(c.ledger, pair[:dim], pair[dim:], head.pages.Len)
	}
}

// held counts the bytes of the pages that a cache made itself.
func held(c *Cache) int64 {
	var bytes int64
	for _, head := range c.layers[0] {
		for i, page := range head.pages.List {
			if head.own(i) {
				bytes += page.Bytes()
			}
		}
	}
	return bytes
}

func rows(m tensor.Mat, keep []int) tensor.Mat {
	out := tensor.New(len(keep), m.Cols)
	for i, k := range keep {
		copy(out.Row(i), m.Row(k))
	}
	return out
}

func pairs(t *testing.T, c *Cache, h int) (keys, values tensor.Mat) {
	t.Helper()
	keys, values, err := c.Pairs(0, h)
	if err != nil {
		t.Fatal(err)
	}
	return keys, values
}

// TestApply drops pairs from heads of many lengths, at the beginning, in the middle and at the end, again and again.
func TestApply(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		c := filled(1+r.IntN(100), 1+r.IntN(200))
		if round%2 == 1 {
			if err := c.Apply(0, kvpress.Plan{Keep: [][]int{span(c.Len(0, 0)), span(c.Len(0, 1))}, Channels: [][]int{{1, 4}, {}}}, tensor.Rope{}); err != nil {
				t.Fatal(err)
			}
			add(c, 0, r.IntN(50)) // whole keys behind the shorter ones
			add(c, 1, r.IntN(50))
		}
		source := c
		if round%3 == 2 {
			c = c.Fork().(*Cache)
		}
		for range 3 {
			before := held(source)
			plan := kvpress.Plan{Keep: make([][]int, 2)}
			var keys, values [2]tensor.Mat
			for h := range plan.Keep {
				chance, from := r.Float64(), r.IntN(c.Len(0, h)+1)
				for i := range c.Len(0, h) {
					if i < from || r.Float64() < chance {
						plan.Keep[h] = append(plan.Keep[h], i)
					}
				}
				k, v := pairs(t, c, h)
				keys[h], values[h] = rows(k, plan.Keep[h]), rows(v, plan.Keep[h])
			}
			if err := c.Apply(0, plan, tensor.Rope{}); err != nil {
				t.Fatal(err)
			}
			for h := range plan.Keep {
				k, v := pairs(t, c, h)
				if !reflect.DeepEqual(k, keys[h]) || !reflect.DeepEqual(v, values[h]) {
					t.Fatalf("round %d: head %d: the pairs that stay have changed", round, h)
				}
			}
			if c.Bytes() != held(c) {
				t.Fatalf("round %d: %d bytes are counted, %d are held", round, c.Bytes(), held(c))
			}
			if c != source && held(source) != before {
				t.Fatalf("round %d: a fork frees pages of its source", round)
			}
			add(c, 0, r.IntN(40))
			add(c, 1, r.IntN(40))
		}
	}
}

// TestApplyKeepsFirstPages: what lies before the first pair that goes is not copied.
func TestApplyKeepsFirstPages(t *testing.T) {
	c := filled(200)
	first := c.layers[0][0].pages.List[0]
	keep := append(span(150), 170, 199)
	if err := c.Apply(0, kvpress.Plan{Keep: [][]int{keep}}, tensor.Rope{}); err != nil {
		t.Fatal(err)
	}
	if c.layers[0][0].pages.List[0] != first || c.Len(0, 0) != len(keep) {
		t.Error("the first page was copied")
	}
}
