package llm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
)

// ErrWaits is what PrefillWith says of a press that cannot compress one layer after the other.
var ErrWaits = errors.New("waits for the scores of all layers")

// PrefillWith reads a text and compresses every layer as soon as it is done, so that never more than one layer is whole:
// the peak of memory falls, not only the end. On a GPU a press of the catalogue plans a layer while the next one is
// computed, where what it asks for can be found before; two layers are then whole. Presses that wait for all layers are
// refused.
func (m *LLM) PrefillWith(ctx context.Context, text string, p kvpress.Press) (*Session, error) {
	before, after, err := m.Frame(text)
	if err != nil {
		return nil, err
	}
	s, err := m.PrefillTokensWith(ctx, m.Tokenizer.Encode(before), p)
	if err == nil {
		s.suffix = after
	}
	return s, err
}

// PrefillTokensWith is PrefillWith for token numbers as they are, without a template. PressSeconds is then the part of the
// time in which the prefill asked, or waited, for the press; a GPU may have been at work meanwhile.
func (m *LLM) PrefillTokensWith(ctx context.Context, ids []int, p kvpress.Press) (*Session, error) {
	s, err := m.newSession(ids)
	if err != nil {
		return nil, err
	}
	now, _ := apart(p)
	var needs *Record
	if now != nil {
		needs = m.needs(now)
	}
	tokens := len(ids)
	if needs != nil && m.Backend() == processor {
		tokens = needs.tail(tokens, m.decoder.backend.RowBlock())
	}
	if err := s.prepareOne(tokens); err != nil {
		return nil, err
	}
	if now == nil {
		err = s.prefill(ctx, &recorder{s: s})
	} else {
		s.plans = make([]kvpress.Plan, m.Config.Layers)
		b := &behind{s: s, p: now, needs: needs}
		if err = s.prefill(ctx, b); err != nil {
			err = errors.Join(err, b.settle().err) // it reads the cache
		}
		s.prefillSeconds -= s.pressSeconds
	}
	s.record = nil
	if err != nil {
		return nil, err
	}
	return s, s.pressed(p, s.plans)
}

// needs is what a press asks a layer for, where that is known and can be found at once; nil where it is not.
func (m *LLM) needs(p kvpress.Press) *Record {
	if _, err := kvpress.Parse(p.Name()); err != nil { // a press of somebody's own plans no made-up layers unasked
		return nil
	}
	r, err := m.Light(p)
	if err != nil || r.Hidden {
		return nil
	}
	return &r
}

// behind presses the layers of a prefill: on a GPU each while the next one is computed, if the press's needs are known.
type behind struct {
	s     *Session
	p     kvpress.Press
	needs *Record
	layer int          // that is planned now
	plan  chan planned // of that layer; nil when there is none

	dropped int64 // bytes that compaction freed since the collector ran
}

// planned says that a layer has a plan.
type planned struct {
	began time.Time // when the layer was whole and what the press needs of it was there
	err   error
}

// collect lets Go take back what compaction freed on the processor. By itself the collector would wait until all
// memory has doubled, weights and kept pairs included, and the peak that is to fall would not.
func (b *behind) collect(bytes int64) {
	if b.dropped += bytes; b.dropped > 4<<20 && b.s.model.Backend() == processor {
		b.dropped = 0
		runtime.GC()
	}
}

// after is called when a layer is whole, or will be when the device has done all that it was told.
func (b *behind) after(layer int) error {
	wait := func() error { return b.s.model.decoder.wait(b.s.record[layer]) }
	if b.needs != nil {
		start := time.Now()
		var err error
		if wait, err = b.s.find(layer, *b.needs); err != nil {
			return err
		}
		b.s.pressSeconds += since(start)
	}
	if err := b.end(); err != nil { // of the layer before: a device still works on this one
		return err
	}
	plan := make(chan planned, 1)
	b.layer, b.plan = layer, plan
	go func() {
		err := wait()
		began := time.Now()
		if err == nil {
			b.s.plans[layer], err = kvpress.PlanLayer(b.p, layer, b.s.layer)
		}
		plan <- planned{began, err}
	}()
	if b.needs != nil && b.s.model.Backend() != processor {
		return nil // the device goes on with the next layer
	}
	return b.end()
}

// settle waits for the plan of a layer.
func (b *behind) settle() planned {
	if b.plan == nil {
		return planned{}
	}
	defer func() { b.plan = nil }()
	return <-b.plan
}

// end waits for the plan of a layer, if there is one, and compacts the layer.
func (b *behind) end() error {
	if b.plan == nil {
		return nil
	}
	start := time.Now()
	s, plan, ready := b.s, &b.s.plans[b.layer], b.settle()
	if ready.began.After(start) {
		start = ready.began // what came before is the layer's own time
	}
	defer func() { s.pressSeconds += since(start) }()
	err := ready.err
	switch {
	case err != nil:
	case plan.Rerotate && s.model.Config.mixed():
		err = errMoves
	case plan.Wait != nil:
		return fmt.Errorf("press %s %w and cannot compress layer by layer: Prefill first, then Press", b.p.Name(), ErrWaits)
	default:
		s.memos[b.layer] = &kvpress.Memo{} // what it found has done its work
		whole := s.cache.Bytes()
		err = s.cache.Apply(b.layer, *plan, s.model.decoder.rope(len(s.ids)))
		b.collect(whole - s.cache.Bytes())
	}
	if err != nil {
		err = fmt.Errorf("press %s: %w", b.p.Name(), err)
	}
	return err
}
