package llm

import (
	"context"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/progress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// KVgrad asks the model to repeat its context, as KVzip does, and weighs what each token looks at by how much its
// attention matters: by what the pair adds to the layer's output, and by the gradient, with respect to that output at
// the token, of the squared length of the last hidden states. It reads the context once more, there and back.
// NVIDIA kvpress 0.5.5. Only for models of Llama's shape.
type KVgrad struct {
	Budget    kvpress.Budget
	Layerwise bool // each layer has its own budget; otherwise all layers and heads share one
	Sinks     int  // first pairs that stay; 0 means 4, negative means none
	Chunk     int  // context tokens repeated at a time; 0 means 512
}

func init() { kvpress.Register(kvpress.Method{Name: "kvgrad", Press: KVgrad{}}) }

// Name spells the press, such as "kvgrad:0.5".
func (p KVgrad) Name() string { return kvpress.Spell("kvgrad", p) }

// Plan is an error: the press needs the whole session.
func (p KVgrad) Plan(*kvpress.Layer) (kvpress.Plan, error) {
	return kvpress.Plan{}, alone("kvgrad")
}

func (p KVgrad) settle(ctx context.Context, s *Session) (kvpress.Press, error) {
	if err := s.model.decoder.differentiable(); err != nil {
		return nil, err
	}
	rule := kvpress.Lowest{Budget: p.Budget, Layerwise: p.Layerwise}
	return s.evictLowest(rule, "kvgrad", p.Sinks, func(values []tensor.Mat, sinks int) error {
		return s.repetitions(orElse(p.Chunk, 512), func(ids []int, from, to int) error {
			return p.differentiate(ctx, s, ids, values, look{from: from, to: to, sinks: min(sinks, from)})
		})
	})
}

// differentiate has some tokens read behind the context, there and back, and scores the pairs that they look at.
func (p KVgrad) differentiate(ctx context.Context, s *Session, ids []int, values []tensor.Mat, at look) error {
	streams, err := s.streams(ctx, ids)
	if err != nil {
		return err
	}
	layers := len(values)
	grad := streams[layers]
	tensor.Scale(grad.Data, 2) // of the squared length
	for layer := layers - 1; layer >= 0; layer-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		progress.Report(ctx, "differentiate", int64(at.from*layers+(layers-layer)*(at.to-at.from)), int64(len(s.ids)*layers))
		at.scores = values[layer]
		if grad, err = s.back(layer, streams[layer], grad, at); err != nil {
			return err
		}
	}
	return nil
}

// A look says which pairs of the context the repeated tokens look at, and where their scores go.
type look struct {
	scores   tensor.Mat // (KVHeads, Len)
	from, to int
	sinks    int // first pairs that are seen, too
}

// streams reads tokens behind the context and returns the residual stream, (tokens, Width), before each layer and behind
// the last one.
func (s *Session) streams(ctx context.Context, ids []int) ([]tensor.Mat, error) {
	d := s.model.decoder
	first, err := d.onHost(len(ids), d.config.Width, nil, func(x Buf) { d.backend.Embed(x, d.embed, ids, d.embedScale) })
	if err != nil {
		return nil, err
	}
	streams := []tensor.Mat{first}
	err = s.runAgain(ctx, ids, func(r replayed) error {
		x := tensor.New(len(ids), d.config.Width)
		streams = append(streams, x)
		return d.backend.Read(x.Data, r.stream)
	})
	return streams, err
}

// back takes a gradient from behind a layer to before it, and scores the layer's pairs on the way.
func (s *Session) back(layer int, x, grad tensor.Mat, at look) (tensor.Mat, error) {
	a := s.model.decoder.attention(layer, len(s.ids)+x.Rows)
	a.Positions = upTo(len(s.ids), x.Rows)
	b, err := s.model.decoder.hostBlock(layer, a)
	if err != nil {
		return grad, err
	}
	l, err := s.layer(layer)
	if err != nil {
		return grad, err
	}
	for h := range a.KVHeads {
		keys, err := l.Keys(h)
		if err != nil {
			return grad, err
		}
		values, err := l.Values(h)
		if err != nil {
			return grad, err
		}
		b.contextKeys, b.contextVal = append(b.contextKeys, keys), append(b.contextVal, values)
	}
	output, err := l.OutputNorms(2)
	if err != nil {
		return grad, err
	}
	p := b.read(x)
	middle := b.throughMLP(p, grad)
	at.score(p, output, middle, len(s.ids), a)
	if layer == 0 {
		return middle, nil // nothing before it is scored
	}
	return b.throughAttention(p, middle), nil
}

// score weighs the attention that tokens behind a context pay to its pairs: by the norms of what these add to the
// layer's output, (Heads, Len), and by how steep the gradient (tokens, Width) is at the token.
func (at look) score(p *passage, output, grad tensor.Mat, context int, a Attention) {
	steep := make([]float32, grad.Rows)
	for i := range steep {
		steep[i] = tensor.Norm(grad.Row(i))
	}
	tensor.Parallel(a.KVHeads, func(h int) {
		keys := p.keys[h]
		seen := stacked(stacked(keys.Slice(0, at.sinks), keys.Slice(at.from, at.to)), keys.Slice(context, keys.Rows))
		for head := h * a.Heads / a.KVHeads; head < (h+1)*a.Heads/a.KVHeads; head++ {
			largest(at.scores.Row(h)[at.from:at.to], p.queries[head], seen, a.Scale, at.sinks, at.to-at.from, func(token, pair int) float32 {
				return output.Row(head)[at.from+pair] * steep[token]
			})
		}
	})
}
