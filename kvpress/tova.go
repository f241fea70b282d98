package kvpress

import "github.com/kvnotes/kvnotes/kvpress/tensor"

// TOVA keeps what the last token looks at, averaged over all heads: every head keeps the same tokens.
// Oren et al., arXiv 2401.06104.
type TOVA struct{}

func init() { Register(Method{Name: "tova", Paper: "arXiv 2401.06104", Scorer: TOVA{}}) }

// Name spells the scorer.
func (TOVA) Name() string { return "tova" }

// Score is the mean attention that the last query pays to each token, over the heads that still hold it, (KVHeads,
// Len); the last token is forced.
func (TOVA) Score(l *Layer) (Scores, error) {
	attention, err := l.Attention(1, nil)
	if err != nil {
		return Scores{}, err
	}
	byHead := l.GroupMean(attention)
	last, err := l.Last(1)
	if err != nil {
		return Scores{}, err
	}
	sum, holders := make([]float32, last[0]+1), make([]float32, last[0]+1) // by position
	at := make([][]int, l.KVHeads)
	for h := range l.KVHeads {
		if at[h], err = l.Positions(h); err != nil {
			return Scores{}, err
		}
		for i, p := range at[h] {
			sum[p] += byHead.Row(h)[i]
			holders[p]++
		}
	}
	values := tensor.New(l.KVHeads, l.Len)
	for h := range l.KVHeads {
		for i, p := range at[h] {
			values.Row(h)[i] = sum[p] / holders[p]
		}
	}
	return l.Protect(values, last)
}
