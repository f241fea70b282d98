package kvpress

import "math"

// CriticalAdaKV lets the KV heads of a layer share one budget as AdaKV does, and spends each head's part in the two
// stages of CriticalKV. Feng et al., arXiv 2502.03805. It differs from adakv(criticalkv(...)), which shares the
// budget by the refined scores.
type CriticalAdaKV struct {
	Scorer     Scorer
	Budget     Budget
	Floor      float64 // share of the equal budget that every head keeps for sure; 0 means 0.2, negative means none
	Epsilon    float64 // added to scores before norms weigh them; 0 means 1e-4, negative means none
	FirstStage float64 // share of a head's budget that the scorer decides alone; 0 means 0.5, negative means none
}

func init() {
	Register(Method{Name: "critical_adakv", Paper: "arXiv 2502.03805", Press: CriticalAdaKV{}})
}

// Name spells the press, such as "critical_adakv(snapkv):0.5".
func (p CriticalAdaKV) Name() string { return Spell("critical_adakv", p) }

// Plan keeps, in each head, its floor and first stage by score and the rest by score times output norm.
func (p CriticalAdaKV) Plan(l *Layer) (Plan, error) {
	floor, err := share("floor", p.Floor, 0.2)
	if err != nil {
		return Plan{}, l.at("critical_adakv", err)
	}
	epsilon, first, err := stages(p.Epsilon, p.FirstStage)
	if err != nil {
		return Plan{}, l.at("critical_adakv", err)
	}
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	values, err := criticalScores(l, s.Values, epsilon)
	if err != nil {
		return Plan{}, l.at("critical_adakv", err)
	}
	sure, total := floors(p.Budget, l, s, force, floor)
	plan := Plan{Keep: bestOfAll(s.Values, l.Lens, force, sure, total, lowerStays), Scores: s.Values, Force: s.Force}
	for h, n := range l.Lens {
		budget := len(plan.Keep[h]) // what the head keeps now only says how many
		byScore := max(len(sure[h]), int(float64(budget)*first))
		row := values.Row(h)[:n]
		for _, i := range best(s.Values.Row(h)[:n], force[h], byScore) {
			row[i] = math.MaxFloat32
			force[h] = append(force[h], i)
		}
		plan.Keep[h] = best(row, force[h], budget)
	}
	return plan, nil
}
