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
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: s.Values, Force: s.Force}
	pairs := 0
	for _, n := range l.Lens {
		pairs += n
	}
	if p.Layerwise {
		plan.Keep = bestOfAll(s.Values, l.Lens, force, plan.Keep, pairs-p.evicted(l, pairs))
		return plan, nil
	}
	plan.pot = &pot{lens: slices.Clone(l.Lens), force: force, share: pairs}
	plan.Wait = func(plans []Plan) error {
		total := 0
		for _, p := range plans {
			total += p.pot.share
		}
		return settle(plans, total-p.evicted(l, total))
	}
	return plan, nil
}

// evicted is how many of so many pairs go.
func (p Lowest) evicted(l *Layer, pairs int) int {
	if p.Budget.PerHead == 0 && p.Budget.Total == 0 {
		return int(float64(pairs) * p.Budget.Removed)
	}
	return int(float64(pairs) * (1 - float64(p.Budget.Keep(l, l.Len))/float64(l.Len)))
}
