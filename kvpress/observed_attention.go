package kvpress

// ObservedAttention keeps what all queries of the context looked at, each pair's attention divided by the number of
// queries that could see it. Related to H2O: Zhang et al., arXiv 2306.14048.
type ObservedAttention struct{}

func init() {
	Register(Method{Name: "observed_attention", Paper: "arXiv 2306.14048", Scorer: ObservedAttention{}})
}

// Name spells the scorer.
func (ObservedAttention) Name() string { return "observed_attention" }

// Score is the mean attention each pair got from the queries that see it, (KVHeads, Len).
func (ObservedAttention) Score(l *Layer) (Scores, error) {
	sums, err := l.AttentionSums()
	if err != nil {
		return Scores{}, err
	}
	values := l.GroupMean(sums)
	for h := range l.KVHeads {
		at, err := l.Positions(h)
		if err != nil {
			return Scores{}, err
		}
		for i, p := range at {
			values.Row(h)[i] /= float32(min(l.Tokens, l.Next-p))
		}
	}
	return Scores{Values: values}, nil
}
