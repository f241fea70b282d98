package kvpress

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// SnapKV keeps what the last queries of the context look at: the window at the end votes, its votes are smoothed
// along the text, and the window itself stays. Li et al., arXiv 2404.14469.
type SnapKV struct {
	Window int // queries that vote, and last pairs that stay; 0 means 64
	Kernel int // pairs over which votes are averaged, an odd number; 0 means 5
}

func init() { Register(Method{Name: "snapkv", Paper: "arXiv 2404.14469", Scorer: SnapKV{}}) }

// Name spells the scorer, such as "snapkv(window=16)".
func (s SnapKV) Name() string { return Spell("snapkv", s) }

// Score is the smoothed attention of the window on everything before it, (KVHeads, Len); the window is forced.
func (s SnapKV) Score(l *Layer) (Scores, error) {
	window, err := whole("window", s.Window, 64)
	if err != nil {
		return Scores{}, err
	}
	kernel, err := whole("kernel", s.Kernel, 5)
	if err != nil {
		return Scores{}, err
	}
	if kernel%2 == 0 {
		return Scores{}, fmt.Errorf("%w: kernel is %d: it is an odd number", ErrBadParameter, kernel)
	}
	if n := min(l.Len, l.Tokens); n <= window {
		return Scores{}, fmt.Errorf("%d tokens, the window is %d: lower Window or use a longer context", n, window)
	}
	attention, err := l.meanAttention(window)
	if err != nil {
		return Scores{}, err
	}
	last, err := l.Last(window)
	if err != nil {
		return Scores{}, err
	}
	places, err := l.places(last)
	if err != nil {
		return Scores{}, err
	}
	votes := l.GroupMean(attention)
	tensor.Parallel(l.KVHeads, func(h int) {
		row := votes.Row(h)[:l.Lens[h]-len(places[h])]
		copy(row, AveragePool(row, kernel))
	})
	return l.Protect(votes, last)
}
