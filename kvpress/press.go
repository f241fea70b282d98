// Package kvpress holds the idea of KV-cache compression: a Press looks at the key-value pairs of one layer and
// says which of them stay. It knows no model and no device: a press reads numbers through a Layer and returns a
// Plan, which is plain data. Every method ("press") is one file of this package.
//
// Index order is always layer, head, position, channel. A ratio is the fraction of pairs that is REMOVED.
package kvpress

import (
	"errors"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
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

// Scores are what a Scorer thinks of one layer.
type Scores struct {
	// Values holds a number for every pair, (KVHeads, Len); higher stays longer. In a ragged layer row h counts up to
	// Lens[h]. At forced places it holds what the Python original puts there, so that wrappers can average it.
	Values tensor.Mat
	// Force lists the positions that every head keeps first, whatever the numbers say: sinks, windows, last tokens.
	Force []int
}

// ErrNotRecorded reports that a press asked for a number that the prefill did not keep. The error around it names
// the record option that keeps it.
var ErrNotRecorded = errors.New("not recorded during the prefill")

// ErrBadParameter reports a parameter that a press cannot work with.
var ErrBadParameter = errors.New("bad parameter")
