package kvpress

import (
	"fmt"
	"slices"
)

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
	total := 0
	sure := make([][]int, l.KVHeads)
	for h, n := range l.Lens {
		keep := p.Budget.Keep(l, n)
		total += keep
		sure[h] = best(s.Values.Row(h)[:n], s.Force, int(float64(keep)*floor))
	}
	return Plan{Keep: bestOfLayer(l, s, sure, total), Scores: s.Values, Force: s.Force}, nil
}

// bestOfLayer keeps total pairs of the layer: the sure ones of each head first, then forced ones, then by score over
// all heads. Among equals the one with the higher head and position stays, as in the Python original, which evicts
// the lower index first.
func bestOfLayer(l *Layer, s Scores, sure [][]int, total int) [][]int {
	var keys []uint64
	for h, n := range l.Lens {
		tier := make([]int, n)
		for _, f := range s.Force {
			if f < n {
				tier[f] = forced
			}
		}
		for _, i := range sure[h] {
			tier[i] = safe
		}
		for i, v := range s.Values.Row(h)[:n] {
			if tier[i] != plain {
				v = 0 // protected pairs of one tier are equals
			}
			keys = append(keys, rank(tier[i], v, indexMask-(h*l.Len+i)))
		}
	}
	slices.Sort(keys)
	keep := make([][]int, l.KVHeads)
	for _, k := range keys[:min(total, len(keys))] {
		flat := indexMask - int(k&indexMask)
		h := flat / l.Len
		keep[h] = append(keep[h], flat%l.Len)
	}
	for h := range keep {
		slices.Sort(keep[h])
	}
	return keep
}

// share reads a parameter from 0 to 1 whose zero value means a default and whose negative values mean 0.
func share(name string, v, otherwise float64) (float64, error) {
	switch {
	case v == 0:
		return otherwise, nil
	case v < 0:
		return 0, nil
	case v > 1 || v != v:
		return 0, fmt.Errorf("%w: %s is %v: it is a share, from 0 to 1", ErrBadParameter, name, v)
	}
	return v, nil
}
