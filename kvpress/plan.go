package kvpress

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Plan says what one layer keeps. It is data: print it, chart it, save it, compare it, replay it.
type Plan struct {
	// Keep[h] lists what KV head h keeps, as indices into the head's pairs, ascending. Heads may differ in length.
	Keep [][]int
	// Scores is what the press thought of every pair, (KVHeads, Len); empty when it has no scores.
	Scores tensor.Mat
	// Force lists the positions that were kept whatever their score.
	Force []int
	// Rerotate renumbers the kept keys 0, 1, 2, ... and rotates them to their new places.
	Rerotate bool
	// Wait, when not nil, settles Keep once every layer has a plan: it is called one time with all plans, in order.
	Wait func(plans []Plan) error
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
	if p.Wait != nil && p.Keep == nil {
		return "plan: waits for the scores of all layers"
	}
	s := fmt.Sprintf("plan: %d pairs stay, per head", p.Kept())
	for _, k := range p.Keep {
		s += fmt.Sprintf(" %d", len(k))
	}
	return s
}

// Check reports a plan that does not fit the layer: heads missing, positions out of range or out of order.
func (p Plan) Check(l *Layer) error {
	if len(p.Keep) != l.KVHeads {
		return fmt.Errorf("layer %d: the plan has %d heads, the layer %d", l.Index, len(p.Keep), l.KVHeads)
	}
	for h, keep := range p.Keep {
		last := -1
		for i, k := range keep {
			if k <= last || k >= l.Lens[h] {
				return fmt.Errorf("layer %d: KV head %d: kept entry %d is position %d after %d, the head has %d pairs: list positions ascending, each once", l.Index, h, i, k, last, l.Lens[h])
			}
			last = k
		}
	}
	if p.Rerotate && l.Ragged() {
		return fmt.Errorf("layer %d: re-rotation of a ragged layer is not defined: rerotate before a head-wise press", l.Index)
	}
	return nil
}
