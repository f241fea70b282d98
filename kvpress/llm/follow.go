package llm

import (
	"context"
	"errors"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Following is what a model makes of a question whose answer is given.
type Following struct {
	Logits [][]float32 // before each token of the answer, (tokens, Vocabulary)
	// Attention is, per layer, what the tokens of question and answer pay to each pair of the context: mean over the
	// tokens and over the query heads of a KV head, (KVHeads, pairs). Nil when nobody asked for it.
	Attention []tensor.Mat
}

// Follow runs the tokens of a question, and of an answer as it is given, through the model in one go, and says what
// the model would have made of each place. It is how two caches are compared over the same answer. A press that acts in
// answers acts here too. The session is afterwards as it was before.
//
// Attention is of whole sessions: those of a pressed one have no place for what went.
func (s *Session) Follow(ctx context.Context, question, answer []int, attention bool) (Following, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(question) == 0 || len(answer) == 0 {
		return Following{}, errors.New("follow: a question and an answer of at least one token are needed")
	}
	if attention && (s.press != "none" || s.bits != 0) {
		return Following{}, fmt.Errorf("follow: the session was pressed (%s): attention is looked at in the whole one", s.press)
	}
	n := len(question) + len(answer) - 1
	if most := s.model.Config.MaxPositions; most > 0 && s.next+n > most {
		return Following{}, fmt.Errorf("follow: %d tokens after %d are more than the %d positions of %s", n, s.next, most, s.model.Name)
	}
	run, err := s.answer()
	if err != nil {
		return Following{}, fmt.Errorf("follow: %w", err)
	}
	defer s.cache.Rewind(s.cache.Mark()) // nothing to do when the answer had a fork of its own
	f := &follower{session: s, run: run}
	ids := append(append(make([]int, 0, n), question...), answer[:len(answer)-1]...)
	if s.during == nil {
		err = f.feed(ctx, ids, len(answer), attention)
		return f.found, err
	}
	if err = f.feed(ctx, question, 1, false); err != nil {
		return Following{}, err
	}
	for i := range answer[:len(answer)-1] {
		if err = f.feed(ctx, answer[i:i+1], 1, false); err != nil {
			return Following{}, fmt.Errorf("token %d: %w", i, err)
		}
	}
	return f.found, nil
}

type follower struct {
	session *Session
	run     *answering
	fed     int
	found   Following
}

// feed runs tokens through the model and keeps the logits after the last few of them.
func (f *follower) feed(ctx context.Context, ids []int, last int, attention bool) error {
	s, d := f.session, f.session.model.decoder
	w, err := d.workspace(len(ids))
	if err != nil {
		return err
	}
	b := batch{ids: ids, positions: upTo(s.next+f.fed, len(ids)), stream: true}
	if attention {
		for range d.layers {
			states, err := d.backend.Alloc(len(ids), d.config.Width)
			if err != nil {
				return err
			}
			b.record = append(b.record, states)
		}
	}
	states := b.record
	if err := f.run.forward(ctx, w, b); err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	f.fed += len(ids)
	if err := f.logits(w.x.Slice(len(ids)-last, len(ids))); err != nil || !attention {
		return err
	}
	for i := range d.layers {
		seen := sight{cache: f.run.cache, next: f.run.next, at: b.positions, hidden: states[i]}
		if err := f.attention(i, seen); err != nil {
			return err
		}
	}
	return nil
}

// logits finds the logits of rows of the residual stream.
func (f *follower) logits(x Buf) error {
	d := f.session.model.decoder
	n, size := x.Rows, d.config.Vocabulary
	normed, err := d.backend.Alloc(n, d.config.Width)
	if err != nil {
		return err
	}
	logits, err := d.backend.Alloc(n, size)
	if err != nil {
		return err
	}
	all := make([]float32, n*size)
	d.backend.Norm(normed, x, d.norm, d.config.Epsilon)
	d.backend.MatMul(logits, normed, d.head)
	if err := d.backend.Read(all, logits); err != nil {
		return err
	}
	d.bend(all)
	for i := range n {
		f.found.Logits = append(f.found.Logits, all[i*size:(i+1)*size])
	}
	return nil
}

// attention finds what the newest tokens paid to the pairs of the context in one layer.
func (f *follower) attention(i int, seen sight) error {
	s := f.session
	l, err := s.model.layer(i, seen)
	if err != nil {
		return err
	}
	heads, err := l.Attention(len(seen.at), nil)
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	mean := l.GroupMean(heads)
	context := tensor.New(mean.Rows, len(s.ids))
	for h := range mean.Rows {
		copy(context.Row(h), mean.Row(h))
	}
	f.found.Attention = append(f.found.Attention, context)
	return nil
}
