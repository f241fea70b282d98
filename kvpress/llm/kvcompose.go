package llm

import (
	"context"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// KVCompose lets the model read its context twice and keeps what the second reading looks at. Every head picks its own
// tokens; how many, a layer's heads decide together by their best, second best, ... scores, which compete over layers.
// Akulov et al., arXiv 2509.05165.
type KVCompose struct {
	Budget    kvpress.Budget
	Headwise  bool   // heads compete by themselves and differ in length ("unstructured"); otherwise those of a layer are equally long
	Task      string // what counts of a pair's attention from all tokens, max or mean; empty means max
	Group     string // and of the query heads that share a KV head; empty means mean
	Heads     string // and of a layer's KV heads, rank by rank; empty means mean
	ValueNorm bool   // weigh scores by the norms of the values
	NoMean    bool   // do not add the mean over the KV heads to their scores
	Least     int    // tokens that every layer keeps (head, with Headwise)
}

func init() {
	kvpress.Register(kvpress.Method{Name: "kvcompose", Paper: "arXiv 2509.05165", Press: KVCompose{}})
}

// Name spells the press, such as "kvcompose(headwise=true):0.5".
func (p KVCompose) Name() string { return kvpress.Spell("kvcompose", p) }

// Plan is an error: the press needs the whole session.
func (p KVCompose) Plan(*kvpress.Layer) (kvpress.Plan, error) {
	return kvpress.Plan{}, alone("kvcompose")
}

func (p KVCompose) settle(ctx context.Context, s *Session) (kvpress.Press, error) {
	if err := p.Budget.Check(); err != nil {
		return nil, err
	}
	for _, how := range []string{p.Task, p.Group, p.Heads} {
		if how != "" && how != "max" && how != "mean" {
			return nil, fmt.Errorf("%w: %q: it is max or mean", kvpress.ErrBadParameter, how)
		}
	}
	if p.Least < 0 || p.Least > len(s.ids) {
		return nil, fmt.Errorf("%w: least is %d: it is a number of the %d tokens", kvpress.ErrBadParameter, p.Least, len(s.ids))
	}
	if p.Budget == kvpress.Ratio(0) {
		return kvpress.TopK(kvpress.Knorm{}, p.Budget), nil // keeps all
	}
	scores := make([]tensor.Mat, s.model.Config.Layers)
	err := s.runAgain(ctx, s.ids, func(r replayed) (err error) {
		scores[r.layer], err = p.score(r, len(s.ids))
		return err
	})
	if err != nil {
		return nil, err
	}
	first, err := s.layer(0)
	if err != nil {
		return nil, err
	}
	return settledPlans{p.Name(), p.plans(first, scores)}, nil
}

// score is what the second reading says of each pair of the first, (KVHeads, tokens).
func (p KVCompose) score(r replayed, tokens int) (tensor.Mat, error) {
	c, look := r.config, r.source.AttentionMax
	if p.Task == "mean" {
		look = r.source.Attention
	}
	attention, err := look(r.states.Rows, nil)
	if err != nil {
		return attention, err
	}
	scores := tensor.New(c.KVHeads, tokens)
	for h := range c.KVHeads {
		merge(scores.Row(h), attention.Slice(h*c.group(), (h+1)*c.group()), p.Group)
	}
	if p.ValueNorm {
		norms, err := r.source.ValueNorms()
		if err != nil {
			return scores, err
		}
		for h := range c.KVHeads {
			for i, n := range norms.Row(h)[:tokens] {
				scores.Row(h)[i] *= n
			}
		}
	}
	if !p.NoMean {
		mean := make([]float32, tokens)
		merge(mean, scores, "mean")
		for h := range c.KVHeads {
			tensor.Add(scores.Row(h), mean)
		}
	}
	return scores, nil
}

// merge writes the mean, or the largest, of each column of the rows' first columns.
func merge(dst []float32, rows tensor.Mat, how string) {
	for i := range rows.Rows {
		row := rows.Row(i)[:len(dst)]
		if how != "max" {
			tensor.Add(dst, row)
			continue
		}
		for j, v := range row {
			if i == 0 || v > dst[j] {
				dst[j] = v
			}
		}
	}
	if how != "max" {
		for j := range dst {
			dst[j] /= float32(rows.Rows)
		}
	}
}
