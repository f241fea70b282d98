package kvpress

import "slices"

// Lowest evicts the pairs with the lowest scores of the whole cache, or of each layer, wherever they are: heads and
// layers share one budget without any floor. It is the rule of the KVzip family. Kim et al., arXiv 2505.23416.
type Lowest struct {
	Scorer    Scorer
	Budget    Budget
	Layerwise bool // each layer has its own budget; otherwise the press waits for the scores of all layers
}

func init() { Register(Method{Name: "lowest", Paper: "arXiv 2505.23416", Press: Lowest{}}) }

// Name spells the press, such as "lowest(keydiff):0.5".
func (p Lowest) Name() string { return Spell("lowest", p) }

// Plan keeps all but the lowest pairs of the layer; over all layers, Keep is settled when all have scores.
func (p Lowest) Plan(l *Layer) (Plan, error) {
	if err := p.Budget.Check(); err != nil || p.Budget.removesNothing() {
		return KeepAll(l), l.at("lowest", err)
	}
	s, force, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: s.Values, Force: s.Force}
	share := 0
	for _, n := range l.Lens {
		if p.Budget.isRatio() {
			share += n
		} else {
			share += p.Budget.Keep(l, n)
		}
	}
	if p.Layerwise {
		plan.Keep = bestOfAll(s.Values, l.Lens, force, plan.Keep, p.keep(share), higherStays)
		return plan, nil
	}
	plan.pot = &pot{lens: slices.Clone(l.Lens), force: force, share: share}
	plan.Wait = func(plans []Plan) error { return settle(plans, p.keep) }
	return plan, nil
}

// keep is what stays of so many pairs, or of a budget that counts pairs. The number that goes is truncated, as in the
// Python original.
func (p Lowest) keep(share int) int {
	if p.Budget.isRatio() {
		return share - int(float64(share)*p.Budget.Removed)
	}
	return share
}
