package kvpress

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
	ada, err := AdaKV{Scorer: p.Scorer, Budget: p.Budget, Floor: p.Floor}.Plan(l)
	if err != nil || p.Budget.KeepsAll(l) {
		return ada, err
	}
	values, err := criticalScores(l, ada.Scores, epsilon)
	if err != nil {
		return Plan{}, l.at("critical_adakv", err)
	}
	force, err := l.places(ada.Force)
	if err != nil {
		return Plan{}, err
	}
	for h, n := range l.Lens {
		budget := len(ada.Keep[h])
		sure := max(atLeastOne(float64(p.Budget.Keep(l, n))*floor), int(float64(budget)*first))
		sureOnes := best(ada.Scores.Row(h)[:n], force[h], min(sure, budget))
		ada.Keep[h] = best(values.Row(h)[:n], sureOnes, budget)
	}
	return ada, nil
}
