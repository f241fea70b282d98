package kvpress

// AdaScorer is the plain head-wise rule of the AdaKV fork: the best pairs of the layer stay, whichever heads they are
// in, without a floor; the layer's budget is truncated once instead of per head.
// Feng et al., arXiv 2407.11550.
type AdaScorer struct {
	Scorer Scorer
	Budget Budget
}

func init() { Register(Method{Name: "adascorer", Paper: "arXiv 2407.11550", Press: AdaScorer{}}) }

// Name spells the press, such as "adascorer(knorm):0.5".
func (p AdaScorer) Name() string { return Spell("adascorer", p) }

// Plan keeps the best pairs of the layer over all heads.
func (p AdaScorer) Plan(l *Layer) (Plan, error) {
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	sure := make([][]int, l.KVHeads)
	return Plan{Keep: bestOfAll(s.Values, l.Lens, force, sure, p.Budget.keepOfLayer(l), lowerStays), Scores: s.Values, Force: s.Force}, nil
}
