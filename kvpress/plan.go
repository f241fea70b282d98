package kvpress

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Plan says what one layer keeps. It is data: print it, chart it, save it, compare it, replay it.
type Plan struct {
	// Keep[h] lists what KV head h keeps, as indices into the head's pairs, ascending. Heads may differ in length.
	Keep [][]int
	// Scores is what the press thought of every pair, (KVHeads, Len); empty when it has no scores.
	Scores tensor.Mat
	// Force lists the token positions that every head kept whatever their score.
	Force []int
	// Channels, when not nil, lists per KV head the key channels that stay, ascending. The kept keys are stored
	// without the other channels, and a query meets them with the same channels only, as if the missing ones were 0.
	// Values, and keys appended later, stay whole.
	Channels [][]int
	// Merge, when not nil, lists per KV head what evicted values leave behind in kept ones: first all merges are
	// added up, v_To = (v_To + sum of Weight v_From) / (1 + sum of Weight), from the values before any merge; then
	// the pairs that Keep does not list go. Keys do not change.
	Merge [][]Merge
	// MergeSum leaves out the division: v_To = v_To + sum of Weight v_From.
	MergeSum bool
	// Rerotate renumbers the kept keys 0, 1, 2, ... and rotates them to their new places.
	Rerotate bool
	// Bits, when not 0, is how many bits a number of the keys and values takes from now on, 16, 8 or 4, or tensor.Float8; the
	// newest 32 pairs of a head stay as they are.
	Bits int
	// Wait, when not nil, settles Keep once every layer has a plan: it is called one time with all plans, in order.
	Wait func(plans []Plan) error

	pot *pot // of a plan that waits
}

// A Merge adds the value of an evicted pair to that of a kept one; both are places in the head before eviction.
type Merge struct {
	From, To int
	Weight   float32
}

// KeepAll is the plan that leaves the layer as it is.
func KeepAll(l *Layer) Plan {
	p := Plan{Keep: make([][]int, l.KVHeads)}
	for h := range p.Keep {
		p.Keep[h] = make([]int, l.Lens[h])
		for i := range p.Keep[h] {
			p.Keep[h][i] = i
		}
	}
	return p
}

// PlanLayer asks a press for the plan of one layer and checks it. A layer that looks back over a window is kept whole,
// without asking: what it does not see is lost to it anyway. A panic of the press becomes an error.
func PlanLayer(p Press, i int, layer func(i int) (*Layer, error)) (plan Plan, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("layer %d: panic: %v", i, r)
		}
	}()
	l, err := layer(i)
	if err != nil {
		return plan, err
	}
	if l.Window > 0 {
		return KeepAll(l), nil
	}
	plan, err = p.Plan(l)
	if err == nil && plan.Wait == nil {
		err = plan.Check(l)
	}
	return plan, err
}

// PlanLayers asks a press for the plans of all layers, several at a time, and settles those that wait for each other.
func PlanLayers(p Press, layers int, layer func(i int) (*Layer, error)) ([]Plan, error) {
	plans, errs := make([]Plan, layers), make([]error, layers)
	tensor.Parallel(layers, func(i int) { plans[i], errs[i] = PlanLayer(p, i, layer) })
	var waiting []Plan
	var at []int
	for i, err := range errs {
		if err != nil {
			return nil, err
		}
		if plans[i].Wait != nil {
			waiting, at = append(waiting, plans[i]), append(at, i)
		}
	}
	if len(waiting) == 0 {
		return plans, nil
	}
	err := waiting[0].Wait(waiting)
	for i, plan := range waiting {
		plans[at[i]] = plan
	}
	return plans, err
}

// Kept is the number of pairs that stay, over all heads.
func (p Plan) Kept() int {
	n := 0
	for _, k := range p.Keep {
		n += len(k)
	}
	return n
}

// String says how many pairs each head keeps.
func (p Plan) String() string {
	if p.Wait != nil {
		return "plan: waits for the scores of all layers"
	}
	s := fmt.Sprintf("plan: %d pairs stay, per head", p.Kept())
	for _, k := range p.Keep {
		s += fmt.Sprintf(" %d", len(k))
	}
	return s
}

// Check reports a plan that does not fit the layer: heads missing, places or channels out of range or out of order.
func (p Plan) Check(l *Layer) error { return l.at("", p.check(l)) }

func (p Plan) check(l *Layer) error {
	if len(p.Keep) != l.KVHeads {
		return fmt.Errorf("the plan has %d heads, the layer %d", len(p.Keep), l.KVHeads)
	}
	for h, keep := range p.Keep {
		if err := ascending(keep, l.Lens[h]); err != nil {
			return fmt.Errorf("KV head %d: kept pairs: %w", h, err)
		}
	}
	if p.Channels != nil && len(p.Channels) != l.KVHeads {
		return fmt.Errorf("the plan has channels of %d heads, the layer %d", len(p.Channels), l.KVHeads)
	}
	for h, channels := range p.Channels {
		if err := ascending(channels, l.Dim); err != nil {
			return fmt.Errorf("KV head %d: kept channels: %w", h, err)
		}
	}
	if p.Merge != nil && len(p.Merge) != l.KVHeads {
		return fmt.Errorf("the plan has merges of %d heads, the layer %d", len(p.Merge), l.KVHeads)
	}
	for h, merges := range p.Merge {
		for _, m := range merges {
			_, kept := slices.BinarySearch(p.Keep[h], m.To)
			if m.From < 0 || m.From >= l.Lens[h] || !kept {
				return fmt.Errorf("KV head %d: pair %d cannot be merged into pair %d of %d: merge into a kept pair", h, m.From, m.To, l.Lens[h])
			}
		}
	}
	if p.Bits != 0 && p.Bits != 4 && p.Bits != 8 && p.Bits != 16 && p.Bits != tensor.Float8 {
		return fmt.Errorf("numbers are stored in 16 bits, 8 or 4, not in %d", p.Bits)
	}
	return p.checkRotation(l)
}

// checkRotation refuses to rotate keys again where their new places would be unclear.
func (p Plan) checkRotation(l *Layer) error {
	if !p.Rerotate {
		return nil
	}
	if p.Channels != nil {
		return errors.New("keys with missing channels cannot be rotated again: leave out rerotate or think")
	}
	for _, keep := range p.Keep {
		if l.Ragged() || len(keep) != len(p.Keep[0]) {
			return errors.New("heads of different lengths cannot be rotated again: put a press inside rerotate that keeps the same number in every head")
		}
	}
	return nil
}

// ascending reports places that are not ascending from 0 to n-1.
func ascending(places []int, n int) error {
	last := -1
	for i, k := range places {
		if k <= last || k >= n {
			return fmt.Errorf("entry %d is %d after %d, there are %d: list them ascending, each once", i, k, last, n)
		}
		last = k
	}
	return nil
}
