package llm

import (
	"errors"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// CAM is Decoding that does not lose all of what goes: the values of the best evicted pairs are, with a probability
// that grows with the attention they had, spread over the pairs that follow them. All KV heads keep the same tokens,
// by the mean of their scores. Zhang et al., CaM, ICML 2024.
type CAM struct {
	Scorer kvpress.Scorer
	Budget kvpress.Budget // Tokens or Bytes, or a Ratio of all tokens seen so far
	Every  int            // tokens from one compression to the next; 0 means 512
	Buffer int            // as in Decoding
	Spread int            // most pairs that take the value of one that goes; 0 means 32
	Seed   uint64         // of the draws
	Compat bool           // as in Decoding

	// Draws, when not empty, are handed out instead of fresh random numbers, one matrix (KVHeads, candidates) for every
	// layer and compression. Reference tests feed the numbers that the Python original drew.
	Draws []tensor.Mat
}

func init() {
	kvpress.Register(kvpress.Method{Name: "cam", Paper: "openreview LCTmppB165", Example: "cam(knorm, every=64):512tok", Press: CAM{}})
}

// Name spells the press, such as "cam(knorm, every=64):512tok".
func (p CAM) Name() string { return kvpress.Spell("cam", p) }

// Plan is an error: the press acts while the model answers.
func (p CAM) Plan(*kvpress.Layer) (kvpress.Plan, error) {
	return kvpress.Plan{}, errors.New("cam acts while the model answers: give it to Session.Press as it is, or after another press with prefill_decoding")
}

func (p CAM) begin(a *answering) (run, error) {
	if a.session.model.Config.mixed() {
		return nil, errors.New("cam merges in all layers, and some layers of this model look back over a window only: use decoding")
	}
	inner, err := Decoding{Press: kvpress.TopK(p.Scorer, p.Budget), Every: p.Every, Buffer: p.Buffer, Compat: p.Compat}.begin(a)
	if err != nil {
		return nil, err
	}
	layers := a.session.model.Config.Layers
	r := &camRun{CAM: p, decodingRun: inner.(*decodingRun), sums: make([]tensor.Mat, layers), kept: make([][]int, layers)}
	r.spread, err = atLeastOne("spread", p.Spread, 32)
	if r.slots != nil {
		r.slots.sorted = false
	}
	r.patient = true
	r.press = func(b kvpress.Budget) (kvpress.Press, error) { return camPress{r, b}, nil }
	return r, err
}

// A camRun adds up the attention that every pair gets while the model answers.
type camRun struct {
	CAM
	*decodingRun
	spread int
	sums   []tensor.Mat // per layer (KVHeads, Len)
	kept   [][]int      // per layer: what the compression at hand keeps
	rounds int          // compressions so far
}

func (r *camRun) after(n int) error {
	errs := make([]error, len(r.sums))
	tensor.Parallel(len(r.sums), func(layer int) { errs[layer] = r.watch(layer) })
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := r.decodingRun.after(n); err != nil {
		return err
	}
	if r.kept[0] == nil {
		return nil
	}
	r.rounds++
	for layer, keep := range r.kept {
		left := tensor.New(r.sums[layer].Rows, len(keep))
		for h := range left.Rows {
			for i, from := range keep {
				left.Row(h)[i] = r.sums[layer].At(h, from)
			}
		}
		r.sums[layer], r.kept[layer] = left, nil
	}
	return nil
}

// watch adds the attention of the newest token.
func (r *camRun) watch(layer int) error {
	l, err := r.layer(layer)
	if err != nil {
		return err
	}
	if l.Ragged() {
		return fmt.Errorf("layer %d: the heads hold different numbers of pairs, cam keeps the same tokens in all: use it on a session that is not pressed head-wise", layer)
	}
	attention, err := l.Attention(1, nil)
	if err != nil {
		return err
	}
	sum := l.GroupMean(attention)
	for h := range r.sums[layer].Rows {
		tensor.Add(sum.Row(h), r.sums[layer].Row(h))
	}
	r.sums[layer] = sum
	return nil
}
