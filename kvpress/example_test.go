package kvpress_test

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/presstest"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A press is asked for by its spelling, and answers with a plan for each layer.
func ExampleParse() {
	p, err := kvpress.Parse("adakv(snapkv(window=16)):0.5")
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := p.Plan(presstest.Layers(100)[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Name(), "keeps", plan.Kept(), "of 300 pairs")
	// Output: adakv(snapkv(window=16)):0.5 keeps 150 of 300 pairs
}

// Recent is a scorer of one's own: the most recent pairs score highest, and the first four stay.
type Recent struct{}

// Name spells the scorer.
func (Recent) Name() string { return "recent" }

// Score counts up along the text.
func (Recent) Score(l *kvpress.Layer) (kvpress.Scores, error) {
	values := tensor.New(l.KVHeads, l.Len)
	for h := 0; h < l.KVHeads; h++ {
		for i := range values.Row(h) {
			values.Row(h)[i] = float32(i)
		}
	}
	first, err := l.First(4)
	if err != nil {
		return kvpress.Scores{}, err
	}
	return l.Protect(values, first)
}

// Any type with Name and Score is a scorer; presstest tells whether it keeps its promises.
func ExampleScorer() {
	fmt.Println("broken promises:", presstest.CheckScorer(Recent{}))
	plan, err := kvpress.TopK(Recent{}, kvpress.Tokens(6)).Plan(presstest.Layers(100)[0])
	fmt.Println(plan.Keep[0], err)
	// Output:
	// broken promises: <nil>
	// [0 1 2 3 98 99] <nil>
}
