package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// An Efficiency says at which lengths, and with which presses, time and memory are measured.
type Efficiency struct {
	Contexts []int           // tokens of the contexts; none means 1,024 and 2,048
	Presses  []kvpress.Press // beside no press, which comes first
	Tokens   int             // that are decoded after each context; 0 means 100
}

// A Latency is what one press takes at one length of context.
type Latency struct {
	Context       int     // tokens
	Press         string  // as spelled
	PrefillMillis float64 // without the press
	PressMillis   float64
	TokenMillis   float64 // of a decoded token, mean
	MedianMillis  float64 // of a decoded token, median
	Kept          int     // pairs of all layers and heads after the context
	KVBytes       int64   // of the pages that hold them
	PeakBytes     int64   // most that keys and values took at any moment, prefill included
}

// MeasureEfficiency prefills contexts with every press at work and decodes after them, token after token as the model
// goes on. A press that can, compresses layer by layer during the prefill, so that the whole cache never exists: the peak
// is that of a cache of its own, which every measurement begins anew.
func MeasureEfficiency(ctx context.Context, m *llm.LLM, e Efficiency) ([]Latency, error) {
	if len(e.Contexts) == 0 {
		e.Contexts = []int{1024, 2048}
	}
	e.Tokens = cmp.Or(e.Tokens, 100)
	if e.Tokens < 1 {
		return nil, fmt.Errorf("%d tokens to decode: the time of one needs at least one", e.Tokens)
	}
	if n := slices.Min(e.Contexts); n < 1 {
		return nil, fmt.Errorf("a context of %d tokens: it needs at least one", n)
	}
	ids := fillerTokens(m, slices.Max(e.Contexts)+1)
	warm, err := m.PrefillTokens(ctx, ids[:min(64, len(ids))], llm.KeysOnly())
	if err != nil {
		return nil, err
	}
	warm.Close()
	var all []Latency
	presses := append([]kvpress.Press{nil}, e.Presses...)
	for _, n := range e.Contexts {
		for _, p := range presses {
			runtime.GC() // what the last one left is not this one's to clear away
			l, err := e.measure(ctx, m, ids[:n+1], p)
			if err != nil {
				return nil, fmt.Errorf("context of %d tokens: %w", n, err)
			}
			all = append(all, l)
			progress.Report(ctx, "efficiency", int64(len(all)), int64(len(e.Contexts)*len(presses)))
		}
	}
	return all, nil
}

// measure prefills all but the last token with a press and goes on from there.
func (e Efficiency) measure(ctx context.Context, m *llm.LLM, ids []int, p kvpress.Press) (Latency, error) {
	n := len(ids) - 1
	s, err := prefilled(ctx, m, ids[:n], p)
	if err != nil {
		return Latency{}, err
	}
	defer s.Close()
	b := s.Bytes()
	l := Latency{
		Context: n, Press: s.PressName(), PrefillMillis: 1e3 * s.PrefillSeconds(), PressMillis: 1e3 * s.PressSeconds(), Kept: pairs(s), KVBytes: b.KV, PeakBytes: b.Peak,
	}
	var first, last time.Time
	a, err := s.AskTokens(ctx, ids[n:], e.Tokens+1, nil, func(step int, _ []float32) {
		last = time.Now()
		if step == 0 {
			first = last
		}
	})
	l.TokenMillis, l.MedianMillis = 1e3*last.Sub(first).Seconds()/float64(e.Tokens), a.TokenMillis
	return l, err
}

// prefilled compresses during the prefill if the press can, else after it.
func prefilled(ctx context.Context, m *llm.LLM, ids []int, p kvpress.Press) (*llm.Session, error) {
	if p == nil {
		return m.PrefillTokens(ctx, ids, llm.KeysOnly())
	}
	if !llm.RunsAgain(p) {
		s, err := m.PrefillTokensWith(ctx, ids, p)
		if !errors.Is(err, llm.ErrWaits) {
			return s, err
		}
	}
	record, err := m.Light(p)
	if err != nil {
		return nil, err
	}
	s, err := m.PrefillTokens(ctx, ids, record)
	if err != nil {
		return nil, err
	}
	if err := s.PressInPlace(p); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// fillerTokens are n tokens of sentences that differ.
func fillerTokens(m *llm.LLM, n int) []int {
	ids := []int{}
	if _, id, ok := m.Tokenizer.BOS(); ok {
		ids = append(ids, id)
	}
	world := needle.NewWorld()
	for seed := int64(0); len(ids) < n; seed++ {
		ids = append(ids, m.Tokenizer.Encode(" "+world.Text(seed, 100, 0).String())...)
	}
	return ids[:n]
}

// EfficiencyTable is a table of latencies.
func EfficiencyTable(all []Latency) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "context\tpress\tprefill ms\tpress ms\tms/token, mean\tmedian\tpairs kept\tKV MB\tpeak MB\t")
	for _, l := range all {
		fmt.Fprintf(w, "%d\t%s\t%.1f\t%.1f\t%.2f\t%.2f\t%d\t%.2f\t%.2f\t\n", l.Context, l.Press, l.PrefillMillis, l.PressMillis, l.TokenMillis, l.MedianMillis, l.Kept, float64(l.KVBytes)/1e6, float64(l.PeakBytes)/1e6)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
