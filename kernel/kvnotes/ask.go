package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

func askCommand() *cobra.Command {
	var model, backend, held, file, presses string
	var tokens int
	var sampling llm.Sampling
	var stop []string
	var think bool
	c := &cobra.Command{
		Use:   "ask QUESTION...",
		Short: "ask questions about a text, with and without compression",
		Long: `ask reads a text once (--file, or standard input) and answers every question about it: from the whole cache, and
from a pressed copy for every press that is named.`,
		Example: `  kvnotes ask --model smollm2 --file article.txt --press snapkv:0.5,adasnapkv:0.75 "Who founded the observatory?"`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, questions []string) error {
			text, err := readText(cmd.Context(), cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			var list []kvpress.Press
			if presses != "" {
				if list, err = kvpress.ParseList(presses); err != nil {
					return err
				}
			}
			m, err := openModel(model, backend, held)
			if err != nil {
				return err
			}
			defer m.Close()
			if cmd.Flags().Changed("think") {
				m.Chat = map[string]interface{}{"enable_thinking": think}
			}
			ctx := progress.With(cmd.Context(), terminalBar(cmd.ErrOrStderr()))
			whole, err := m.Prefill(ctx, text, llm.Full())
			if err != nil {
				return err
			}
			defer whole.Close()
			sessions := []*llm.Session{whole}
			for _, p := range list {
				s, err := whole.PressContext(ctx, p)
				if err != nil {
					return err
				}
				defer s.Close()
				sessions = append(sessions, s)
			}
			w := cmd.OutOrStdout()
			for _, q := range questions {
				fmt.Fprintln(w, q)
				for _, s := range sessions {
					a, err := s.AskWith(ctx, llm.Question{Text: q, MaxTokens: tokens, Sampling: sampling, Stop: stop})
					if err != nil {
						return err
					}
					fmt.Fprintf(w, "  %-32s %7.1f MB  %s\n", s.PressName(), float64(s.Bytes().KV)/1e6, strings.Join(strings.Fields(a.Text), " "))
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&model, "model", "smollm2", "model name, Hugging Face folder or GGUF file")
	c.Flags().StringVar(&backend, "backend", "cpu", "device to run on: cpu, cuda, or auto for the GPU where there is one")
	weightsFlag(c, &held)
	c.Flags().StringVar(&file, "file", "", "text to ask about; standard input when it is not given")
	c.Flags().StringVar(&presses, "press", "", "presses to compare, such as snapkv:0.5,knorm:0.75")
	c.Flags().IntVar(&tokens, "tokens", 50, "longest answer, in tokens")
	c.Flags().Float64Var(&sampling.Temperature, "temperature", 0, "draw tokens at this temperature; 0 takes the most likely ones")
	c.Flags().IntVar(&sampling.TopK, "top-k", 0, "draw from so many of the most likely tokens")
	c.Flags().Float64Var(&sampling.TopP, "top-p", 0, "draw from the most likely tokens that together have this probability")
	c.Flags().Float64Var(&sampling.MinP, "min-p", 0, "draw from tokens with this fraction of the largest probability")
	c.Flags().Float64Var(&sampling.Penalty, "repetition-penalty", 0, "weaken tokens that the text has already")
	c.Flags().Uint64Var(&sampling.Seed, "seed", 0, "the same seed draws the same answers")
	c.Flags().StringArrayVar(&stop, "stop", nil, "a text that ends an answer")
	c.Flags().BoolVar(&think, "think", true, "whether a model that can think aloud does so (enable_thinking of its chat template)")
	return c
}

// readText reads a file, or else the input, until ctx ends: a terminal may never end.
func readText(ctx context.Context, input io.Reader, file string) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		return string(text), err
	}
	var text []byte
	var err error
	read := make(chan struct{})
	go func() {
		defer close(read)
		text, err = io.ReadAll(input)
	}()
	select {
	case <-read:
		return string(text), err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
