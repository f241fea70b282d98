package kvpress

import "fmt"

// fixed is a scorer whose scores are known already.
type fixed struct {
	name   string
	layers []Scores
}

// Fixed makes a scorer of scores that are known already, one for each layer: those of a press that ran the model
// again, or numbers from a file. Name is how the press around it is spelled.
func Fixed(name string, layers []Scores) Scorer { return fixed{name, layers} }

func (f fixed) Name() string { return f.name }

// Score returns the layer's scores.
func (f fixed) Score(l *Layer) (Scores, error) {
	if l.Index >= len(f.layers) {
		return Scores{}, fmt.Errorf("there are scores of %d layers: give one for each", len(f.layers))
	}
	s := f.layers[l.Index]
	return Scores{Values: s.Values.Clone(), Force: s.Force}, nil
}
