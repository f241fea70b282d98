// Package kvpress holds the idea of KV-cache compression: a Press looks at the key-value pairs of one layer and
// says which of them stay. It knows no model and no device: a press reads numbers through a Layer and returns a
// Plan, which is plain data. Every method ("press") is one file of this package.
//
// Index order is always layer, head, position, channel. A ratio is the fraction of pairs that is REMOVED.
//
// Shapes and units: keys and values (KVHeads, Len, Dim), queries (Heads, queries, Dim), scores (KVHeads, Len), positions in
// tokens of the text, budgets in pairs of a head or bytes of the cache.
package kvpress

import (
	"errors"
	"fmt"
)

// A Press decides which key-value pairs of one layer stay in the cache. It reads the layer and returns a plan; it
// changes nothing. Any type with these two methods is a press, also one defined in a notebook cell.
type Press interface {
	// Name is the one spelling of the press in commands, menus, files and charts, such as "adakv(snapkv):0.5".
	Name() string
	// Plan is called once per layer, possibly from several goroutines.
	Plan(l *Layer) (Plan, error)
}

// A Scorer ranks the pairs of one layer. How many survive is not its business: a budget rule (TopK, Ada, Global)
// makes a Press of it.
type Scorer interface {
	Name() string
	Score(l *Layer) (Scores, error)
}

// ErrNotRecorded reports that a press asked for a number that the prefill did not keep. The error around it names
// the record option that keeps it.
var ErrNotRecorded = errors.New("not recorded during the prefill")

// ErrBadParameter reports a parameter that a press cannot work with.
var ErrBadParameter = errors.New("bad parameter")

// planOf asks a press for the plan of a layer on behalf of a press around it, which needs to see it settled.
func planOf(p Press, l *Layer) (Plan, error) {
	if p == nil {
		return Plan{}, l.at("", fmt.Errorf("%w: a press is missing: set Press", ErrBadParameter))
	}
	plan, err := p.Plan(l)
	if err == nil && plan.Wait != nil {
		err = errors.New("waits for the scores of all layers and cannot stand inside another press")
	}
	if err == nil {
		err = plan.check(l)
	}
	return plan, l.at(p.Name(), err)
}
