package kvpress

import (
	"errors"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// ChunkKV keeps or drops short chunks of text whole, by the mean score of their pairs over all heads, so that what
// stays can be read. Liu et al., arXiv 2502.00299.
type ChunkKV struct {
	Scorer Scorer
	Budget Budget
	Length int // tokens of a chunk; 0 means 20
}

func init() { Register(Method{Name: "chunkkv", Paper: "arXiv 2502.00299", Press: ChunkKV{}}) }

// Name spells the press, such as "chunkkv(snapkv):0.5".
func (p ChunkKV) Name() string { return Spell("chunkkv", p) }

// Plan keeps the best chunks, the same ones in every head; the budget counts chunks.
func (p ChunkKV) Plan(l *Layer) (Plan, error) {
	length, err := whole("length", p.Length, 20)
	if err != nil {
		return Plan{}, l.at("chunkkv", err)
	}
	if l.Len < length {
		return TopKPress{p.Scorer, p.Budget}.Plan(l)
	}
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, sum, force, err := summed(p.Scorer, l, p.Budget.RatioOf(l), "chunkkv")
	if err != nil {
		return Plan{}, err
	}
	var means []float32
	var sure []int // chunks that hold a forced pair
	for from := 0; from < l.Len; from += length {
		part := sum[from:min(from+length, l.Len)]
		means = append(means, tensor.Sum(part)/float32(len(part)))
	}
	for _, i := range force {
		sure = append(sure, i/length)
	}
	chunks := best(means, sure, KeepCount(len(means), p.Budget.RatioOf(l)))
	var keep []int
	for _, c := range chunks {
		keep = append(keep, span(c*length, min((c+1)*length, l.Len))...)
	}
	return sameForAll(l, s, keep), nil
}

// summed are the scores of a layer and their sums over the KV heads, for presses that keep the same tokens everywhere.
func summed(scorer Scorer, l *Layer, ratio float64, name string) (s Scores, sum []float32, force []int, err error) {
	if l.Ragged() {
		return s, nil, nil, l.at(name, errors.New("keeps the same tokens in every head, but the heads were pressed to different lengths: put it before the head-wise press"))
	}
	s, places, err := score(scorer, l, ratio)
	if err != nil {
		return s, nil, nil, err
	}
	sum = make([]float32, l.Len)
	for h := range l.KVHeads {
		for i, v := range s.Values.Row(h) {
			sum[i] = min(max(sum[i]+v, -math.MaxFloat32), math.MaxFloat32)
		}
	}
	return s, sum, places[0], nil
}

// sameForAll is the plan that keeps the same places in every head.
func sameForAll(l *Layer, s Scores, keep []int) Plan {
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: s.Values, Force: s.Force}
	for h := range plan.Keep {
		plan.Keep[h] = keep
	}
	return plan
}
