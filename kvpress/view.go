package kvpress

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A view shows part of another layer, its numbers copied to Go memory.
type view struct {
	*Host
	whole *Layer
	keep  [][]int // places in the whole layer
}

// Select shows the layer as if only the pairs in keep were there: pair i of head h is pair keep[h][i] of l. Queries
// and hidden states stay those of all tokens.
func (l *Layer) Select(keep [][]int) (*Layer, error) {
	host, keep := l.host(), slices.Clone(keep)
	sizes := *l
	sizes.Lens, sizes.Len = nil, 0
	for h, places := range keep {
		if err := ascending(places, l.Lens[h]); err != nil {
			return nil, l.at("", fmt.Errorf("KV head %d: selected pairs: %w", h, err))
		}
		at, err := l.Positions(h)
		if err != nil {
			return nil, err
		}
		host.At = append(host.At, pick(at, places))
		sizes.Lens = append(sizes.Lens, len(places))
		sizes.Len = max(sizes.Len, len(places))
	}
	host.gather = func(h int, values bool) (tensor.Mat, error) {
		x, err := l.rows(h, values)
		if err != nil {
			return x, err
		}
		return gather(x, keep[h]), nil
	}
	return NewLayer(sizes, &view{host, l, keep}), nil
}

// rows are the keys or the values of a head, for reading; they are copied only where they do not lie in Go memory.
func (l *Layer) rows(h int, values bool) (tensor.Mat, error) {
	switch s := l.source.(type) {
	case *Host:
		return s.rows(h, values)
	case *view:
		return s.rows(h, values)
	}
	if values {
		return l.Values(h)
	}
	return l.Keys(h)
}

// Slice shows the layer as if its context had begun with token from and ended before token to; positions stay what
// they are. The layer must be as its prefill left it.
func (l *Layer) Slice(from, to int) (*Layer, error) {
	if from < 0 || to > l.Len || from >= to {
		return nil, l.at("", fmt.Errorf("tokens %d to %d of %d cannot be shown", from, to, l.Len))
	}
	keep := make([][]int, l.KVHeads)
	for h := range keep {
		keep[h] = span(from, to)
	}
	return l.part(keep, from, to)
}

// part shows the pairs in keep of a context that begins with token from and ends before token to.
func (l *Layer) part(keep [][]int, from, to int) (*Layer, error) {
	if l.Ragged() || l.Tokens != l.Len {
		return nil, l.at("", errors.New("the layer was compressed before, a part of its context cannot be shown: put the press that works on parts first"))
	}
	part, err := l.Select(keep)
	if err != nil {
		return nil, err
	}
	part.Tokens, part.Next = to-from, l.Next-(l.Len-to)
	host := part.source.(*view).Host
	host.Tokens, host.TokensAt, host.Moments = to-from, host.TokensAt[from:to], nil
	host.States = func() (tensor.Mat, error) {
		x, err := l.Hidden()
		return cut(x, from, to, err)
	}
	host.Query = func(head, last int) (tensor.Mat, error) {
		q, err := l.Queries(head, l.Tokens-to+last)
		return cut(q, 0, last, err)
	}
	host.KeyStart = func(head int) (tensor.Mat, error) {
		k, err := l.KeysBeforeRope(head)
		return cut(k, from, to, err)
	}
	return part, nil
}

func cut(x tensor.Mat, from, to int, err error) (tensor.Mat, error) {
	if err != nil {
		return x, err
	}
	return x.Slice(from, to), nil
}

// host is a Host that reads all but the pairs from the layer.
func (l *Layer) host() *Host {
	host := &Host{
		Tokens: l.Tokens, TokensAt: span(l.Next-l.Tokens, l.Next), Dim: l.Dim, Group: l.Group(), Scale: l.Scaling(),
		States: l.Hidden, Query: l.Queries, KeyStart: l.KeysBeforeRope, Project: l.QueriesOf,
		Moments: func(skip int) (tensor.Mat, []tensor.Mat, bool) {
			mean, cov, err := l.QueryMoments(skip)
			return mean, cov, err == nil
		},
	}
	if _, err := l.Rotation(l.Next); err == nil {
		host.Rope = func(length int) tensor.Rope {
			r, _ := l.Rotation(max(length, l.Next)) // the rotation of the whole context, which is there
			return r
		}
	}
	return host
}

// OutputNorms picks the norms of the shown pairs.
func (v *view) OutputNorms(p int) (tensor.Mat, error) {
	all, err := v.whole.OutputNorms(p)
	if err != nil {
		return all, err
	}
	m := tensor.New(all.Rows, v.longest())
	for head := range m.Rows {
		for i, from := range v.keep[head/v.Group] {
			m.Row(head)[i] = all.Row(head)[from]
		}
	}
	return m, nil
}

// gather copies the listed rows.
func gather(m tensor.Mat, list []int) tensor.Mat {
	out := tensor.New(len(list), m.Cols)
	for i, from := range list {
		copy(out.Row(i), m.Row(from))
	}
	return out
}

// span lists the numbers from from up to, not including, to.
func span(from, to int) []int {
	list := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

// misplace gives a view the positions that the Python original sees in a part of a context: its rotations are those
// of the end of the whole context, while future positions are counted from the length of the part.
func (l *Layer) misplace(end int) {
	host := l.source.(*view).Host
	host.TokensAt = span(end-l.Tokens, end)
	for h, at := range host.At {
		host.At[h] = span(end-len(at), end)
	}
	l.Next = l.Tokens
}
