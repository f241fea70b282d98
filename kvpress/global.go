package kvpress

import (
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
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
		return Plan{}, l.at("global", err)
	}
	if err := p.Budget.Check(); err != nil || p.Budget.removesNothing() {
		return KeepAll(l), l.at("global", err)
	}
	s, force, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	// Until all layers are there, Keep lists what every head keeps for sure.
	sure, total := floors(p.Budget, l, s, force, floor)
	plan := Plan{Keep: sure, Scores: s.Values, Force: s.Force, pot: &pot{lens: slices.Clone(l.Lens), force: force, share: total}}
	plan.Wait = func(plans []Plan) error { return settle(plans, func(total int) int { return total }) }
	return plan, nil
}

// A pot is what a plan puts in while it waits for the other layers.
type pot struct {
	lens  []int   // pairs of each head
	force [][]int // places that must stay, per head
	share int     // what the layer brings to the common budget
}

// settle keeps the best pairs of all layers, as many as keep says of the sum of their shares: what Keep lists for sure,
// forced places, then by score.
func settle(plans []Plan, keep func(total int) int) error {
	var lens []int
	var force, sure [][]int
	longest, total := 0, 0
	for i, p := range plans {
		if p.pot == nil {
			return fmt.Errorf("the plan of layer %d does not wait for the others: settle plans of one press together, once", i)
		}
		total += p.pot.share
		lens, force, sure = append(lens, p.pot.lens...), append(force, p.pot.force...), append(sure, p.Keep...)
		longest = max(longest, p.Scores.Cols)
	}
	if len(lens)*longest > indexMask {
		return fmt.Errorf("%d heads of %d pairs are more than can be ranked together: use a budget per layer, such as adakv", len(lens), longest)
	}
	values := tensor.New(len(lens), longest)
	row := 0
	for _, p := range plans {
		for h := range p.Scores.Rows {
			copy(values.Row(row), p.Scores.Row(h))
			row++
		}
	}
	kept := bestOfAll(values, lens, force, sure, keep(total), higherStays)
	for i := range plans {
		n := len(plans[i].pot.lens)
		plans[i].Keep, kept = kept[:n], kept[n:]
		plans[i].Wait, plans[i].pot = nil, nil
	}
	return nil
}
