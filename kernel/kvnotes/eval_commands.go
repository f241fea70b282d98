package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/eval"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

func evalMergeCommand() *cobra.Command {
	var asJSON bool
	var chart string
	c := &cobra.Command{
		Use:   "merge DIR",
		Short: "put the shards of a sweep together",
		Long: `merge reads the results in a folder that shards of a sweep have written, counts what is there twice once, and says
what is missing. The whole of each sweep goes to a file in DIR/merged.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkChart(chart); err != nil {
				return err
			}
			reports, err := eval.Merge(args[0])
			if err != nil {
				return err
			}
			if chart != "" && len(reports) > 1 {
				return errors.New("--chart draws one sweep: there are several in this folder")
			}
			var missing []error
			for _, r := range reports {
				if err := r.Missing(); err != nil {
					missing = append(missing, err)
				}
				e := evaluation{bench: r.Header.Benchmark, out: filepath.Join(args[0], "merged")}
				if err := r.Save(strings.TrimSuffix(e.file(part{model: r.Header.Model}), ".jsonl") + "-" + r.Header.Hash + ".jsonl"); err != nil {
					return err
				}
			}
			return errors.Join(append([]error{printReports(cmd, reports, asJSON, chart)}, missing...)...)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON list instead of a table")
	c.Flags().StringVar(&chart, "chart", "", "file for the chart of the sweep: .html, .svg or .png")
	return c
}

func evalSamplesCommand() *cobra.Command {
	var e evaluation
	var model string
	c := &cobra.Command{
		Use:   "samples",
		Short: "print the samples of a benchmark, a JSON object a line",
		Long:  "samples prints what a sweep with the same options asks: for other programs, and to look at.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			benchmark, err := eval.Find(e.bench)
			if err != nil {
				return err
			}
			m, err := openModel(model, e.backend, e.weights)
			if err != nil {
				return err
			}
			defer m.Close()
			samples, err := benchmark.Samples(cmd.Context(), m, e.options)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			for _, s := range samples {
				if err := enc.Encode(s); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&model, "model", "needle", "model name or Hugging Face folder, whose tokenizer measures lengths")
	c.Flags().StringVar(&e.backend, "backend", "cpu", "device to load the model on")
	weightsFlag(c, &e.weights)
	e.sampleFlags(c)
	return c
}

func evalDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff FILE FILE",
		Short: "compare two files of results in everything but times",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := eval.Load(args[0])
			if err != nil {
				return err
			}
			b, err := eval.Load(args[1])
			if err != nil {
				return err
			}
			if d := eval.Difference(a, b); d != "" {
				return fmt.Errorf("%s and %s differ: %s", args[0], args[1], d)
			}
			cmd.Printf("equal but for times: %d records\n", len(a.Records))
			return nil
		},
	}
}

func evalEfficiencyCommand() *cobra.Command {
	var model, backend, held, presses, budget string
	var e eval.Efficiency
	var asJSON bool
	c := &cobra.Command{
		Use:   "efficiency",
		Short: "time decoding and count memory, context by context and press by press",
		Long: `efficiency prefills contexts of filler text with every press at work, decodes after each, and prints how long a
token takes and what the keys and values take, at the end of the prefill and at most.`,
		Example: `  kvnotes eval efficiency --model smollm2 --contexts 1024,2048,4096 --budget 512tok --press snapkv,adasnapkv`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := kvpress.ParseBudget(budget)
			if err != nil {
				return err
			}
			if e.Presses, err = kvpress.ParseSweep(presses, b); err != nil {
				return err
			}
			m, err := openModel(model, backend, held)
			if err != nil {
				return err
			}
			defer m.Close()
			all, err := eval.MeasureEfficiency(progress.With(cmd.Context(), terminalBar(cmd.ErrOrStderr())), m, e)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), eval.EfficiencyTable(all))
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&model, "model", "needle", "model name or Hugging Face folder")
	f.StringVar(&backend, "backend", "cpu", "device to run on: cpu, cuda, or auto for the GPU where there is one")
	weightsFlag(c, &held)
	f.StringVar(&presses, "press", "snapkv,adasnapkv", "presses to measure beside no press")
	f.StringVar(&budget, "budget", "512tok", "of presses that name none: pairs per head on average, or a ratio")
	f.IntSliceVar(&e.Contexts, "contexts", []int{1024, 2048}, "lengths of context, in tokens")
	f.IntVar(&e.Tokens, "tokens", 100, "tokens to decode after each context")
	f.BoolVar(&asJSON, "json", false, "print one JSON list instead of a table")
	return c
}
