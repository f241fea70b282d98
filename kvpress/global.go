package kvpress

import (
	"fmt"
	"slices"
)

// GlobalPress lets all layers and KV heads of a model share one budget: the pairs with the best scores of the whole
// cache stay. It waits for the scores of all layers.
type GlobalPress struct {
	Scorer Scorer
	Budget Budget
	Floor  float64 // share of the equal budget that every head keeps for sure; 0 means 0.2, negative means none
}

// Global makes a press whose budget is shared by all layers. Floor is the share of the equal budget that every head
// keeps for sure, from 0 to 1.
func Global(s Scorer, b Budget, floor float64) Press {
	if floor == 0 {
		floor = -1
	}
	return GlobalPress{Scorer: s, Budget: b, Floor: floor}
}

func init() { Register(Method{Name: "global", Press: GlobalPress{}}) }

// Name spells the press, such as "global(snapkv):0.5".
func (p GlobalPress) Name() string { return Spell("global", p) }

// Plan scores the layer; Keep is settled when all layers have scores.
func (p GlobalPress) Plan(l *Layer) (Plan, error) {
	floor, err := share("floor", p.Floor, 0.2)
	if err != nil {
		return Plan{}, err
	}
	if err := p.Budget.Check(); err != nil {
		return Plan{}, err
	}
	if p.Budget.KeepsAll(l) {
		return KeepAll(l), nil
	}
	s, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	// Until all layers are there, Keep lists what every head keeps for sure, and the layer's share of the budget.
	sure := make([][]int, l.KVHeads)
	total := 0
	for h, n := range l.Lens {
		keep := p.Budget.Keep(l, n)
		total += keep
		sure[h] = best(s.Values.Row(h)[:n], s.Force, int(float64(keep)*floor))
	}
	lens := slices.Clone(l.Lens)
	return Plan{Keep: sure, Scores: s.Values, Force: s.Force, Wait: func(plans []Plan) error { return settleGlobal(plans, lens, total) }}, nil
}

// settleGlobal gives every layer the same share, puts it into one pot, and keeps the best of all layers.
func settleGlobal(plans []Plan, lens []int, perLayer int) error {
	// One long row of heads: layer by layer, head by head.
	all := &Layer{KVHeads: len(plans) * len(lens)}
	for range plans {
		all.Lens = append(all.Lens, lens...)
	}
	all.Len = slices.Max(lens)
	if len(plans)*len(lens)*all.Len > indexMask {
		return fmt.Errorf("global budget: %d layers of %d heads with %d pairs are more than can be ranked at once", len(plans), len(lens), all.Len)
	}
	var s Scores
	var sure [][]int
	s.Values.Cols = all.Len
	for _, p := range plans {
		s.Values.Rows += p.Scores.Rows
		s.Values.Data = append(s.Values.Data, p.Scores.Data...)
		sure = append(sure, p.Keep...)
		s.Force = p.Force // the same rule gives the same places in every layer
	}
	keep := bestOfLayer(all, s, sure, perLayer*len(plans))
	for i := range plans {
		plans[i].Keep = keep[i*len(lens) : (i+1)*len(lens)]
		plans[i].Wait = nil
	}
	return nil
}
