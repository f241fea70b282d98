package llm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress"
)

// A duringAnswer is a press that acts while the model answers. Session.Press gives it to the session; the state of its
// work lives in a run, one for every answer.
type duringAnswer interface {
	kvpress.Press
	begin(a *answering) (run, error)
}

// A run does the work of a press during one answer.
type run interface {
	// after is called when n more tokens, question or answer, are in the cache.
	after(n int) error
}

// apart takes a press apart into what prunes the context and what acts while the model answers; either may be nil.
func apart(p kvpress.Press) (context kvpress.Press, during duringAnswer) {
	switch p := p.(type) {
	case PrefillDecoding:
		if len(p.Presses) == 2 {
			if d, ok := p.Presses[1].(duringAnswer); ok {
				return p.Presses[0], d
			}
		}
	case kvpress.DMS:
		if p.Decoding {
			prefill := p
			prefill.Decoding = false
			return prefill, dmsDecoding{p}
		}
	case duringAnswer:
		return nil, p
	}
	return p, nil
}

// A Compression says what went at one moment of an answer.
type Compression struct {
	Next    int       // position of the token that follows
	Evicted [][][]int // token positions that went, [layer][KV head]
}

// An answering is one answer in the making. Where a press acts in it, or numbers are stored in few bits, the cache is a
// fork of the session's; a press also finds the hidden states of the newest tokens.
type answering struct {
	session      *Session // read only
	cache        Cache
	next         int     // position of the token that follows
	recent       *recent // nil when no press acts
	run          run     // nil likewise
	compressions []Compression
}

// answer begins an answer.
func (s *Session) answer() (*answering, error) {
	a := &answering{session: s, cache: s.cache, next: s.next}
	if s.during != nil || s.bits != 0 { // what happens to the context in an answer does not come back
		a.cache = s.cache.Fork()
	}
	if s.during == nil {
		return a, nil
	}
	a.recent = &recent{backend: s.model.decoder.backend, width: s.model.Config.Width, layers: make([]Buf, s.model.Config.Layers)}
	var err error
	a.run, err = s.during.begin(a)
	return a, err
}

// recall fills the buffer of hidden states with the end of the context, as far as it was recorded.
func (a *answering) recall(n int) error {
	s := a.session
	n = min(n, len(s.ids))
	if s.record == nil || n == 0 {
		return nil
	}
	rows, err := a.recent.room(n)
	if err != nil {
		return err
	}
	for i, b := range rows {
		if err := copyRows(a.recent.backend, b, s.record[i].Slice(len(s.ids)-n, len(s.ids))); err != nil {
			return err
		}
	}
	a.recent.at = upTo(len(s.ids)-n, n)
	return nil
}

// forward feeds tokens and leaves the logits of the last one in the workspace; then the press does its work.
func (a *answering) forward(ctx context.Context, w *workspace, b batch) error {
	b.cache = a.cache
	if a.run != nil {
		var err error
		if b.record, err = a.recent.room(len(b.ids)); err != nil {
			return err
		}
	}
	if err := a.session.model.decoder.forward(ctx, w, b, true); err != nil {
		return err
	}
	a.next += len(b.ids)
	if a.run == nil {
		return nil
	}
	a.recent.at = append(a.recent.at, b.positions...)
	if err := a.run.after(len(b.ids)); err != nil {
		return fmt.Errorf("%s: %w", a.session.during.Name(), err)
	}
	return nil
}

// layer shows a layer to a press.
func (a *answering) layer(i int) (*kvpress.Layer, error) {
	seen := sight{cache: a.cache, next: a.next, at: a.recent.at}
	if n := len(a.recent.at); n > 0 {
		seen.hidden = a.recent.layers[i].Slice(a.recent.from, a.recent.from+n)
	}
	return a.session.model.layer(i, seen)
}

// compress lets a press prune all layers.
func (a *answering) compress(p kvpress.Press) error {
	plans, err := kvpress.PlanLayers(p, a.session.model.Config.Layers, a.layer)
	if err != nil {
		return err
	}
	return a.apply(plans)
}

// apply carries plans out and notes what goes.
func (a *answering) apply(plans []kvpress.Plan) error {
	c := Compression{Next: a.next, Evicted: make([][][]int, len(plans))}
	some := false
	for layer, plan := range plans {
		if plan.Rerotate {
			return errors.New("keys cannot move together while positions go on: leave out rerotate")
		}
		for h, keep := range plan.Keep {
			gone := without(a.cache.Positions(layer, h), keep)
			c.Evicted[layer] = append(c.Evicted[layer], gone)
			some = some || len(gone) > 0
		}
		if err := a.cache.Apply(layer, plan, a.session.model.decoder.rope(a.next)); err != nil {
			return err
		}
	}
	if some {
		a.compressions = append(a.compressions, c)
	}
	return nil
}

// without lists the positions whose places are not kept.
func without(at, keep []int) []int {
	gone := []int{}
	for i, p := range at {
		if _, kept := slices.BinarySearch(keep, i); !kept {
			gone = append(gone, p)
		}
	}
	return gone
}
