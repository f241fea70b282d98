package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
}

func benchCommand() *cobra.Command {
	var backend, model, presses string
	var tokens, decode int
	var asJSON bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "time prefill, presses and decoding of a model",
		Long:  "bench prefills random tokens once, decodes after them, and presses the kept prefill with every press that is named.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []kvpress.Press
			if presses != "" {
				var err error
				if list, err = kvpress.ParseList(presses); err != nil {
					return err
				}
			}
			m, err := openModel(model, backend)
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
	c.Flags().StringVar(&backend, "backend", "cpu", "device to run on")
	c.Flags().StringVar(&model, "model", "needle", "model name or Hugging Face folder")
	c.Flags().IntVar(&tokens, "tokens", 2048, "context tokens to prefill")
	c.Flags().IntVar(&decode, "decode", 24, "tokens to decode")
	c.Flags().StringVar(&presses, "press", "", "presses to try on the kept prefill, such as snapkv:0.5,knorm:0.9")
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
	s, err := m.PrefillTokens(ctx, ids, llm.Full())
	if err != nil {
		return nil, err
	}
	millis := func(s *llm.Session) (float64, error) {
		a, err := s.AskTokens(ctx, ids[:1], decode+1, nil, nil)
		return a.TokenMillis, err
	}
	r := &benchResult{Model: m.Name, Backend: m.Backend(), Tokens: tokens, PrefillS: s.PrefillSeconds(), KVBytes: s.Bytes().KV}
	if r.DecodeMS, err = millis(s); err != nil {
		return nil, err
	}
	for _, p := range presses {
		pressed, err := s.Press(p)
		if err != nil {
			return nil, err
		}
		b := benchedPress{Press: p.Name(), Seconds: pressed.PressSeconds(), KVBytes: pressed.Bytes().KV}
		for _, plan := range pressed.Plans() {
			b.Kept += plan.Kept()
		}
		if b.DecodeMS, err = millis(pressed); err != nil {
			return nil, err
		}
		r.Presses = append(r.Presses, b)
		pressed.Close()
	}
	return r, nil
}

func (r *benchResult) print(cmd *cobra.Command) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s on %s, %d tokens\n\n", r.Model, r.Backend, r.Tokens)
	fmt.Fprintln(w, "press\tpress ms\tpairs kept\tKV MiB\tdecode ms/token\t")
	fmt.Fprintf(w, "none\t(prefill %.0f)\tall\t%.1f\t%.2f\t\n", 1e3*r.PrefillS, float64(r.KVBytes)/(1<<20), r.DecodeMS)
	for _, p := range r.Presses {
		fmt.Fprintf(w, "%s\t%.1f\t%d\t%.1f\t%.2f\t\n", p.Press, 1e3*p.Seconds, p.Kept, float64(p.KVBytes)/(1<<20), p.DecodeMS)
	}
	return w.Flush()
}
