package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// benchResult is what `kvnotes bench --json` prints.
type benchResult struct {
	Model        string  `json:"model"`
	Backend      string  `json:"backend"`
	Weights      string  `json:"weights"` // how they are held
	Threads      int     `json:"threads"`
	Tokens       int     `json:"tokens"`
	LoadS        float64 `json:"load_s"`
	WeightsBytes int64   `json:"weights_bytes"`
	LoadPeak     int64   `json:"load_peak_bytes,omitempty"` // most memory while loading, where the system tells
	LoadedBytes  int64   `json:"loaded_bytes,omitempty"`    // memory once loaded
	PrefillS     float64 `json:"prefill_s"`
	RecordS      float64 `json:"record_s"`             // part of it: what presses asked for
	PeakBytes    int64   `json:"peak_bytes,omitempty"` // most memory during the prefill
	BaseMS       float64 `json:"base_ms"`              // median of a decoded token after a context of one
	DecodeMS     float64 `json:"decode_ms"`            // median of a token after the whole context
	AttentionMS  float64 `json:"attention_ms"`         // the difference: what the context costs each token
	KVBytes      int64   `json:"kv_bytes"`
	Perplexity   float64 `json:"perplexity,omitempty"` // of the text that --perplexity names

	PrefillWith string         `json:"prefill_with,omitempty"` // the press that acted layer by layer
	Sessions    []int64        `json:"sessions,omitempty"`     // memory with so many sessions more, of one model
	AgainBytes  int64          `json:"again_bytes,omitempty"`  // what loading the model once more adds
	Presses     []benchedPress `json:"presses,omitempty"`
}

type benchedPress struct {
	Press       string  `json:"press"`
	Seconds     float64 `json:"seconds"`
	Kept        int     `json:"kept"` // pairs of all layers and heads
	KVBytes     int64   `json:"kv_bytes"`
	DecodeMS    float64 `json:"decode_ms"`
	AttentionMS float64 `json:"attention_ms"`
	Reads       string  `json:"reads,omitempty"` // "all queries", or "the model again": why a press takes its time
	Error       string  `json:"error,omitempty"` // of a press that cannot work here; the numbers are then 0
}

// A trial is what bench is asked to time.
type trial struct {
	model, backend, weights  string
	tokens, decode, sessions int
	presses, with, text      string
}

func benchCommand() *cobra.Command {
	var t trial
	var asJSON bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "time prefill, presses and decoding of a model",
		Long: "bench prefills random tokens once, decodes after them, and presses the kept prefill with every press that is named,\n" +
			"three times each, of which the median counts. What the presses ask for is recorded during the prefill.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.tokens < 1 || t.decode < 1 || t.sessions < 0 {
				return fmt.Errorf("--tokens %d --decode %d --sessions %d: at least 1, 1 and 0 are wanted", t.tokens, t.decode, t.sessions)
			}
			r, err := t.run(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return r.print(cmd)
		},
	}
	c.Flags().StringVar(&t.backend, "backend", "cpu", "device to run on: cpu, cuda, or auto for the GPU where there is one")
	weightsFlag(c, &t.weights)
	c.Flags().StringVar(&t.model, "model", "needle", "model name, Hugging Face folder or GGUF file")
	c.Flags().IntVar(&t.tokens, "tokens", 2048, "context tokens to prefill")
	c.Flags().IntVar(&t.decode, "decode", 24, "tokens to decode")
	c.Flags().StringVar(&t.presses, "press", "", "presses to try on the kept prefill, such as snapkv:0.5,knorm:0.9; all for one of every method")
	c.Flags().StringVar(&t.with, "prefill-with", "", "a press that acts layer by layer during the prefill instead, to see the peak of memory")
	c.Flags().IntVar(&t.sessions, "sessions", 0, "keep so many prefilled sessions more, and load the model again, to see what they share")
	c.Flags().StringVar(&t.text, "perplexity", "", "a text whose perplexity to find")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// run loads the model and does all that is asked.
func (t trial) run(ctx context.Context) (*benchResult, error) {
	var list []kvpress.Press
	var with kvpress.Press
	var text []byte
	var err error
	if t.presses == "all" {
		t.presses = allPresses()
	}
	if t.presses != "" {
		if list, err = kvpress.ParseList(t.presses); err != nil {
			return nil, err
		}
	}
	if t.with != "" {
		if with, err = kvpress.Parse(t.with); err != nil {
			return nil, err
		}
	}
	if t.text != "" {
		if text, err = os.ReadFile(t.text); err != nil {
			return nil, err
		}
	}
	forgetPeak()
	start := time.Now()
	m, err := openModel(t.model, t.backend, t.weights)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if most := m.Config.MaxPositions; most > 0 { // past the last position a model knows, time is still time
		m.Config.MaxPositions = max(most, t.tokens+t.decode+2)
	}
	r := &benchResult{
		Model: m.Name, Backend: m.Backend(), Weights: m.Weights, Threads: tensor.Threads(), Tokens: t.tokens,
		LoadS: time.Since(start).Seconds(), WeightsBytes: m.Bytes(), LoadPeak: memory("VmHWM"),
	}
	r.LoadedBytes = settledMemory()
	if len(text) > 0 {
		if r.Perplexity, err = m.Perplexity(ctx, string(text)); err != nil {
			return nil, err
		}
	}
	if err := t.time(ctx, r, m, list, with); err != nil {
		return nil, err
	}
	return r, t.keep(ctx, r, m)
}

// time times prefill, decoding and presses.
func (t trial) time(ctx context.Context, r *benchResult, m *llm.LLM, list []kvpress.Press, with kvpress.Press) error {
	ids := randomTokens(m, t.tokens)
	millis := func(s *llm.Session) (float64, error) {
		a, err := s.AskTokens(ctx, ids[:1], t.decode+1, nil, nil)
		return a.TokenMillis, err
	}
	for _, n := range []int{min(64, t.tokens), 1} { // the first one warms everything up
		s, err := m.PrefillTokens(ctx, ids[:n], llm.KeysOnly())
		if err != nil {
			return err
		}
		if r.BaseMS, err = millis(s); err != nil {
			return err
		}
		s.Close()
	}
	record, list := r.record(m, list)
	settledMemory()
	forgetPeak()
	var s *llm.Session
	var err error
	if with != nil {
		r.PrefillWith = with.Name()
		s, err = m.PrefillTokensWith(ctx, ids, with)
	} else {
		s, err = m.PrefillTokens(ctx, ids, record)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	r.PeakBytes = memory("VmHWM")
	r.PrefillS, r.RecordS, r.KVBytes = s.PrefillSeconds(), s.RecordSeconds(), s.Bytes().KV
	if r.DecodeMS, err = millis(s); err != nil {
		return err
	}
	r.AttentionMS = r.DecodeMS - r.BaseMS
	for _, p := range list {
		b := benchedPress{Press: p.Name(), Reads: reads(m, p)}
		var seconds []float64
		for range benchRounds {
			pressed, err := s.PressContext(ctx, p)
			if err != nil {
				b.Error = err.Error()
				break
			}
			seconds = append(seconds, pressed.PressSeconds())
			if len(seconds) == benchRounds {
				b.measure(pressed, seconds)
				b.DecodeMS, err = millis(pressed)
				b.AttentionMS = b.DecodeMS - r.BaseMS
			}
			pressed.Close()
			if err != nil {
				b.Error = err.Error()
			}
		}
		r.Presses = append(r.Presses, b)
	}
	return nil
}

// keep makes sessions and keeps them, to see what they share.
func (t trial) keep(ctx context.Context, r *benchResult, m *llm.LLM) error {
	if t.sessions == 0 {
		return nil
	}
	ids := randomTokens(m, t.tokens)
	var kept []*llm.Session
	r.Sessions = []int64{settledMemory()}
	for range t.sessions {
		s, err := m.PrefillTokens(ctx, ids, llm.KeysOnly())
		if err != nil {
			return err
		}
		kept = append(kept, s)
		r.Sessions = append(r.Sessions, settledMemory())
	}
	again, err := openModel(t.model, t.backend, t.weights)
	if err != nil {
		return err
	}
	r.AgainBytes = settledMemory() - r.Sessions[t.sessions]
	for _, s := range kept {
		s.Close()
	}
	return again.Close()
}

// randomTokens are the same tokens in every run.
func randomTokens(m *llm.LLM, n int) []int {
	random := rand.New(rand.NewPCG(1, 2))
	ids := make([]int, n)
	for i := range ids {
		ids[i] = random.IntN(m.Config.Vocabulary)
	}
	return ids
}

// benchRounds is how often a press is timed.
const benchRounds = 3

func (b *benchedPress) measure(s *llm.Session, seconds []float64) {
	slices.Sort(seconds)
	b.Seconds, b.KVBytes = seconds[len(seconds)/2], s.Bytes().KV
	for _, heads := range s.Lens() {
		for _, n := range heads {
			b.Kept += n
		}
	}
}

// allPresses spells one press of every method.
func allPresses() string {
	var all []string
	for _, m := range kvpress.Methods() {
		all = append(all, m.Spelling())
	}
	return strings.Join(all, ", ")
}

// reads tells what a press reads that takes long.
func reads(m *llm.LLM, p kvpress.Press) string {
	switch record, _ := m.Light(p); {
	case llm.RunsAgain(p):
		return "the model again"
	case record.Hidden:
		return "all queries"
	}
	return ""
}

// record finds out what to record for the presses, and drops those that cannot work on the model.
func (r *benchResult) record(m *llm.LLM, presses []kvpress.Press) (llm.Record, []kvpress.Press) {
	var able []kvpress.Press
	for _, p := range presses {
		if _, err := m.Light(p); err != nil {
			r.Presses = append(r.Presses, benchedPress{Press: p.Name(), Error: err.Error()})
			continue
		}
		able = append(able, p)
	}
	record, _ := m.Light(able...) // each of them can
	return record, able
}

func (r *benchResult) print(cmd *cobra.Command) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s on %s, %d threads, weights %s (%.1f MB, loaded in %.2f s), %d tokens\n", r.Model, r.Backend, r.Threads, r.Weights, float64(r.WeightsBytes)/1e6, r.LoadS, r.Tokens)
	if r.Perplexity > 0 {
		fmt.Fprintf(w, "perplexity %.3f\n", r.Perplexity)
	}
	if r.PrefillWith != "" {
		fmt.Fprintf(w, "prefilled with %s, layer by layer: at most %.1f MB of memory, of which weights %.1f and keys and values in the end %.1f\n",
			r.PrefillWith, float64(r.PeakBytes)/1e6, float64(r.WeightsBytes)/1e6, float64(r.KVBytes)/1e6)
	}
	for i, bytes := range r.Sessions {
		fmt.Fprintf(w, "%d sessions more: %.1f MB of memory\n", i, float64(bytes)/1e6)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "press\tpress ms\tpairs kept\tKV MiB\tdecode ms/token\treads\t")
	fmt.Fprintf(w, "none\t(prefill %.0f, of which %.0f for presses)\tall\t%.1f\t%.2f\t\t\n", 1e3*r.PrefillS, 1e3*r.RecordS, float64(r.KVBytes)/(1<<20), r.DecodeMS)
	var millis []float64
	for _, p := range r.Presses {
		if p.Error == "" {
			fmt.Fprintf(w, "%s\t%.1f\t%d\t%.1f\t%.2f\t%s\t\n", p.Press, 1e3*p.Seconds, p.Kept, float64(p.KVBytes)/(1<<20), p.DecodeMS, p.Reads)
		}
		if p.Error == "" && p.Reads == "" {
			millis = append(millis, 1e3*p.Seconds)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if n := len(millis); n > 1 {
		slices.Sort(millis)
		cmd.Printf("\n%d presses that read neither all queries nor the model again: median %.1f ms, slowest %.1f ms\n", n, millis[n/2], millis[n-1])
	}
	for _, p := range r.Presses {
		if p.Error != "" {
			cmd.Printf("not run: %s: %s\n", p.Press, p.Error)
		}
	}
	return nil
}
