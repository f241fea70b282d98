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
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(p.Scorer, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	// Until all layers are there, Keep lists what every head keeps for sure, and the layer's share of the budget.
	sure := make([][]int, l.KVHeads)
	total := 0
	for h, n := range l.Lens {
		keep := p.Budget.Keep(l, n)
		total += keep
		sure[h] = best(s.Values.Row(h)[:n], force[h], atLeastOne(float64(keep)*floor))
	}
	plan := Plan{Keep: sure, Scores: s.Values, Force: s.Force, pot: &pot{lens: slices.Clone(l.Lens), force: force, share: total}}
	plan.Wait = func(plans []Plan) error {
		total := 0
		for _, p := range plans {
			total += p.pot.share
		}
		return settle(plans, total)
	}
	return plan, nil
}

// A pot is what a plan puts in while it waits for the other layers.
type pot struct {
	lens  []int   // pairs of each head
	force [][]int // places that must stay, per head
	share int     // what the layer brings to the common budget
}

// settle keeps the best total pairs of all layers: what Keep lists for sure, forced places, then by score.
func settle(plans []Plan, total int) error {
	var lens []int
	var force, sure [][]int
	longest := 0
	for _, p := range plans {
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
	keep := bestOfAll(values, lens, force, sure, total)
	for i := range plans {
		n := len(plans[i].pot.lens)
		plans[i].Keep, keep = keep[:n], keep[n:]
		plans[i].Wait, plans[i].pot = nil, nil
	}
	return nil
}
