package kvpress

// SimLayerKV finds lazy layers, whose last queries look at the first and the recent pairs only, and keeps just these
// there; other layers stay whole. Zhang et al., arXiv 2410.13846.
type SimLayerKV struct {
	Threshold float64 // a layer with more attention than this on first and recent pairs is lazy; 0 means 1: none is
	Last      int     // last queries that count; 0 means 1
	Recent    int     // recent pairs that stay; 0 means 1024
	Initial   int     // first pairs that stay; 0 means 4, negative means none
	Compat    bool    // as the Python original: Last fewer recent pairs stay
}

func init() {
	Register(Method{Name: "simlayerkv", Paper: "arXiv 2410.13846", Example: "simlayerkv(threshold=0.9, recent=64)", Press: SimLayerKV{}})
}

// Name spells the press, such as "simlayerkv(threshold=0.9)".
func (p SimLayerKV) Name() string { return Spell("simlayerkv", p) }

// Plan keeps everything, or the first and the recent pairs of a lazy layer. It has no budget. A context too short to
// lose anything stays whole.
func (p SimLayerKV) Plan(l *Layer) (Plan, error) {
	threshold, err := number("threshold", p.Threshold, 1)
	if err != nil {
		return Plan{}, l.at("simlayerkv", err)
	}
	last, err := whole("last", p.Last, 1)
	if err != nil {
		return Plan{}, l.at("simlayerkv", err)
	}
	recent, err := whole("recent", p.Recent, 1024)
	if err != nil {
		return Plan{}, l.at("simlayerkv", err)
	}
	initial := wholeOrNone(p.Initial, 4)
	if l.Len <= initial+recent+last || threshold == 1 {
		return KeepAll(l), nil
	}
	attention, err := l.Attention(last, nil)
	if err != nil {
		return Plan{}, l.at("simlayerkv", err)
	}
	mass := 0.0
	for head := range l.Heads {
		n := l.Lens[head/l.Group()]
		for i, a := range attention.Row(head)[:max(0, n-last)] {
			if i < initial || i >= n-last-recent {
				mass += float64(a) / float64(l.Heads)
			}
		}
	}
	if mass <= threshold {
		return KeepAll(l), nil
	}
	if p.Compat {
		recent = max(0, recent-last)
	}
	plan := Plan{Keep: make([][]int, l.KVHeads)}
	for h, n := range l.Lens {
		start := min(initial, n)
		plan.Keep[h] = append(span(0, start), span(max(start, n-recent), n)...)
	}
	return plan, nil
}
