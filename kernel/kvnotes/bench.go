package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// benchResult is what `kvnotes bench --json` prints.
type benchResult struct {
	Model    string         `json:"model"`
	Backend  string         `json:"backend"`
	Tokens   int            `json:"tokens"`
	PrefillS float64        `json:"prefill_s"`
	RecordS  float64        `json:"record_s"`  // part of it: what presses asked for
	DecodeMS float64        `json:"decode_ms"` // median of a token
	KVBytes  int64          `json:"kv_bytes"`
	Presses  []benchedPress `json:"presses,omitempty"`
}

type benchedPress struct {
	Press    string  `json:"press"`
	Seconds  float64 `json:"seconds"`
	Kept     int     `json:"kept"` // pairs of all layers and heads
	KVBytes  int64   `json:"kv_bytes"`
	DecodeMS float64 `json:"decode_ms"`
	Reads    string  `json:"reads,omitempty"` // "all queries", or "the model again": why a press takes its time
	Error    string  `json:"error,omitempty"` // of a press that cannot work here; the numbers are then 0
}

func benchCommand() *cobra.Command {
	var backend, held, model, presses string
	var tokens, decode int
	var asJSON bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "time prefill, presses and decoding of a model",
		Long: "bench prefills random tokens once, decodes after them, and presses the kept prefill with every press that is named,\n" +
			"three times each, of which the median counts. What the presses ask for is recorded during the prefill.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []kvpress.Press
			if presses == "all" {
				presses = allPresses()
			}
			if presses != "" {
				var err error
				if list, err = kvpress.ParseList(presses); err != nil {
					return err
				}
			}
			m, err := openModel(model, backend, held)
			if err != nil {
				return err
			}
			defer m.Close()
			r, err := bench(cmd, m, tokens, decode, list)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return r.print(cmd)
		},
	}
	c.Flags().StringVar(&backend, "backend", "cpu", "device to run on: cpu, cuda, or auto for the GPU where there is one")
	weightsFlag(c, &held)
	c.Flags().StringVar(&model, "model", "needle", "model name or Hugging Face folder")
	c.Flags().IntVar(&tokens, "tokens", 2048, "context tokens to prefill")
	c.Flags().IntVar(&decode, "decode", 24, "tokens to decode")
	c.Flags().StringVar(&presses, "press", "", "presses to try on the kept prefill, such as snapkv:0.5,knorm:0.9; all for one of every method")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func bench(cmd *cobra.Command, m *llm.LLM, tokens, decode int, presses []kvpress.Press) (*benchResult, error) {
	random := rand.New(rand.NewPCG(1, 2))
	ids := make([]int, tokens)
	for i := range ids {
		ids[i] = random.IntN(m.Config.Vocabulary)
	}
	ctx := cmd.Context()
	warm, err := m.PrefillTokens(ctx, ids[:min(64, tokens)], llm.KeysOnly())
	if err != nil {
		return nil, err
	}
	warm.Close()
	r := &benchResult{Model: m.Name, Backend: m.Backend(), Tokens: tokens}
	record, presses := r.record(m, presses)
	s, err := m.PrefillTokens(ctx, ids, record)
	if err != nil {
		return nil, err
	}
	millis := func(s *llm.Session) (float64, error) {
		a, err := s.AskTokens(ctx, ids[:1], decode+1, nil, nil)
		return a.TokenMillis, err
	}
	r.PrefillS, r.RecordS, r.KVBytes = s.PrefillSeconds(), s.RecordSeconds(), s.Bytes().KV
	if r.DecodeMS, err = millis(s); err != nil {
		return nil, err
	}
	for _, p := range presses {
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
			}
			pressed.Close()
			if err != nil {
				b.Error = err.Error()
			}
		}
		r.Presses = append(r.Presses, b)
	}
	return r, nil
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
	fmt.Fprintf(w, "%s on %s, %d tokens\n\n", r.Model, r.Backend, r.Tokens)
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
