package kvpress

// DMS evicts every pair whose score is below a threshold, once it has left a window of recent pairs: heads keep as
// many as deserve it. Made for scores that mean the same everywhere, such as kvzap's. After dynamic memory
// sparsification, Łańcucki et al., arXiv 2506.05345. This is its prefill part.
type DMS struct {
	Scorer    Scorer  // must score each pair by itself: kvzap, knorm, qfilter, random
	Threshold float64 // pairs that score less go
	Window    int     // last pairs that stay; 0 means 128, negative means none
}

func init() { Register(Method{Name: "dms", Paper: "arXiv 2506.05345", Press: DMS{}}) }

// Name spells the press, such as "dms(kvzap, threshold=-4)".
func (p DMS) Name() string { return Spell("dms", p) }

// Plan keeps the window and what scores at least the threshold. It has no budget.
func (p DMS) Plan(l *Layer) (Plan, error) {
	s, force, err := score(p.Scorer, l, 0)
	if err != nil {
		return Plan{}, err
	}
	window, err := l.Last(wholeOrNone(p.Window, 128))
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
