package kvpress

import (
	"errors"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Composed lets presses work one after the other: each sees what the ones before it left, with the queries and hidden
// states of all tokens. Two halves leave a quarter.
type Composed struct {
	Presses []Press
}

func init() {
	Register(Method{Name: "composed", Example: "composed(snapkv:0.3, keydiff:0.3)", Press: Composed{}})
}

// Name spells the press, such as "composed(snapkv:0.3, knorm:0.5)".
func (p Composed) Name() string { return Spell("composed", p) }

// Plan keeps what all presses keep. Presses that move keys or merge values must come last; those that wait for all
// layers are refused. Scores are those of the last press that has any, and empty once pairs went before it.
func (p Composed) Plan(l *Layer) (Plan, error) {
	whole, seen := KeepAll(l), l
	pairs := whole.Kept()
	for i, press := range p.Presses {
		if whole.Rerotate || whole.Merge != nil {
			return Plan{}, l.at("composed", errors.New(p.Presses[i-1].Name()+" moves keys or merges values: put it last"))
		}
		plan, err := planOf(press, seen)
		if err != nil {
			return Plan{}, err
		}
		whole = whole.then(plan, pairs)
		if i == len(p.Presses)-1 {
			break
		}
		if seen, err = l.Select(whole.Keep); err != nil {
			return Plan{}, err
		}
		seen.Draws = l.Draws
		if whole.Channels != nil {
			seen.dropChannels(whole.Channels)
		}
	}
	return whole, l.at("composed", whole.check(l))
}

// then is what is left when plan, made for what p leaves, is carried out after p.
func (p Plan) then(plan Plan, all int) Plan {
	out := Plan{Keep: make([][]int, len(p.Keep)), Channels: plan.Channels, Rerotate: plan.Rerotate, MergeSum: plan.MergeSum, Bits: plan.Bits}
	if plan.Bits == 0 {
		out.Bits = p.Bits
	}
	for h, keep := range p.Keep {
		out.Keep[h] = pick(keep, plan.Keep[h])
	}
	if p.Kept() == all {
		out.Scores, out.Force = plan.Scores, plan.Force
	}
	if plan.Scores.Rows == 0 { // it chose no pairs
		out.Scores, out.Force = p.Scores, p.Force
	}
	for h, channels := range p.Channels {
		if plan.Channels == nil {
			out.Channels = p.Channels
			break
		}
		out.Channels[h] = slices.DeleteFunc(slices.Clone(channels), func(c int) bool { return !slices.Contains(plan.Channels[h], c) })
	}
	for h, merges := range plan.Merge {
		var moved []Merge
		for _, m := range merges {
			moved = append(moved, Merge{p.Keep[h][m.From], p.Keep[h][m.To], m.Weight})
		}
		out.Merge = append(out.Merge, moved)
	}
	return out
}

// dropChannels makes the channels of a view's keys 0 that are not listed.
func (l *Layer) dropChannels(channels [][]int) {
	for h, keys := range l.source.(*view).K {
		short := tensor.New(keys.Rows, keys.Cols)
		for i := range keys.Rows {
			for _, c := range channels[h] {
				short.Row(i)[c] = keys.Row(i)[c]
			}
		}
		l.source.(*view).K[h] = short
	}
}
