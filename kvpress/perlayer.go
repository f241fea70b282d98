package kvpress

import "fmt"

// PerLayer gives every layer a ratio of its own.
type PerLayer struct {
	Scorer Scorer
	Ratios []float64 // fraction of the pairs that goes, one for each layer
}

func init() {
	Register(Method{Name: "perlayer", Example: "perlayer(keydiff, ratios=0.25/0.5/0.75)", Press: PerLayer{}})
}

// Name spells the press, such as "perlayer(knorm, ratios=0.25/0.5/0.75)".
func (p PerLayer) Name() string { return Spell("perlayer", p) }

// Plan keeps the best pairs of each head, as many as the layer's ratio leaves.
func (p PerLayer) Plan(l *Layer) (Plan, error) {
	if len(p.Ratios) != l.Layers {
		return Plan{}, l.at("perlayer", fmt.Errorf("%w: there are %d ratios, the model has %d layers: write one for each", ErrBadParameter, len(p.Ratios), l.Layers))
	}
	return TopKPress{p.Scorer, Ratio(p.Ratios[l.Index])}.Plan(l)
}
