package llm

import (
	"context"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// RestoreKV is KVzip that leaves a summary behind: before pairs go, a few trained tokens look at the whole cache through
// an adapted model, and their own pairs stay behind the context, within the same budget. Questions follow behind them.
// arXiv 2608.01247.
type RestoreKV struct {
	Budget    kvpress.Budget
	Layerwise bool // as in KVzip; likewise the others
	Sinks     int
	Plus      bool
	Chunk     int

	Trained Restorer // what was trained for the model
}

// A Restorer is what RestoreKV learnt for a model: embeddings of the tokens (tokens, Width), and what the model's weights
// gain while they are read, by name such as "layers.3.self_attn.q_proj".
type Restorer struct {
	Embeddings tensor.Mat
	Adapter    map[string]LoRA
}

func init() {
	kvpress.Register(kvpress.Method{Name: "restorekv", Paper: "arXiv 2608.01247", Press: RestoreKV{}})
}

// Name spells the press, such as "restorekv:0.5".
func (p RestoreKV) Name() string { return kvpress.Spell("restorekv", p) }

// Plan is an error: the press needs the whole session.
func (p RestoreKV) Plan(*kvpress.Layer) (kvpress.Plan, error) {
	return kvpress.Plan{}, alone("restorekv")
}

func (p RestoreKV) settle(ctx context.Context, s *Session) (kvpress.Press, error) {
	tokens := p.Trained.Embeddings
	if tokens.Rows == 0 {
		return nil, fmt.Errorf("it has no trained tokens: load those of this model and Register the method with them")
	}
	if tokens.Cols != s.model.Config.Width {
		return nil, fmt.Errorf("its trained tokens have %d channels, the model %d: take those of this model", tokens.Cols, s.model.Config.Width)
	}
	zip := KVzip{Budget: p.Budget, Layerwise: p.Layerwise, Sinks: p.Sinks, Plus: p.Plus, Chunk: p.Chunk}
	switch budget := &zip.Budget; { // the summary takes its part of the budget
	case *budget == kvpress.Ratio(0): // nothing goes that a summary could stand for
		return zip.settle(ctx, s)
	case budget.PerHead > 0:
		budget.PerHead = max(1, budget.PerHead-tokens.Rows)
	case budget.Total > 0:
		c := s.model.Config
		budget.Total = max(1, budget.Total-int64(tokens.Rows*c.Layers*c.KVHeads*s.model.pairBytes()))
	default:
		budget.Removed = min(1, budget.Removed+float64(tokens.Rows)/float64(len(s.ids)))
	}
	rest, err := zip.settle(ctx, s)
	if err != nil {
		return nil, err
	}
	summary, err := s.summary(ctx, p.Trained)
	return restored{rest, summary}, err
}

// restored is a press that leaves pairs behind.
type restored struct {
	kvpress.Press
	summary Cache // holds the pairs alone
}

func (r restored) restore(s *Session) error {
	shape := s.cache.Shape()
	for layer := range shape.Layers {
		for h := range shape.KVHeads {
			keys, values, err := r.summary.Pairs(layer, h)
			if err != nil {
				return err
			}
			if err := s.cache.Append(layer, h, keys, values, r.summary.Positions(layer, h)); err != nil {
				return err
			}
		}
	}
	s.next += r.summary.Len(0, 0)
	r.summary.Close()
	return nil
}

// summary lets the trained tokens look at the whole cache.
func (s *Session) summary(ctx context.Context, trained Restorer) (Cache, error) {
	d, n := s.model.decoder, trained.Embeddings.Rows
	b := batch{positions: upTo(s.next, n), cache: s.cache.Fork(), embeddings: trained.Embeddings.Data}
	defer b.cache.Close()
	for layer := range d.config.Layers {
		a, err := s.model.adapt(layer, n, trained.Adapter)
		if err != nil {
			return nil, err
		}
		b.adapters = append(b.adapters, a)
	}
	w, err := d.workspace(n)
	if err != nil {
		return nil, err
	}
	if err := d.forward(ctx, w, b, false); err != nil {
		return nil, err
	}
	// All pairs but the last n go.
	out, err := d.backend.NewCache(s.cache.Shape())
	if err != nil {
		return nil, err
	}
	for layer := range d.config.Layers {
		for h := range d.config.KVHeads {
			keys, values, err := b.cache.Pairs(layer, h)
			if err != nil {
				return nil, err
			}
			if err := out.Append(layer, h, keys.Slice(keys.Rows-n, keys.Rows), values.Slice(keys.Rows-n, keys.Rows), b.positions); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
