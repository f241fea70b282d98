package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/eval"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/progress"
	"github.com/kvnotes/kvnotes/viz"
)

// evaluation is what `kvnotes eval` is told.
type evaluation struct {
	models         []string
	backend, bench string
	weights        string
	options        eval.Options
	presses        string
	ratios         []string
	aware, close   bool
	contexts       int
	out, shard     string
	chart          string
	asJSON         bool
	emit           emission
}

func evalCommand() *cobra.Command {
	var e evaluation
	var names []string
	for _, b := range eval.Benchmarks() {
		names = append(names, fmt.Sprintf("  %-20s %s", b.Name, b.About))
	}
	c := &cobra.Command{
		Use:   "eval",
		Short: "measure what compression costs in answers, press by press",
		Long: `eval asks the questions of a benchmark: of the whole cache, and of a pressed copy for every press and ratio. Each
context is read once. With --out the answers are kept in a folder, one a line, as they are made; after a kill, the same
command goes on where it stopped. Parts of a sweep (--shard) may run on many machines that share the folder.

Benchmarks:
` + strings.Join(names, "\n"),
		Example: `  kvnotes eval --samples 200 --press "random,snapkv(window=16),adakv(snapkv(window=16))" --ratio 0.25,0.5,0.75 --chart sweep.html
  kvnotes eval --model smollm2 --bench passkey --tokens 2048 --press snapkv,knorm --ratio 0.5 --out results
  kvnotes eval --press all --ratio 0.5,0.75 --out results --emit slurm --shards 16 > sweep.sh`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.emit.kind != "" {
				return e.emit.write(cmd, e)
			}
			return e.run(cmd)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&e.models, "model", []string{"needle"}, "model name or Hugging Face folder; several, with commas, one after the other")
	f.StringVar(&e.backend, "backend", "cpu", "device to run on: cpu, cuda, or auto for the GPU where there is one")
	f.StringVar(&e.presses, "press", "random,streaming_llm,snapkv(window=16),expected_attention", "presses to compare; those without a budget get every ratio; all for every method")
	f.StringSliceVar(&e.ratios, "ratio", []string{"0.5"}, "shares of pairs to remove, or other budgets such as 512tok")
	f.BoolVar(&e.aware, "question-aware", false, "put the question at the end of what is compressed")
	f.BoolVar(&e.close, "closeness", false, "measure without an answer key too: likelihood and KL over the whole cache's answer, same tokens, attention lost")
	f.IntVar(&e.contexts, "contexts", 0, "contexts to work on at the same time (default one, or one for each core with a small model)")
	f.StringVar(&e.out, "out", "", "folder for the answers; without it they are not kept")
	f.StringVar(&e.shard, "shard", "", "part of the sweep to run, such as 3/8; parts run from 0/8 to 7/8")
	f.StringVar(&e.chart, "chart", "", "file for the chart of the sweep: .html, .svg or .png")
	f.BoolVar(&e.asJSON, "json", false, "print one JSON list instead of a table")
	weightsFlag(c, &e.weights)
	e.sampleFlags(c)
	e.emit.flags(f)
	c.AddCommand(evalMergeCommand(), evalDiffCommand(), evalSamplesCommand(), evalEfficiencyCommand())
	return c
}

// sampleFlags are the flags that say what is asked.
func (e *evaluation) sampleFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&e.bench, "bench", "needle", "benchmark to ask")
	f.StringSliceVar(&e.options.Tasks, "task", nil, "tasks of the benchmark; all when it is not given")
	f.IntVar(&e.options.Tokens, "tokens", 0, "length of a context that is generated, in tokens of the model (default 1000)")
	f.IntVar(&e.options.Samples, "samples", 0, "questions of each task (default 10, or all of a file)")
	f.IntVar(&e.options.Facts, "facts", 0, "facts hidden in a text of the needle world (default one for every four sentences)")
	f.Int64Var(&e.options.Seed, "seed", 0, "seed of the first generated text")
	f.StringArrayVar(&e.options.Files, "file", nil, "JSONL or parquet file in the layout of the benchmark's authors; may be repeated")
	f.StringVar(&e.options.Haystack, "haystack", "", "text file to hide things in, instead of a generated text")
}

// run runs the sweep, or its shard, on every model.
func (e evaluation) run(cmd *cobra.Command) error {
	parts, err := e.parts()
	if err != nil {
		return err
	}
	if e.chart != "" && len(e.models) > 1 {
		return errors.New("--chart draws the sweep of one model: name one, or merge and draw afterwards")
	}
	if err := checkChart(e.chart); err != nil {
		return err
	}
	benchmark, err := eval.Find(e.bench)
	if err != nil {
		return err
	}
	var reports []*eval.Report
	for _, p := range parts {
		report, err := e.runPart(cmd, benchmark, p)
		if err != nil {
			return err
		}
		reports = append(reports, report)
	}
	return printReports(cmd, reports, e.asJSON, e.chart)
}

// checkChart refuses a file that no chart can become before hours of work, not after.
func checkChart(file string) error {
	if file == "" {
		return nil
	}
	if ext := strings.ToLower(filepath.Ext(file)); !slices.Contains([]string{".html", ".svg", ".png"}, ext) {
		return fmt.Errorf("--chart %s: charts are .html, .svg or .png", file)
	}
	if _, err := os.Stat(filepath.Dir(file)); err != nil {
		return fmt.Errorf("--chart %s: %w", file, err)
	}
	return nil
}

// A part is what one process does with one model.
type part struct {
	model         string
	shard, shards int
}

// parts are what this process has to do. Every shard of a sweep over several models loads as few of them as can be:
// where there are more shards than models, each model gets a row of them.
func (e evaluation) parts() ([]part, error) {
	var all []part
	if e.shard == "" {
		for _, m := range e.models {
			all = append(all, part{m, 0, 1})
		}
		return all, nil
	}
	first, second, ok := strings.Cut(e.shard, "/")
	i, err1 := strconv.Atoi(first)
	n, err2 := strconv.Atoi(second)
	if !ok || err1 != nil || err2 != nil || i < 0 || i >= n {
		return nil, fmt.Errorf("--shard %s: write i/n with i from 0 to n-1, such as 0/8", e.shard)
	}
	if e.out == "" {
		return nil, errors.New("--shard needs --out, the folder that all shards share")
	}
	for k, m := range e.models {
		from, to := k*n/len(e.models), (k+1)*n/len(e.models)
		switch {
		case n < len(e.models) && k%n == i:
			all = append(all, part{m, 0, 1})
		case n >= len(e.models) && i >= from && i < to:
			all = append(all, part{m, i - from, to - from})
		}
	}
	return all, nil
}

// file is where the answers of a part go.
func (e evaluation) file(p part) string {
	if e.out == "" {
		return ""
	}
	plain := func(r rune) rune {
		if r == '-' || r == '.' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}
	name := strings.Map(plain, strings.Trim(p.model, "./")) + "-" + e.bench
	if p.shards > 1 {
		name += fmt.Sprintf(".%d-of-%d", p.shard, p.shards)
	}
	return filepath.Join(e.out, name+".jsonl")
}

func (e evaluation) runPart(cmd *cobra.Command, benchmark eval.Benchmark, p part) (*eval.Report, error) {
	m, err := openModel(p.model, e.backend, e.weights)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	presses, err := e.pressesFor(cmd.Context(), cmd.ErrOrStderr(), m)
	if err != nil {
		return nil, err
	}
	ctx := progress.With(cmd.Context(), terminalBar(cmd.ErrOrStderr()))
	file := e.file(p)
	report, err := eval.Run(ctx, m, eval.Sweep{
		Benchmark: benchmark, Options: e.options, Presses: presses, QuestionAware: e.aware, Closeness: e.close,
		File: file, Shard: p.shard, Shards: p.shards, Contexts: e.contexts,
	})
	if errors.Is(err, context.Canceled) && file != "" {
		cmd.PrintErrf("%s has %d answers: the same command goes on from there\n", file, len(report.Records))
	}
	return report, err
}

// pressesFor reads the presses for a model. All methods are those that work on it; the others are named.
func (e evaluation) pressesFor(ctx context.Context, warn io.Writer, m *llm.LLM) ([]kvpress.Press, error) {
	var budgets []kvpress.Budget
	for _, r := range e.ratios {
		b, err := kvpress.ParseBudget(r)
		if err != nil {
			return nil, err
		}
		budgets = append(budgets, b)
	}
	if e.presses != "all" {
		return kvpress.ParseSweep(e.presses, budgets...)
	}
	var all []kvpress.Press
	for _, method := range kvpress.Methods() {
		some, err := kvpress.ParseSweep(strings.TrimSuffix(method.Spelling(), ":0.5"), budgets...)
		if err == nil {
			_, err = m.Light(some...)
		}
		for i := 0; err == nil && i < len(some) && llm.RunsAgain(some[i]); i++ {
			err = tried(ctx, m, some[i])
		}
		if err != nil {
			fmt.Fprintf(warn, "not run: %s: %v\n", method.Name, err)
			continue
		}
		all = append(all, some...)
	}
	return all, nil
}

// tried presses a sentence, for a press that runs the model again says only then what it lacks.
func tried(ctx context.Context, m *llm.LLM, p kvpress.Press) error {
	s, err := m.Prefill(ctx, "The best friend of Anna is Ben, and the best friend of Ben is Clara.", llm.Full())
	if err != nil {
		return err
	}
	defer s.Close()
	pressed, err := s.PressContext(ctx, p)
	if err == nil {
		pressed.Close()
	}
	return err
}

// reported is a report as --json prints it.
type reported struct {
	Header         eval.Header  `json:"header"`
	Scores         []eval.Score `json:"scores"`
	Tasks          []eval.Score `json:"tasks"`
	Answers        int          `json:"answers"`
	Failed         int          `json:"failed"`
	PrefillSeconds float64      `json:"prefill_seconds"`
	SavedSeconds   float64      `json:"saved_seconds"`
}

// printReports prints reports and draws the first.
func printReports(cmd *cobra.Command, reports []*eval.Report, asJSON bool, chart string) error {
	list := []reported{}
	failed, answers := 0, 0
	for _, r := range reports {
		one := reported{Header: r.Header, Scores: r.Scores(), Answers: len(r.Records), Failed: r.Failed()}
		for _, task := range r.Tasks() {
			one.Tasks = append(one.Tasks, r.ScoresOf(task)...)
		}
		one.PrefillSeconds, one.SavedSeconds = r.PrefillSeconds()
		list = append(list, one)
		failed, answers = failed+one.Failed, answers+one.Answers
		if !asJSON {
			fmt.Fprintln(cmd.OutOrStdout(), r)
		}
	}
	if asJSON {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(list); err != nil {
			return err
		}
	}
	if chart != "" && len(reports) > 0 {
		if err := viz.Sweep(reports[0].Scores()).Save(chart); err != nil {
			return err
		}
	}
	if answers > 0 && failed == answers {
		return errors.New("every answer failed")
	}
	return nil
}
