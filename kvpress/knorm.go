package kvpress

import "github.com/kvnotes/kvnotes/kvpress/tensor"

// Knorm keeps the keys of small L2 norm: queries tend to attend to them.
// Devoto et al., arXiv 2406.11430.
type Knorm struct{}

func init() { Register(Method{Name: "knorm", Paper: "arXiv 2406.11430", Scorer: Knorm{}}) }

// Name spells the scorer.
func (Knorm) Name() string { return "knorm" }

// Score is the negative norm of each key.
func (Knorm) Score(l *Layer) (Scores, error) {
	norms, err := l.KeyNorms()
	if err != nil {
		return Scores{}, err
	}
	tensor.Scale(norms.Data, -1)
	return Scores{Values: norms}, nil
}
