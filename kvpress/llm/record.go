package llm

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Record says what a prefill keeps beside keys and values, so that presses can be tried on it later. What a press asks
// for is found again from Hidden, the first time it asks; without Hidden it must be named here. Full, Light and KeysOnly
// make the usual ones.
type Record struct {
	// Hidden keeps the input of every attention block: any number a press may ask for can then be computed again.
	// It costs Width*4 bytes per token and layer.
	Hidden bool
	// Windows lists numbers of last queries whose mean attention on every pair is kept: SnapKV's votes.
	Windows []int
	// Moments lists numbers of first tokens; mean and covariance of the queries of all others are kept.
	Moments []int
	// Norms lists the p (1 or 2) of the norms of projected values that are kept: CriticalKV's.
	Norms []int
	// Sums keeps the attention that every pair gets from all queries: ObservedAttention's.
	Sums bool
}

// Full is the record with which any press works later.
func Full() Record { return Record{Hidden: true} }

// KeysOnly is the record of nothing: only presses that look at keys and values work later.
func KeysOnly() Record { return Record{} }

// Light is the record of what some presses ask for. It lets each of them plan a made-up layer of the model's shape and
// looks on; an error says why one cannot. Presses that run the model again need no record.
func (m *LLM) Light(presses ...kvpress.Press) (Record, error) {
	var r Record
	for _, p := range presses {
		p, during := apart(p)
		if during != nil {
			r.Hidden = true // the end of the context counts in answers
		}
		if p == nil || RunsAgain(p) {
			continue
		}
		look := &onlooker{model: m, record: &r}
		if _, err := kvpress.PlanLayer(p, 0, look.layer); err != nil {
			return r, fmt.Errorf("press %s: %w", p.Name(), err)
		}
	}
	return r, nil
}

// prepare makes room for what a prefill records.
func (s *Session) prepare(r Record) error {
	if !r.Hidden {
		if len(r.Windows)+len(r.Moments)+len(r.Norms) == 0 && !r.Sums {
			return nil
		}
		return s.prepareOne(len(s.ids))
	}
	for range s.model.Config.Layers {
		b, err := s.model.decoder.backend.Alloc(len(s.ids), s.model.Config.Width)
		if err != nil {
			return err
		}
		s.record = append(s.record, b)
	}
	return nil
}

// prepareOne makes room for the hidden states of the last tokens, so many, of one layer at a time, for all layers in turn.
func (s *Session) prepareOne(tokens int) error {
	one, err := s.model.decoder.backend.Alloc(tokens, s.model.Config.Width)
	for range s.model.Config.Layers {
		s.record = append(s.record, one)
	}
	return err
}

// tail is how many last tokens of a context have hidden states that a record is found from, filled up to whole row blocks.
func (r Record) tail(tokens, rowBlock int) int {
	if r.Hidden || r.Sums || len(r.Moments) > 0 {
		return tokens
	}
	last := 0
	for _, w := range r.Windows {
		last = max(last, min(w, tokens))
	}
	return tokens - (tokens-last)/rowBlock*rowBlock
}

// A recorder finds the numbers of a record in each layer of a prefill as soon as it is done. They go to its memo; those of
// a GPU come while it computes the next layer.
type recorder struct {
	s      *Session
	record Record
	wait   func() error // for the numbers of the last layer; nil when there are none
}

// after is called when a layer is done.
func (r *recorder) after(layer int) error {
	start := time.Now()
	wait, err := r.s.find(layer, r.record)
	r.s.recordSeconds += since(start)
	if err != nil {
		return err
	}
	err = r.end() // of the layer before: a device still works on this one
	r.wait = wait
	return err
}

// end waits for the numbers that are still on their way.
func (r *recorder) end() error {
	if r.wait == nil {
		return nil
	}
	return r.wait()
}

// find begins to find the numbers of a record in one layer, and returns what waits until all are there.
func (s *Session) find(layer int, r Record) (wait func() error, err error) {
	l, err := s.layer(layer)
	if err != nil {
		return nil, err
	}
	var coming []func() error
	for _, w := range r.Windows {
		wait, err := l.RecordAttention(min(w, len(s.ids)))
		if err != nil {
			return nil, err
		}
		coming = append(coming, wait)
	}
	for _, skip := range r.Moments {
		if skip < len(s.ids) {
			if _, _, err := l.QueryMoments(skip); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range r.Norms {
		if _, err := l.OutputNorms(p); err != nil {
			return nil, err
		}
	}
	if r.Sums {
		_, err = l.AttentionSums()
	}
	return func() error {
		for _, wait := range coming {
			if err := wait(); err != nil {
				return err
			}
		}
		return nil
	}, err
}

// An onlooker notes in a record what a press asks a made-up layer for.
type onlooker struct {
	*kvpress.Host
	model  *LLM
	mu     sync.Mutex
	record *Record
}

// lookTokens is the length of the made-up layer: more tokens than any usual window.
const lookTokens = 1024

// layer makes the layer.
func (o *onlooker) layer(int) (*kvpress.Layer, error) {
	c := o.model.Config
	keys := tensor.New(lookTokens, c.Dim)
	for i := range keys.Data {
		keys.Data[i] = float32(i*i%1009)/1009 - 0.5 // no two keys alike
	}
	o.Host = &kvpress.Host{
		Tokens: lookTokens, Dim: c.Dim, Group: c.group(), Rope: o.model.decoder.rope,
		States:   func() (tensor.Mat, error) { return o.hidden(), nil },
		Query:    func(_, last int) (tensor.Mat, error) { o.hidden(); return keys.Slice(0, last).Clone(), nil },
		KeyStart: func(int) (tensor.Mat, error) { return keys.Clone(), nil },
		Project:  func(_ int, x tensor.Mat) (tensor.Mat, error) { return keys.Slice(0, x.Rows).Clone(), nil },
		Output:   func(int) (tensor.Mat, error) { return keys.Slice(0, c.Dim), nil },
	}
	for range c.KVHeads {
		o.K, o.V = append(o.K, keys), append(o.V, keys)
	}
	sizes := kvpress.Layer{
		Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, Dim: c.Dim, Width: c.Width, Len: lookTokens, Tokens: lookTokens, PairBytes: o.model.pairBytes(),
	}
	return kvpress.NewLayer(sizes, o), nil
}

func (o *onlooker) hidden() tensor.Mat {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.record.Hidden = true
	return tensor.New(lookTokens, o.model.Config.Width)
}

func (o *onlooker) note(list *[]int, n int) tensor.Mat {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(*list, n) {
		*list = append(*list, n)
	}
	x := tensor.New(o.model.Config.Heads, lookTokens)
	for i := range x.Data {
		x.Data[i] = float32(i%1013) / 1013
	}
	return x
}

// Attention notes a window of queries; weights of their own cannot be recorded.
func (o *onlooker) Attention(last int, rowWeights []float32) (tensor.Mat, error) {
	if rowWeights != nil {
		return o.Host.Attention(last, rowWeights)
	}
	return o.note(&o.record.Windows, last), nil
}

// AttentionSums notes the sums.
func (o *onlooker) AttentionSums() (tensor.Mat, error) {
	o.mu.Lock()
	o.record.Sums = true
	o.mu.Unlock()
	return o.note(new([]int), 0), nil
}

// OutputNorms notes the norms.
func (o *onlooker) OutputNorms(p int) (tensor.Mat, error) { return o.note(&o.record.Norms, p), nil }

// QueryMoments notes the moments.
func (o *onlooker) QueryMoments(skip int) (tensor.Mat, []tensor.Mat, error) {
	o.note(&o.record.Moments, skip)
	c := o.model.Config
	cov := make([]tensor.Mat, c.Heads)
	for i := range cov {
		cov[i] = tensor.New(c.Dim, c.Dim)
	}
	return tensor.New(c.Heads, c.Dim), cov, nil
}
