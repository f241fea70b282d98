package llm

import (
	"errors"
	"fmt"
	"slices"
	"sort"

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

// A camPress plans one compression.
type camPress struct {
	*camRun
	now kvpress.Budget
}

func (p camPress) Plan(l *kvpress.Layer) (kvpress.Plan, error) {
	plan, err := kvpress.TopK(kvpress.Shared{Scorer: p.Scorer}, p.now).Plan(l)
	if err != nil {
		return plan, err
	}
	keep := plan.Keep[0]
	p.kept[l.Index] = slices.Clone(keep)
	candidates := bestEvicted(plan.Scores, keep, p.since)
	if at := p.rounds*l.Layers + l.Index; at < len(p.Draws) {
		l.Draws = p.Draws[at : at+1]
	}
	draws, err := l.Uniform(l.KVHeads, len(candidates), p.Seed+uint64(p.rounds))
	if err != nil {
		return plan, err
	}
	plan.Merge, plan.MergeSum = make([][]kvpress.Merge, l.KVHeads), true
	for h := range plan.Merge {
		sums := p.sums[l.Index].Row(h)
		for c, from := range candidates {
			next, _ := slices.BinarySearch(keep, from)
			takers := keep[next:min(len(keep), next+p.spread)]
			mean := float32(0)
			for _, to := range takers {
				mean += sums[to] / float32(len(takers))
			}
			if len(takers) == 0 || sums[from] == 0 || draws.At(h, c) >= min(1, sums[from]/mean) {
				continue
			}
			for _, to := range takers {
				plan.Merge[h] = append(plan.Merge[h], kvpress.Merge{From: from, To: to, Weight: 1 / float32(len(takers))})
			}
		}
	}
	return plan, nil
}

// bestEvicted lists, ascending, the n evicted pairs with the highest scores, the later one first among equals.
func bestEvicted(scores tensor.Mat, keep []int, n int) []int {
	if scores.Rows == 0 { // nothing goes
		return nil
	}
	row := scores.Row(0)
	var gone []int
	for i := range row {
		if _, kept := slices.BinarySearch(keep, i); !kept {
			gone = append(gone, i)
		}
	}
	sort.SliceStable(gone, func(i, j int) bool {
		return row[gone[i]] > row[gone[j]] || row[gone[i]] == row[gone[j]] && gone[i] > gone[j]
	})
	gone = gone[:min(n, len(gone))]
	slices.Sort(gone)
	return gone
}
