package llm

import (
	"slices"
	"sort"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// slots repeat what the Python original shows to a press while it decodes. Once it has compressed with a plain scorer,
// pairs lie in the order of their scores, and sinks, windows and averages of neighbours go by that order; all buffered
// queries are turned to the newest position; and future positions are counted from the length of the buffer.
type slots struct {
	*answering
	sorted bool      // pairs change their order
	order  [][][]int // token positions of the pairs, [layer][KV head]
}

func newSlots(a *answering, sorted bool) *slots {
	s := &slots{answering: a, sorted: sorted, order: make([][][]int, a.session.model.Config.Layers)}
	for i := range s.order {
		s.order[i] = make([][]int, a.session.model.Config.KVHeads)
	}
	return s
}

// A slotted press sees slots.
type slotted struct {
	kvpress.Press
	slots *slots
	step  int // tokens of the last step
}

// Plan asks the press for the plan of the layer in slots, and brings what it keeps back into the order of positions.
func (p slotted) Plan(l *kvpress.Layer) (kvpress.Plan, error) {
	places, seen, err := p.slots.show(l, p.step)
	if err != nil {
		return kvpress.Plan{}, err
	}
	plan, err := p.Press.Plan(seen)
	if err != nil {
		return plan, err
	}
	keep := make([][]int, len(plan.Keep))
	for h, slots := range plan.Keep {
		stay := slices.Clone(slots)
		if p.slots.sorted && len(stay) < l.Lens[h] {
			row := plan.Scores.Row(h)
			sort.SliceStable(stay, func(i, j int) bool { return row[stay[i]] > row[stay[j]] })
		}
		order := make([]int, len(stay))
		for i, slot := range stay {
			order[i] = p.slots.order[l.Index][h][slot]
			keep[h] = append(keep[h], places[h][slot])
		}
		p.slots.order[l.Index][h] = order
		slices.Sort(keep[h])
	}
	if p.slots.sorted {
		return kvpress.Plan{Keep: keep}, nil
	}
	return plan, nil // slots are places
}

// show makes the layer that the press sees, and tells the place of every slot.
func (s *slots) show(l *kvpress.Layer, step int) (places [][]int, seen *kvpress.Layer, err error) {
	end := l.Next
	host := &kvpress.Host{
		Tokens: l.Tokens, TokensAt: upTo(end-l.Tokens, l.Tokens), Dim: l.Dim, Group: l.Group(), Scale: l.Scaling(),
		States: l.Hidden, KeyStart: l.KeysBeforeRope, Project: l.QueriesOf,
	}
	rope, err := l.Rotation(end)
	if err != nil {
		return nil, nil, err
	}
	host.Rope = func(int) tensor.Rope { return rope }
	turn := rope
	turn.Scale = 1 // the rotation that follows scales
	host.Query = func(head, last int) (tensor.Mat, error) {
		q, err := l.Queries(head, last)
		for i := 0; i < q.Rows && step == 1; i++ {
			turn.Rotate(q.Row(i), q.Rows-1-i) // from its own place to the newest
		}
		return q, err
	}
	host.Moments = func(skip int) (tensor.Mat, []tensor.Mat, bool) {
		mean, cov, err := l.QueryMoments(skip)
		return mean, cov, err == nil
	}
	for h, n := range l.Lens {
		at, err := l.Positions(h)
		if err != nil {
			return nil, nil, err
		}
		s.order[l.Index][h] = append(s.order[l.Index][h], at[len(s.order[l.Index][h]):]...)
		place := make([]int, n)
		for slot, position := range s.order[l.Index][h] {
			place[slot], _ = slices.BinarySearch(at, position)
		}
		keys, err := l.Keys(h)
		if err != nil {
			return nil, nil, err
		}
		values, err := l.Values(h)
		if err != nil {
			return nil, nil, err
		}
		k, v := tensor.New(n, l.Dim), tensor.New(n, l.Dim)
		for slot, i := range place {
			copy(k.Row(slot), keys.Row(i))
			copy(v.Row(slot), values.Row(i))
		}
		places, host.K, host.V = append(places, place), append(host.K, k), append(host.V, v)
		host.At = append(host.At, upTo(end-n, n))
	}
	sizes := *l
	sizes.Next = max(1, l.Tokens)
	return places, kvpress.NewLayer(sizes, host), nil
}
