package kvpress

import "slices"

// DMS evicts every pair whose score is below a threshold, once it has left a window of recent pairs: heads keep as
// many as deserve it. Made for scores that mean the same everywhere, such as kvzap's. After dynamic memory
// sparsification, Łańcucki et al., arXiv 2506.05345.
type DMS struct {
	Scorer    Scorer  // must score each pair by itself: kvzap, knorm, qfilter, random
	Threshold float64 // pairs that score less go
	Window    int     // last pairs that stay; 0 means 128, negative means none
	Decoding  bool    // goes on while the model answers, pair by pair as they leave the window
}

func init() {
	Register(Method{Name: "dms", Paper: "arXiv 2506.05345", Example: "dms(knorm, threshold=-2)", Press: DMS{}})
}

// Name spells the press, such as "dms(kvzap, threshold=-4)".
func (p DMS) Name() string { return Spell("dms", p) }

// Plan keeps the window and what scores at least the threshold. It has no budget.
func (p DMS) Plan(l *Layer) (Plan, error) {
	s, force, err := score(p.Scorer, l, 0)
	if err != nil {
		return Plan{}, err
	}
	window, err := l.Last(p.Recent())
	if err != nil {
		return Plan{}, err
	}
	places, err := l.places(window)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: s.Values, Force: append(s.Force, window...)}
	for h, n := range l.Lens {
		stays := make([]bool, n)
		for _, i := range append(force[h], places[h]...) {
			stays[i] = true
		}
		plan.Keep[h] = []int{}
		for i, v := range s.Values.Row(h)[:n] {
			if stays[i] || v >= float32(p.Threshold) {
				plan.Keep[h] = append(plan.Keep[h], i)
			}
		}
	}
	return plan, nil
}

// Recent is the size of the window.
func (p DMS) Recent() int { return wholeOrNone(p.Window, 128) }

// Judge keeps all pairs but those at positions from up to, not including, to that score less than the threshold. Only
// these are scored, and the plan has no scores.
func (p DMS) Judge(l *Layer, from, to int) (Plan, error) {
	plan, leaving := KeepAll(l), make([][]int, l.KVHeads)
	for h := range leaving {
		at, err := l.Positions(h)
		if err != nil {
			return Plan{}, err
		}
		first, _ := slices.BinarySearch(at, from)
		end, _ := slices.BinarySearch(at, to)
		leaving[h] = span(first, end)
	}
	part, err := l.Select(leaving)
	if err != nil || part.Len == 0 {
		return plan, err
	}
	s, force, err := score(p.Scorer, part, 0)
	if err != nil {
		return Plan{}, err
	}
	for h, places := range leaving {
		for i, v := range s.Values.Row(h)[:len(places)] {
			if v < float32(p.Threshold) && !slices.Contains(force[h], i) {
				at, _ := slices.BinarySearch(plan.Keep[h], places[i])
				plan.Keep[h] = slices.Delete(plan.Keep[h], at, at+1)
			}
		}
	}
	return plan, nil
}
