package llm

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
)

// A Session is a prefilled context, whole or pressed. Its methods may be called from several goroutines; questions
// wait for each other (Fork the session to answer side by side).
type Session struct {
	model  *LLM
	ids    []int  // the context
	suffix string // what the chat template puts between the question and the answer
	next   int    // position of the first token of a question
	press  string
	during duringAnswer // the press that acts in answers; nil for none
	chorus *chorus      // answers that are made side by side with this one; nil for none
	voice  int          // which of them this one is
	bits   int          // in which keys and values are stored; 0 for all of them

	mu     sync.Mutex // guards the cache
	cache  Cache
	record []Buf           // per layer (Tokens, Width), shared with pressed copies; nil when nothing was recorded
	memos  []*kvpress.Memo // per layer, shared with pressed copies
	plans  []kvpress.Plan
	work   *workspace // for one token at a time

	prefillSeconds, recordSeconds, pressSeconds float64
}

// A companion does its part of a prefill after every layer, and what is left when all are done.
type companion interface {
	after(layer int) error
	end() error
}

// prefill runs the context through the model.
func (s *Session) prefill(ctx context.Context, c companion) error {
	start := time.Now()
	w, err := s.model.decoder.workspace(len(s.ids))
	if err != nil {
		return err
	}
	b := batch{ids: s.ids, positions: upTo(0, len(s.ids)), cache: s.cache, record: s.record, after: c.after, stage: "prefill"}
	if err = s.model.decoder.forward(ctx, w, b, false); err == nil {
		err = c.end()
	}
	if err == nil {
		err = s.model.decoder.wait(w.x) // until the device has done what the companion asked for
	}
	if err != nil {
		return fmt.Errorf("prefill: %w", err)
	}
	s.prefillSeconds = since(start)
	return nil
}

// upTo lists n positions from the first on.
func upTo(first, n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = first + i
	}
	return p
}

// Model is the model of the session.
func (s *Session) Model() *LLM { return s.model }

// Tokens are the numbers of the context's tokens, chat template included.
func (s *Session) Tokens() []int { return s.ids }

// Len is the number of context tokens, before any compression.
func (s *Session) Len() int { return len(s.ids) }

// Next is the position of the first token of a question: behind the whole context, or, when the kept keys were moved
// together, behind these.
func (s *Session) Next() int { return s.next }

// TokenTexts are the texts of the context's tokens.
func (s *Session) TokenTexts() []string {
	texts := make([]string, len(s.ids))
	for i, id := range s.ids {
		texts[i] = s.model.Tokenizer.Token(id)
	}
	return texts
}

// PressName is the spelling of the presses that made this session, "none" for a whole one.
func (s *Session) PressName() string { return s.press }

// Plans are the plans that made this session from its source, one per layer; nil for a whole session.
func (s *Session) Plans() []kvpress.Plan { return s.plans }

// PrefillSeconds is how long the prefill took.
func (s *Session) PrefillSeconds() float64 { return s.prefillSeconds }

// RecordSeconds is how long numbers for presses were found during the prefill, a part of PrefillSeconds. A GPU finds them
// beside the prefill: there it is how long it took to ask.
func (s *Session) RecordSeconds() float64 { return s.recordSeconds }

// PressSeconds is how long planning and compaction took.
func (s *Session) PressSeconds() float64 { return s.pressSeconds }

// Lens are the numbers of pairs that are held, [layer][KV head].
func (s *Session) Lens() [][]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cache.Mark()
}

// Kept lists the token positions that a KV head still holds.
func (s *Session) Kept(layer, head int) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.cache.Positions(layer, head)...)
}

// Bytes says what a session takes, in bytes.
type Bytes struct {
	Weights int64 // of the model, shared by all sessions
	KV      int64 // of the pages that hold keys and values, allocated now
	Full    int64 // what all pairs of the context take uncompressed
	Live    int64 // what the pairs that are held take; KV is a little more, for pages are filled in part
	Record  int64 // of recorded hidden states and other numbers for presses, shared by pressed copies
	Peak    int64 // most ever allocated for keys and values
}

// Bytes measures the session.
func (s *Session) Bytes() Bytes {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.model.Config
	b := Bytes{Weights: s.model.Bytes(), KV: s.cache.Bytes(), Peak: s.cache.Peak()}
	b.Full = int64(len(s.ids)) * int64(c.Layers*c.KVHeads*s.model.pairBytes())
	b.Live = s.cache.Live()
	for _, r := range s.record {
		b.Record += int64(r.Rows * r.Cols * 4)
	}
	for _, m := range s.memos {
		b.Record += m.Bytes()
	}
	return b
}

// String says what the session is, and none of its numbers: a cell that ends with a session shows this.
func (s *Session) String() string {
	b := s.Bytes()
	return fmt.Sprintf("session of %s: %d tokens, press %s, %.1f of %.1f MB of keys and values", s.model.Name, len(s.ids), s.press, float64(b.Live)/1e6, float64(b.Full)/1e6)
}

// Layer shows one layer as a press sees it, from 0.
func (s *Session) Layer(i int) (*kvpress.Layer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.layer(i)
}

func (s *Session) layer(i int) (*kvpress.Layer, error) {
	if i < 0 || i >= s.model.Config.Layers {
		return nil, fmt.Errorf("there is no layer %d: layers run from 0 to %d", i, s.model.Config.Layers-1)
	}
	seen := sight{cache: s.cache, next: len(s.ids), at: upTo(0, len(s.ids)), memo: s.memos[i]}
	if s.record != nil {
		seen.hidden = s.record[i]
	}
	for h := range s.model.Config.KVHeads {
		if s.cache.Len(i, h) != len(s.ids) { // numbers of pairs are those of the whole layer
			seen.memo = s.memos[i].Queries()
			break
		}
	}
	return s.model.layer(i, seen)
}

// A sight is what a press sees a layer through.
type sight struct {
	cache  Cache
	next   int   // position of the token that follows
	at     []int // positions of the tokens whose hidden states are known
	hidden Buf   // inputs of the attention block, a row for each; no rows when they were not recorded
	memo   *kvpress.Memo
}

// layer shows a layer to a press.
func (m *LLM) layer(i int, seen sight) (*kvpress.Layer, error) {
	c, d := m.Config, m.decoder
	l := kvpress.Layer{
		Index: i, Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, Dim: c.Dim, Width: c.Width, PairBytes: m.pairBytes(),
		Tokens: len(seen.at), Next: seen.next, Window: c.spared(i),
	}
	for h := range c.KVHeads {
		n := seen.cache.Len(i, h)
		l.Lens = append(l.Lens, n)
		l.Len = max(l.Len, n)
	}
	p := Projections{
		Attention: d.attention(i, seen.next), QKV: d.layers[i].qkv, Bias: d.layers[i].bias, Output: d.layers[i].output,
		Hidden: seen.hidden, Tokens: len(seen.at), RopeFor: d.ropeOf(i), Memo: seen.memo,
	}
	p.Positions = seen.at
	source, err := d.backend.Layer(seen.cache, p)
	if err != nil {
		return nil, fmt.Errorf("layer %d: %w", i, err)
	}
	return kvpress.NewLayer(l, source), nil
}

// plan asks a press for the plans of all layers, or of none if it acts in answers only. What it returns beside them
// puts back pairs that the press leaves behind; nil when there are none.
func (s *Session) plan(ctx context.Context, p kvpress.Press) ([]kvpress.Plan, func(out *Session) error, error) {
	now, _ := apart(p)
	if now == nil {
		return nil, nil, nil
	}
	p, err := s.settled(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	plans, err := kvpress.PlanLayers(p, s.model.Config.Layers, s.layer)
	for _, plan := range plans {
		if plan.Rerotate && s.model.Config.mixed() {
			return nil, nil, errMoves
		}
	}
	if r, ok := p.(restored); ok {
		return plans, r.restore, err
	}
	return plans, nil, err
}

// Press makes a compressed copy of the session; the session itself stays as it is.
func (s *Session) Press(p kvpress.Press) (*Session, error) {
	return s.PressContext(context.Background(), p)
}

// PressContext is Press with a context that can stop a press that runs the model again.
func (s *Session) PressContext(ctx context.Context, p kvpress.Press) (*Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start := time.Now()
	plans, restore, err := s.plan(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("press %s: %w", p.Name(), err)
	}
	cache, err := s.cache.Copy(plans, s.model.decoder.rope(len(s.ids)))
	if err != nil {
		return nil, fmt.Errorf("press %s: %w", p.Name(), err)
	}
	out := s.copy(cache)
	if err := out.pressed(p, plans); err != nil {
		return nil, err
	}
	if restore != nil {
		if err := restore(out); err != nil {
			return nil, fmt.Errorf("press %s: %w", p.Name(), err)
		}
	}
	out.pressSeconds = since(start)
	return out, nil
}

// copy is the session over another cache.
func (s *Session) copy(cache Cache) *Session {
	return &Session{
		model: s.model, ids: s.ids, suffix: s.suffix, next: s.next, press: s.press, during: s.during, bits: s.bits, cache: cache, record: s.record,
		memos: s.memos, plans: s.plans, prefillSeconds: s.prefillSeconds, recordSeconds: s.recordSeconds, pressSeconds: s.pressSeconds,
	}
}

// PressInPlace compresses the session itself and frees what goes.
func (s *Session) PressInPlace(p kvpress.Press) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	start := time.Now()
	plans, restore, err := s.plan(context.Background(), p)
	if err != nil {
		return fmt.Errorf("press %s: %w", p.Name(), err)
	}
	for i, plan := range plans {
		if err := s.cache.Apply(i, plan, s.model.decoder.rope(len(s.ids))); err != nil {
			return fmt.Errorf("press %s: layer %d: %w", p.Name(), i, err)
		}
	}
	defer func() { s.pressSeconds = since(start) }()
	if err := s.pressed(p, plans); err != nil || restore == nil {
		return err
	}
	if err := restore(s); err != nil {
		return fmt.Errorf("press %s: %w", p.Name(), err)
	}
	return nil
}

// pressed notes which press made the session what it is, and which will act in its answers.
func (s *Session) pressed(p kvpress.Press, plans []kvpress.Plan) error {
	if _, during := apart(p); during != nil {
		s.during = during
		if _, err := s.answer(); err != nil {
			return fmt.Errorf("press %s: %w", p.Name(), err)
		}
	}
	if s.press == "none" {
		s.press = p.Name()
	} else {
		s.press += " then " + p.Name()
	}
	if plans == nil {
		return nil
	}
	s.plans = plans
	for _, plan := range plans {
		s.bits = max(s.bits, plan.Bits)
	}
	if plans[0].Rerotate { // the kept keys moved together: questions follow right behind them
		s.next = s.cache.Len(0, 0)
	}
	return nil
}

// Fork makes a session that shares the context and appends its own pairs, so that several questions can be answered
// side by side.
func (s *Session) Fork() (*Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.copy(s.cache.Fork()), nil
}

// Close frees the cache.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache.Close()
	s.record, s.work = nil, nil
	return nil
}
