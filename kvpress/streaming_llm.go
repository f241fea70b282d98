package kvpress

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// StreamingLLM keeps the first few pairs, the attention sinks, and the most recent ones. The paper also moves the
// kept keys together: wrap it in rerotate for that. Xiao et al., arXiv 2309.17453.
type StreamingLLM struct {
	Sinks int // first pairs that stay; 0 means 4, negative means none
}

func init() {
	Register(Method{Name: "streaming_llm", Paper: "arXiv 2309.17453", Scorer: StreamingLLM{}})
}

// Name spells the scorer, such as "streaming_llm(sinks=8)".
func (s StreamingLLM) Name() string { return Spell("streaming_llm", s) }

// Score is 1 for pairs that stay and 0 for those between the sinks and the recent ones, (KVHeads, Len); the sinks
// are forced.
func (s StreamingLLM) Score(l *Layer) (Scores, error) {
	sinks := wholeOrNone(s.Sinks, 4)
	if l.Len <= sinks {
		return Scores{}, fmt.Errorf("%d tokens, the sinks are %d: lower Sinks or use a longer context", l.Len, sinks)
	}
	first, places, err := l.firstPlaces(sinks)
	if err != nil {
		return Scores{}, err
	}
	values := tensor.New(l.KVHeads, l.Len)
	for h, n := range l.Lens {
		from := len(places[h])
		to := from + n - KeepCount(n, l.Ratio)
		for i := range n {
			if i < from || i >= to {
				values.Row(h)[i] = 1
			}
		}
	}
	return Scores{Values: values, Force: first}, nil
}
