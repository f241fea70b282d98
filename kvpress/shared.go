package kvpress

import (
	"errors"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Shared lets all KV heads keep the same tokens: the mean of their scores counts for each of them.
type Shared struct {
	Scorer Scorer
}

func init() { Register(Method{Name: "shared", Scorer: Shared{}}) }

// Name spells the scorer, such as "shared(snapkv)".
func (s Shared) Name() string { return Spell("shared", s) }

// Score is the mean of the inner scores over the KV heads, (KVHeads, Len) with equal rows. Heads of different lengths
// have no common tokens to agree on and are refused.
func (s Shared) Score(l *Layer) (Scores, error) {
	if l.Ragged() {
		return Scores{}, errors.New("the heads hold different numbers of pairs, so they cannot keep the same tokens: use it on a session that is not pressed head-wise")
	}
	inner, _, err := score(s.Scorer, l, l.Ratio)
	if err != nil {
		return Scores{}, err
	}
	mean := make([]float32, l.Len)
	for h := range l.KVHeads {
		tensor.Add(mean, inner.Values.Row(h))
	}
	tensor.Scale(mean, 1/float32(l.KVHeads))
	for h := range l.KVHeads {
		copy(inner.Values.Row(h), mean)
	}
	return inner, nil
}
