package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/eval"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

func evalCommand() *cobra.Command {
	var model, backend, held, presses string
	var needles eval.Needles
	var asJSON bool
	c := &cobra.Command{
		Use:   "eval",
		Short: "count right answers about facts hidden in texts, press by press",
		Long: `eval makes texts with facts hidden in them, reads each once, presses it with every press that is named, and counts
the questions that are answered exactly. The needle model was trained for these texts.`,
		Example: `  kvnotes eval --texts 20 --press "random:0.5,snapkv(window=16):0.5,adakv(snapkv(window=16)):0.5"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := kvpress.ParseList(presses)
			if err != nil {
				return err
			}
			m, err := openModel(model, backend, held)
			if err != nil {
				return err
			}
			defer m.Close()
			scores, err := eval.Needle(progress.With(cmd.Context(), terminalBar(cmd.ErrOrStderr())), m, needles, list)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(scores)
			}
			return printScores(cmd.OutOrStdout(), scores)
		},
	}
	c.Flags().StringVar(&model, "model", "needle", "model name or Hugging Face folder")
	c.Flags().StringVar(&backend, "backend", "cpu", "device to run on: cpu, cuda, or auto for the GPU where there is one")
	weightsFlag(c, &held)
	c.Flags().StringVar(&presses, "press", "random:0.5,streaming_llm:0.5,snapkv(window=16):0.5,expected_attention:0.5", "presses to compare")
	c.Flags().IntVar(&needles.Texts, "texts", 10, "texts to make")
	c.Flags().IntVar(&needles.Sentences, "sentences", 110, "sentences of a text")
	c.Flags().IntVar(&needles.Questions, "questions", 6, "questions about each text")
	c.Flags().Int64Var(&needles.Seed, "seed", 0, "seed of the first text")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON list")
	return c
}

// printScores prints a line for each press.
func printScores(to io.Writer, scores []eval.Score) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "press\tright\tof\tKV MB\tpress ms\t")
	for _, s := range scores {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f\t\n", s.Press, s.Right, s.Of, float64(s.KVBytes)/1e6, s.PressMillis)
	}
	return w.Flush()
}
