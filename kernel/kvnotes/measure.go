package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/progress"
	"github.com/kvnotes/kvnotes/kvpress/trained"
)

func measureCommand() *cobra.Command {
	var model, backend, held, out string
	var length, skip, sinks, recent int
	c := &cobra.Command{
		Use:   "measure stats|duo FILE...",
		Short: "measure on texts what expected_attention_stats or duo_attention need to know of a model",
		Long: `measure reads text files and writes a folder that --trained takes: stats are mean and covariance of the model's
queries, for expected_attention_stats; duo is how far back every head looks, for duo_attention.`,
		Example: `  kvnotes measure stats --model smollm2 --out smollm2-stats article.txt
  kvnotes bench --model smollm2 --trained expected_attention_stats=smollm2-stats --press expected_attention_stats:0.5`,
		Args:      cobra.MinimumNArgs(2),
		ValidArgs: []string{"stats", "duo"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != "stats" && args[0] != "duo" {
				return fmt.Errorf("there is nothing called %q to measure: it is stats or duo", args[0])
			}
			if length < 1 || skip < 0 || sinks < 0 || recent < 0 {
				return fmt.Errorf("--length %d --skip %d --sinks %d --recent %d: at least 1, 0, 0 and 0 are wanted", length, skip, sinks, recent)
			}
			var texts []string
			for _, file := range args[1:] {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				runes := []rune(string(text))
				texts = append(texts, string(runes[:min(len(runes), length)]))
			}
			m, err := openModel(model, backend, held)
			if err != nil {
				return err
			}
			defer m.Close()
			if err := measure(cmd, m, args[0], out, texts, skip, sinks, recent); err != nil {
				return err
			}
			cmd.Printf("%s: %s of %s over %d texts\n", out, args[0], m.Name, len(texts))
			return nil
		},
	}
	c.Flags().StringVar(&model, "model", "needle", "model name, Hugging Face folder or GGUF file")
	c.Flags().StringVar(&backend, "backend", "cpu", "device to run on: cpu, cuda, or auto for the GPU where there is one")
	weightsFlag(c, &held)
	c.Flags().StringVar(&out, "out", "", "folder to write")
	c.Flags().IntVar(&length, "length", 1000, "characters that are read of each text")
	c.Flags().IntVar(&skip, "skip", 4, "first tokens of each text that do not count (stats)")
	c.Flags().IntVar(&sinks, "sinks", 128, "first pairs of a streaming head (duo)")
	c.Flags().IntVar(&recent, "recent", 256, "recent pairs of a streaming head (duo)")
	_ = c.MarkFlagRequired("out")
	return c
}

func measure(cmd *cobra.Command, m *llm.LLM, what, out string, texts []string, skip, sinks, recent int) error {
	ctx := progress.With(cmd.Context(), terminalBar(cmd.ErrOrStderr()))
	if what == "stats" {
		stats, err := m.QueryStatistics(ctx, texts, skip)
		if err != nil {
			return err
		}
		return trained.SaveExpectedAttentionStats(out, stats)
	}
	pattern, err := m.DuoPattern(ctx, texts)
	if err != nil {
		return err
	}
	return trained.SaveDuoAttention(out, pattern, sinks, recent)
}
