package kvpress

import (
	"errors"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// FastKVzip reads from the hidden states, with a small trained gate per layer, how much KVzip would want each pair,
// and evicts the worst of the whole cache. arXiv 2601.17668. Only right after a prefill.
type FastKVzip struct {
	Gates     []Gate // per layer
	Budget    Budget
	Layerwise bool    // evict the worst of each layer; otherwise the press waits for all layers
	Sinks     int     // first pairs that score 1; 0 means 4, negative means none
	Share     float64 // share of the context whose last pairs score 1, for contexts below 32,000; 0 means 0.02
	Window    int     // last pairs that score 1 in longer contexts; 0 means 4096
}

// A Gate is the trained gate of one layer. Small queries and keys are normed per head; a pair scores high when its
// key suits its own query better than the base keys do.
type Gate struct {
	Query     Affine       // (KVHeads·Group·o, Width)
	Key       Affine       // (KVHeads·o, Width)
	QueryNorm []float32    // o
	KeyNorm   []float32    // o
	Base      []tensor.Mat // per KV head (base keys, o)
	Bias      tensor.Mat   // (KVHeads, Group)
}

func init() { Register(Method{Name: "fastkvzip", Paper: "arXiv 2601.17668", Press: FastKVzip{}}) }

// Name spells the press, such as "fastkvzip:0.5".
func (p FastKVzip) Name() string { return Spell("fastkvzip", p) }

// Plan evicts what the gates score lowest.
func (p FastKVzip) Plan(l *Layer) (Plan, error) {
	return Lowest{Scorer: gateScorer{p}, Budget: p.Budget, Layerwise: p.Layerwise}.Plan(l)
}

// A gateScorer is the scoring part of FastKVzip.
type gateScorer struct{ press FastKVzip }

func (gateScorer) Name() string { return "fastkvzip" }

func (s gateScorer) Score(l *Layer) (Scores, error) {
	p := s.press
	if l.Index >= len(p.Gates) {
		return Scores{}, untrained("gates", len(p.Gates))
	}
	window, err := whole("window", p.Window, 4096)
	if err != nil {
		return Scores{}, err
	}
	if l.Len < 32000 {
		near, err := share("share", p.Share, 0.02)
		if err != nil {
			return Scores{}, err
		}
		window = max(1, int(float64(l.Len)*near))
	}
	hidden, err := l.Hidden()
	if err != nil {
		return Scores{}, err
	}
	open, err := p.Gates[l.Index].open(hidden, l.KVHeads, l.Group())
	if err != nil {
		return Scores{}, err
	}
	scores, err := perToken(l, open)
	if err != nil {
		return Scores{}, err
	}
	first, err := l.First(wholeOrNone(p.Sinks, 4))
	if err != nil {
		return Scores{}, err
	}
	last, err := l.Last(window)
	if err != nil {
		return Scores{}, err
	}
	scores.Force = append(first, last...)
	places, err := l.places(scores.Force)
	for h := range places {
		for _, i := range places[h] {
			scores.Values.Row(h)[i] = 1
		}
	}
	return scores, err
}

// open is how far the gate opens for each token, (Tokens, KVHeads).
func (g Gate) open(hidden tensor.Mat, heads, group int) (tensor.Mat, error) {
	q, err := g.Query.apply(hidden)
	if err != nil {
		return q, err
	}
	k, err := g.Key.apply(hidden)
	if err != nil {
		return k, err
	}
	o := len(g.QueryNorm)
	if o == 0 || q.Cols != heads*group*o || k.Cols != heads*o || len(g.KeyNorm) != o || len(g.Base) != heads || g.Bias.Rows != heads || g.Bias.Cols != group {
		return q, errors.New("the gate does not fit the heads of the layer: take that of this model")
	}
	scale := float32(1 / math.Sqrt(float64(o)))
	out := tensor.New(hidden.Rows, heads)
	tensor.Parallel(hidden.Rows, func(t int) {
		query := make([]float32, o)
		for h := range heads {
			key := k.Row(t)[h*o : (h+1)*o]
			tensor.RMSNorm(key, key, g.KeyNorm, 1e-6)
			for i := range group {
				at := (h*group + i) * o
				tensor.RMSNorm(query, q.Row(t)[at:at+o], g.QueryNorm, 1e-6)
				logit := float64(tensor.Dot(key, query)*scale + g.Bias.At(h, i))
				others := 0.0
				for s := range g.Base[h].Rows {
					others += math.Exp(float64(tensor.Dot(g.Base[h].Row(s), query)*scale) - logit)
				}
				out.Row(t)[h] += float32(1/(1+others)) / float32(group)
			}
		}
	})
	return out, nil
}
