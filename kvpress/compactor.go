package kvpress

import "github.com/kvnotes/kvnotes/kvpress/tensor"

// Compactor adds up two views of a context that need no question: the leverage of keys and the attention without
// causal mask. Sinks and the last tokens stay. Chari et al., arXiv 2507.08143. Only right after a prefill.
type Compactor struct {
	Sinks    int     // first pairs that stay; 0 means 8, negative means none
	Last     int     // last pairs that stay; 0 means 4, negative means none
	Chunk    int     // tokens of a chunk of attention; 0 means 256
	Sketch   int     // dimensions of the sketch of keys; 0 means 48
	Blending float64 // weight of the leverage; 0 means the ratio that goes, negative means none
	Seed     uint64  // of the sketch
	Compat   bool    // attention as the Python original computes it, see NonCausal
}

func init() { Register(Method{Name: "compactor", Paper: "arXiv 2507.08143", Scorer: Compactor{}}) }

// Name spells the scorer, such as "compactor(blending=0.3)".
func (s Compactor) Name() string { return Spell("compactor", s) }

// Score is the blend of both views, (KVHeads, Len); sinks and last pairs are forced.
func (s Compactor) Score(l *Layer) (Scores, error) {
	blending, err := number("blending", s.Blending, l.Ratio)
	if err != nil {
		return Scores{}, err
	}
	if l.Ragged() || l.Tokens != l.Len {
		return Scores{}, errOnlyPrefill
	}
	sinks := min(l.Len, wholeOrNone(s.Sinks, 8))
	last := min(l.Len-sinks, wholeOrNone(s.Last, 4))
	first, err := l.First(sinks)
	if err != nil {
		return Scores{}, err
	}
	end, err := l.Last(last)
	if err != nil {
		return Scores{}, err
	}
	values := tensor.New(l.KVHeads, l.Len)
	if sinks+last < l.Len {
		middle, err := l.Slice(sinks, l.Len-last)
		if err != nil {
			return Scores{}, err
		}
		leverage, err := Leverage{Sketch: s.Sketch, Seed: s.Seed}.Score(middle)
		if err != nil {
			return Scores{}, err
		}
		attention, err := NonCausal{Chunk: s.Chunk, Compat: s.Compat}.Score(middle)
		if err != nil {
			return Scores{}, err
		}
		for h := range l.KVHeads {
			row := values.Row(h)[sinks : l.Len-last]
			copy(row, attention.Values.Row(h))
			tensor.AddScaled(row, float32(blending), leverage.Values.Row(h))
		}
	}
	return l.protect(values, append(first, end...), 0)
}
