package kvpress

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// QFilter keeps the keys that point away from a direction trained per head, the main one of the head's queries.
// Godey et al., arXiv 2503.02812.
type QFilter struct {
	Filters []tensor.Mat // per layer (KVHeads, Dim)
}

func init() { Register(Method{Name: "qfilter", Paper: "arXiv 2503.02812", Scorer: QFilter{}}) }

// Name spells the scorer.
func (QFilter) Name() string { return "qfilter" }

// Score is the negative product of each key with its head's filter, (KVHeads, Len).
func (s QFilter) Score(l *Layer) (Scores, error) {
	if l.Index >= len(s.Filters) {
		return Scores{}, untrained("filters", len(s.Filters))
	}
	f := s.Filters[l.Index]
	if f.Rows != l.KVHeads || f.Cols != l.Dim {
		return Scores{}, fmt.Errorf("the filters are of %d heads of %d channels, the layer has %d of %d: take those of this model", f.Rows, f.Cols, l.KVHeads, l.Dim)
	}
	values := tensor.New(l.KVHeads, l.Len)
	for h := range l.KVHeads {
		keys, err := l.Keys(h)
		if err != nil {
			return Scores{}, err
		}
		copy(values.Row(h), times(keys, f.Row(h)))
	}
	tensor.Scale(values.Data, -1)
	return Scores{Values: values}, nil
}
