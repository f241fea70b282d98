package kvpress

// AdaKV lets the KV heads of a layer share one budget: heads that concentrate keep fewer pairs, heads that look
// everywhere keep more, and none falls below a floor. Really ragged: the memory of what goes is freed.
// Feng et al., arXiv 2407.11550.
type AdaKV struct {
	Scorer Scorer
	Budget Budget
	Floor  float64 // share of the equal budget that every head keeps for sure; 0 means 0.2, negative means none
}

// Ada makes a head-wise press of a scorer. Floor is the share of the equal budget that every head keeps for sure,
// from 0 to 1 (the paper: 0.2).
func Ada(s Scorer, b Budget, floor float64) Press {
	if floor == 0 {
		floor = -1
	}
	return AdaKV{Scorer: s, Budget: b, Floor: floor}
}

func init() { Register(Method{Name: "adakv", Paper: "arXiv 2407.11550", Press: AdaKV{}}) }

// Name spells the press, such as "adakv(snapkv):0.5".
func (p AdaKV) Name() string { return Spell("adakv", p) }

// Plan keeps the best pairs of the layer over all heads, after the floor of each head.
func (p AdaKV) Plan(l *Layer) (Plan, error) {
	floor, err := share("floor", p.Floor, 0.2)
	if err != nil {
		return Plan{}, l.at("adakv", err)
	}
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	sure, total := floors(p.Budget, l, s, force, floor)
	return Plan{Keep: bestOfAll(s.Values, l.Lens, force, sure, total, higherStays), Scores: s.Values, Force: s.Force}, nil
}

// floors are the places that each head keeps for sure, and the pairs that all heads may keep together.
func floors(b Budget, l *Layer, s Scores, force [][]int, floor float64) (sure [][]int, total int) {
	for h, n := range l.Lens {
		keep := b.Keep(l, n)
		if !b.isRatio() { // what a head does not use of a count is there for the others
			keep = b.Keep(l, l.Len)
		}
		total += keep
		sure = append(sure, best(s.Values.Row(h)[:n], force[h], atLeastOne(float64(keep)*floor)))
	}
	return sure, total
}
