package kvpress

import (
	"fmt"
	"math"
)

// PyramidKV gives lower layers more pairs than upper ones, along a straight line, and ranks pairs as SnapKV does.
// Cai et al., arXiv 2406.02069.
type PyramidKV struct {
	Budget Budget  // of a layer in the mean
	Window int     // queries that vote, and last pairs that stay; 0 means 64
	Kernel int     // pairs over which votes are averaged, an odd number; 0 means 5
	Beta   float64 // how steep: the last layer gets about 1/Beta of the mean outside its window; 0 means 20, at least 1
}

func init() { Register(Method{Name: "pyramidkv", Paper: "arXiv 2406.02069", Press: PyramidKV{}}) }

// Name spells the press, such as "pyramidkv(beta=2):0.5".
func (p PyramidKV) Name() string { return Spell("pyramidkv", p) }

// Plan keeps the best pairs of each head, as many as the layer's step of the pyramid allows.
func (p PyramidKV) Plan(l *Layer) (Plan, error) {
	window, err := whole("window", p.Window, 64)
	if err != nil {
		return Plan{}, l.at("pyramidkv", err)
	}
	beta, err := number("beta", p.Beta, 20)
	if err != nil || beta < 1 {
		return Plan{}, l.at("pyramidkv", fmt.Errorf("%w: beta is %v: it is at least 1", ErrBadParameter, p.Beta))
	}
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(SnapKV{Window: p.Window, Kernel: p.Kernel}, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: s.Values, Force: s.Force}
	for h, n := range l.Lens {
		keep := p.step(p.Budget.keep(l, n), n, window, beta, l.Index, l.Layers)
		plan.Keep[h] = best(s.Values.Row(h)[:n], force[h], keep)
	}
	return plan, nil
}

// step is the number of n pairs that a layer keeps when mean is the number that all layers keep in the mean. A
// pyramid that does not fit between the window and the context falls back to the mean.
func (p PyramidKV) step(mean float64, n, window int, beta float64, layer, layers int) int {
	w, length := float64(window), float64(n)
	capacity := (w + mean) - w // in this order, for the same rounding as the Python original
	low := capacity / beta
	high := 2*capacity - low
	if high >= length-w {
		high = length - w
		low = 2*capacity - high
	}
	keep := math.RoundToEven(mean)
	if length >= high && high >= low && low >= w {
		keep = math.RoundToEven(high - float64(layer)*(high-low)/float64(max(1, layers-1)))
	}
	return max(1, int(keep))
}
