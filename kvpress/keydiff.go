package kvpress

import "github.com/kvnotes/kvnotes/kvpress/tensor"

// KeyDiff keeps the keys that are least like the head's average key: they carry what is distinct.
// Park et al., arXiv 2504.15364.
type KeyDiff struct{}

func init() { Register(Method{Name: "keydiff", Paper: "arXiv 2504.15364", Scorer: KeyDiff{}}) }

// Name spells the scorer.
func (KeyDiff) Name() string { return "keydiff" }

// Score is the negative cosine between each key and the mean of the head's normed keys, (KVHeads, Len).
func (KeyDiff) Score(l *Layer) (Scores, error) {
	norms, err := l.KeyNorms()
	if err != nil {
		return Scores{}, err
	}
	values := tensor.New(l.KVHeads, l.Len)
	err = eachHead(l.KVHeads, func(h int) error {
		keys, err := l.rows(h, false)
		if err != nil {
			return err
		}
		anchor, row := make([]float32, l.Dim), norms.Row(h)
		for i := range keys.Rows {
			row[i] = 1 / max(row[i], tinyNorm)
			tensor.AddScaled(anchor, row[i], keys.Row(i))
		}
		normalize(anchor)
		for i := range keys.Rows {
			values.Row(h)[i] = -tensor.Dot(keys.Row(i), anchor) * row[i]
		}
		return nil
	})
	return Scores{Values: values}, err
}

// tinyNorm is the least length by which a vector is divided.
const tinyNorm = 1e-12

// normalize scales x to length 1; a vector of zeros stays.
func normalize(x []float32) {
	tensor.Scale(x, 1/max(tensor.Norm(x), tinyNorm))
}
