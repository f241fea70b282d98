package kvpress

import "fmt"

// AdaSnapKV is the head-wise budget rule of the AdaKV fork over SnapKV's votes: the KV heads of a layer share one
// budget; each keeps its window and a floor of its best pairs outside the window. Compared with adakv(snapkv) the
// floor does not count the window, and the layer's budget is truncated once instead of per head.
// Feng et al., arXiv 2407.11550.
type AdaSnapKV struct {
	Budget Budget
	Window int     // queries that vote, and last pairs that stay; 0 means 64
	Kernel int     // pairs over which votes are averaged, an odd number; 0 means 5
	Floor  float64 // share of the equal budget that every head keeps outside its window; 0 means 0.2, negative means none
	Compat bool    // as the fork: where the floor is no pair, the best pair of the layer may displace one of a window
}

func init() { Register(Method{Name: "adasnapkv", Paper: "arXiv 2407.11550", Press: AdaSnapKV{}}) }

// Name spells the press, such as "adasnapkv(window=16):0.5".
func (p AdaSnapKV) Name() string { return Spell("adasnapkv", p) }

// Plan keeps the best pairs of the layer over all heads, after each head's window and floor.
func (p AdaSnapKV) Plan(l *Layer) (Plan, error) {
	floor, err := share("floor", p.Floor, 0.2)
	if err != nil {
		return Plan{}, l.at("adasnapkv", err)
	}
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(SnapKV{Window: p.Window, Kernel: p.Kernel}, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	if s, err = l.protect(s.Values, s.Force, 0); err != nil { // the fork writes the largest score itself
		return Plan{}, l.at("adasnapkv", err)
	}
	sure := make([][]int, l.KVHeads)
	err = eachHead(l.KVHeads, func(h int) error {
		n := l.Lens[h]
		extra := int(p.Budget.keep(l, n) * floor)
		if window := len(force[h]); extra > n-window {
			return l.at("adasnapkv", fmt.Errorf("%w: the floor is %d of %d pairs before the window: lower Floor", ErrBadParameter, extra, n-window))
		}
		if p.Compat && extra == 0 {
			force[h] = nil // the window only ties with the best pair
		} else {
			sure[h] = best(s.Values.Row(h)[:n], force[h], len(force[h])+extra)
		}
		return nil
	})
	if err != nil {
		return Plan{}, err
	}
	return Plan{Keep: bestOfAll(s.Values, l.Lens, force, sure, p.Budget.keepOfLayer(l), lowerStays), Scores: s.Values, Force: s.Force}, nil
}
