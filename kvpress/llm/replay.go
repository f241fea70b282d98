package llm

import (
	"context"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A replay is a press that runs the model again over its context before it can decide. Session.Press asks it for the
// press that remains when that is done; layer by layer it cannot work.
type replay interface {
	kvpress.Press
	settle(ctx context.Context, s *Session) (kvpress.Press, error)
}

// RunsAgain tells whether a press runs the model over the context again, such as KVzip.
func RunsAgain(p kvpress.Press) bool {
	_, again := p.(replay)
	return again
}

// settled is the press that a session can ask layer by layer.
func (s *Session) settled(ctx context.Context, p kvpress.Press) (kvpress.Press, error) {
	r, ok := p.(replay)
	if !ok {
		return p, nil
	}
	if s.model.Config.mixed() {
		return nil, fmt.Errorf("it runs the model again over the whole context, and layers of %s look back over a window only: use a press that reads the prefill, such as snapkv", s.model.Name)
	}
	for layer := range s.model.Config.Layers {
		for h := range s.model.Config.KVHeads {
			if s.cache.Len(layer, h) != len(s.ids) {
				return nil, fmt.Errorf("it runs the model again over the whole context, and this session has lost a part of it: press the whole session")
			}
		}
	}
	return r.settle(ctx, s)
}

// alone is the answer of a replay to being asked for the plan of one layer.
func alone(name string) error {
	return fmt.Errorf("%s runs the model again over the whole context: use Session.Press, not a single layer or PrefillWith", name)
}

// settledPlans is a press whose plans a replay has made already.
type settledPlans struct {
	name  string
	plans []kvpress.Plan
}

func (p settledPlans) Name() string { return p.name }

func (p settledPlans) Plan(l *kvpress.Layer) (kvpress.Plan, error) { return p.plans[l.Index], nil }

// A replayed layer is what a replay sees: the queries of the replayed tokens, and the keys of the context and of these
// tokens. It holds the numbers of one layer during one forward pass.
type replayed struct {
	layer  int
	source kvpress.Source
	states tensor.Mat // (replayed tokens, Width) inputs of the attention block
	stream Buf        // (replayed tokens, Width) the residual stream behind the layer
	config Config
}

// runAgain feeds tokens behind the context, shows each layer while it runs, and leaves the session as it was.
func (s *Session) runAgain(ctx context.Context, ids []int, show func(r replayed) error) error {
	d, n := s.model.decoder, len(ids)
	cache := s.cache.Fork()
	defer cache.Close()
	w, err := d.workspace(n)
	if err != nil {
		return err
	}
	states, err := d.backend.Alloc(n, d.config.Width)
	if err != nil {
		return err
	}
	record := make([]Buf, d.config.Layers)
	for i := range record {
		record[i] = states // a layer is looked at before the next one writes
	}
	positions := upTo(len(s.ids), n)
	after := func(layer int) error {
		p := Projections{
			Attention: d.attention(layer, len(s.ids)+n), QKV: d.layers[layer].qkv, Bias: d.layers[layer].bias, Output: d.layers[layer].output,
			Hidden: states, Tokens: n, RopeFor: d.ropeOf(layer),
		}
		p.Positions = positions
		source, err := d.backend.Layer(cache, p)
		if err != nil {
			return err
		}
		r := replayed{layer: layer, source: source, stream: w.x, config: d.config}
		if r.states, err = source.Hidden(); err != nil {
			return err
		}
		return show(r)
	}
	return d.forward(ctx, w, batch{ids: ids, positions: positions, cache: cache, record: record, after: after, stream: true}, false)
}

// replayRows is how many rows of attention are held at a time.
const replayRows = 64

// largest folds the attention of queries to some of the keys, those after skip, into the largest so far. The last
// keys belong to the queries themselves, one each, and a query sees those up to its own.
func largest(into []float32, q, keys tensor.Mat, factor float32, skip, n int, weight func(token, pair int) float32) {
	for from := 0; from < q.Rows; from += replayRows {
		rows := min(replayRows, q.Rows-from)
		seen := keys.Rows - q.Rows + from + rows
		a := tensor.New(rows, seen)
		tensor.MulT(a, q.Slice(from, from+rows), keys.Slice(0, seen))
		for i := range rows {
			row := a.Row(i)[:keys.Rows-q.Rows+from+i+1]
			tensor.Scale(row, factor)
			tensor.Softmax(row)
			for j, v := range row[skip : skip+n] {
				into[j] = max(into[j], v*weight(from+i, j))
			}
		}
	}
}
