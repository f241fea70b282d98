package kvpress

import (
	"cmp"
	"slices"
	"sync"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Block presses a context as if it came in blocks and the cache never held more than the budget and one block: after
// each block the best of both stay. Park et al., arXiv 2504.15364.
type Block struct {
	Scorer Scorer
	Budget Budget
	Size   int  // tokens of a block; 0 means 128
	Compat bool // as the Python original: a scorer sees hidden states stitched together from the pairs of all heads
}

func init() {
	Register(Method{Name: "block", Paper: "arXiv 2504.15364", Example: "block(keydiff):0.5", Press: Block{}})
}

// Name spells the press, such as "block(keydiff):0.5".
func (p Block) Name() string { return Spell("block", p) }

// Plan keeps what survives all blocks. Scores stay empty: the scores of different blocks do not compare.
func (p Block) Plan(l *Layer) (Plan, error) {
	size, err := whole("size", p.Size, 128)
	if err != nil {
		return Plan{}, l.at("block", err)
	}
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	budget := p.Budget.Keep(l, l.Len)
	held, keep := make([][]int, l.KVHeads), make([][]int, l.KVHeads) // keep is held in place order; only Compat looks at held
	for h := range held {
		keep[h] = span(0, budget)
		held[h] = slices.Clone(keep[h])
	}
	for from := budget; from < l.Len; from += size {
		to := min(from+size, l.Len)
		for h := range held {
			keep[h], held[h] = append(keep[h], span(from, to)...), append(held[h], span(from, to)...)
		}
		seen, err := p.view(l, keep, held, to)
		if err != nil {
			return Plan{}, l.at("block", err)
		}
		s, force, err := score(p.Scorer, seen, p.Budget.RatioOf(l))
		if err != nil {
			return Plan{}, l.at("block", err)
		}
		for h := range held {
			row := s.Values.Row(h)
			places := best(row, force[h], budget)
			sorted := pick(keep[h], places)
			if p.Compat { // stitched states depend on the order
				slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(row[b], row[a]) })
				held[h] = pick(keep[h], places)
			}
			keep[h] = sorted
		}
	}
	return Plan{Keep: keep}, nil
}

// view shows the pairs kept and those of a block that ended before token to.
func (p Block) view(l *Layer, keep, held [][]int, to int) (*Layer, error) {
	if p.Compat {
		return l.stitched(keep, held)
	}
	return l.part(keep, 0, to)
}

// pick lists the entries of list at the given places.
func pick(list, places []int) []int {
	out := make([]int, len(places))
	for i, at := range places {
		out[i] = list[at]
	}
	return out
}

// stitched shows selected pairs with one hidden state for each place, put together as the Python original does: the
// state is cut in as many pieces as there are KV heads, and piece h of state i comes from the pair that head h holds in place i.
func (l *Layer) stitched(keep, held [][]int) (*Layer, error) {
	part, err := l.Select(keep)
	if err != nil {
		return nil, err
	}
	piece := l.Width / l.KVHeads
	states := sync.OnceValues(func() (tensor.Mat, error) {
		all, err := l.Hidden()
		if err != nil {
			return all, err
		}
		x := tensor.New(len(keep[0]), l.Width)
		for h, order := range held {
			for i, from := range order {
				copy(x.Row(i)[h*piece:(h+1)*piece], all.Row(from)[h*piece:])
			}
		}
		return x, nil
	})
	host := part.source.(*view).Host
	host.States = func() (tensor.Mat, error) {
		x, err := states()
		return x.Clone(), err
	}
	host.Query = func(head, last int) (tensor.Mat, error) {
		x, err := states()
		if err != nil {
			return x, err
		}
		return l.QueriesOf(head, x.Slice(x.Rows-last, x.Rows))
	}
	host.Tokens, host.Moments = len(keep[0]), nil
	part.Tokens = len(keep[0])
	part.misplace(l.Next)
	return part, nil
}
