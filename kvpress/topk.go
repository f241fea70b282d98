package kvpress

// TopKPress keeps, in every KV head, the pairs that its scorer ranks highest; all heads keep the same number.
type TopKPress struct {
	Scorer Scorer
	Budget Budget
}

// TopK makes a press of a scorer: every KV head keeps its best pairs, as many as the budget allows.
func TopK(s Scorer, b Budget) Press { return TopKPress{Scorer: s, Budget: b} }

// Name is the scorer's spelling with the budget, such as "snapkv:0.5".
func (p TopKPress) Name() string {
	if p.Scorer == nil {
		return "topk:" + p.Budget.String()
	}
	return p.Scorer.Name() + ":" + p.Budget.String()
}

// Plan keeps the best pairs of each head.
func (p TopKPress) Plan(l *Layer) (Plan, error) {
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: s.Values, Force: s.Force}
	for h, n := range l.Lens {
		plan.Keep[h] = best(s.Values.Row(h)[:n], force[h], p.Budget.Keep(l, n))
	}
	return plan, nil
}
