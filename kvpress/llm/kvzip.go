package llm

import (
	"context"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/progress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// KVzip asks the model to repeat its context and keeps the pairs that the repetition looks at: what is enough to
// write the text again is enough for any question about it. It reads the context once more, in chunks.
// Kim et al., arXiv 2505.23416; the variant Plus, arXiv 2601.07891.
type KVzip struct {
	Budget    kvpress.Budget
	Layerwise bool // each layer has its own budget; otherwise all layers and heads share one
	Sinks     int  // first pairs that stay; 0 means 4, negative means none
	Plus      bool // weigh attention by what a pair adds to the layer's output, relative to the token that looks
	Chunk     int  // context tokens repeated at a time; 0 means 2048
}

func init() {
	kvpress.Register(kvpress.Method{Name: "kvzip", Paper: "arXiv 2505.23416", Press: KVzip{}})
}

// Name spells the press, such as "kvzip:0.5".
func (p KVzip) Name() string { return kvpress.Spell("kvzip", p) }

// Plan is an error: the press needs the whole session.
func (p KVzip) Plan(*kvpress.Layer) (kvpress.Plan, error) { return kvpress.Plan{}, alone("kvzip") }

func (p KVzip) settle(ctx context.Context, s *Session) (kvpress.Press, error) {
	layers, n := s.model.Config.Layers, len(s.ids)
	rule := kvpress.Lowest{Budget: p.Budget, Layerwise: p.Layerwise}
	return s.evictLowest(rule, "kvzip", p.Sinks, func(values []tensor.Mat, sinks int) error {
		return s.repetitions(orElse(p.Chunk, 2048), func(ids []int, from, to int) error {
			return s.runAgain(ctx, ids, func(r replayed) error {
				progress.Report(ctx, "repeat", int64(from*layers+(r.layer+1)*(to-from)), int64(n*layers))
				return p.look(r, values[r.layer], from, to, n, min(sinks, from))
			})
		})
	})
}

// look finds the largest attention that the replayed tokens pay to each pair of a chunk of the context. They see the
// sinks, the chunk, and each other.
func (p KVzip) look(r replayed, into tensor.Mat, from, to, context, sinks int) error {
	c, tokens := r.config, r.states.Rows
	var output tensor.Mat
	if p.Plus {
		var err error
		if output, err = r.source.OutputNorms(2); err != nil {
			return err
		}
	}
	errs := make([]error, c.KVHeads)
	tensor.Parallel(c.KVHeads, func(h int) {
		keys, err := r.source.Keys(h)
		if err != nil {
			errs[h] = err
			return
		}
		seen := tensor.New(sinks+to-from+tokens, c.Dim)
		copy(seen.Data, keys.Data[:sinks*c.Dim])
		copy(seen.Data[sinks*c.Dim:], keys.Data[from*c.Dim:to*c.Dim])
		copy(seen.Data[(sinks+to-from)*c.Dim:], keys.Data[context*c.Dim:])
		for g := range c.group() {
			head := h*c.group() + g
			q, err := r.source.QueriesAfterRope(head, tokens)
			if err != nil {
				errs[h] = err
				return
			}
			weights := func(token, pair int) float32 { return 1 }
			if p.Plus {
				weights = func(token, pair int) float32 {
					return output.Row(head)[from+pair] / tensor.Norm(r.states.Row(token))
				}
			}
			largest(into.Row(h)[from:to], q, seen, c.scale(), sinks, to-from, weights)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
