package eval

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A fileSet is a benchmark whose questions come from files that the user has: in the layout of its authors, or in
// that of kvpress's data set (context, question, answer_prefix, answer or answers, task, max_new_tokens).
type fileSet struct {
	name    string
	tasks   []string // the file of a task, or its folder, has its name where no column says it
	columns string   // of the authors' layout, for errors
	// samples are the questions of a row in the authors' layout.
	samples func(r *row, task string) []Sample
	// details that a published row has besides.
	details func(r *row, s *Sample)
}

// read makes the samples of the files: of each task the first ones, as many as wanted.
func (f fileSet) read(ctx context.Context, _ *llm.LLM, o Options) ([]Sample, error) {
	tasks, err := o.wanted(f.tasks)
	if err != nil {
		return nil, err
	}
	if len(o.Files) == 0 {
		return nil, fmt.Errorf("%s reads its questions from files: name them, JSONL or parquet with %s", f.name, f.columns)
	}
	var samples []Sample
	count := map[string]int{}
	for _, path := range o.Files {
		err := eachRow(path, func(r *row) error {
			task := f.task(r)
			if r.err != nil || ctx.Err() != nil || !slices.Contains(tasks, task) || o.Samples > 0 && count[task] >= o.Samples {
				return ctx.Err()
			}
			for _, s := range f.of(r, task) {
				if count[task]++; o.Samples == 0 || count[task] <= o.Samples {
					s.ID, s.Task = fmt.Sprintf("%s-%d", task, count[task]), task
					samples = append(samples, s)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("%s: no question in %s", f.name, strings.Join(o.Files, ", "))
	}
	return samples, nil
}

// task is what the row asks: its column says it, or the name of the file or of a folder that it is in.
func (f fileSet) task(r *row) string {
	if len(f.tasks) == 1 {
		return f.tasks[0]
	}
	var names []string
	for _, column := range []string{"task", "dataset"} {
		if r.has(column) {
			names = append(names, r.text(column))
		}
	}
	path := strings.TrimSuffix(filepath.ToSlash(r.path), filepath.Ext(r.path))
	parts := strings.Split(path, "/")
	slices.Reverse(parts)
	for _, name := range append(names, parts...) {
		for _, name := range []string{name, strings.TrimSuffix(strings.TrimSuffix(name, "_e"), "-e")} {
			if slices.Contains(f.tasks, name) {
				return name
			}
		}
	}
	r.fail("task", "it does not say one of the tasks "+strings.Join(f.tasks, ", ")+"; without the column, name the file or its folder after the task")
	return ""
}

// of are the samples of a row.
func (f fileSet) of(r *row, task string) []Sample {
	if !r.has("max_new_tokens") {
		samples := f.samples(r, task)
		if r.err != nil {
			r.err = fmt.Errorf("%w; %s has %s", r.err, f.name, f.columns)
		}
		return samples
	}
	s := Sample{
		Task:      task,
		Context:   r.text("context"),
		Question:  r.text("question"),
		MaxTokens: r.count("max_new_tokens"),
		Details:   map[string]string{},
	}
	if r.has("answer_prefix") {
		s.Prefix = r.text("answer_prefix")
	}
	answers := "answer"
	if r.has("answers") {
		answers = "answers"
	}
	s.Answers = r.texts(answers)
	if f.details != nil {
		f.details(r, &s)
	}
	return []Sample{s}
}

// fill puts texts in place of {names}.
func fill(template string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(template)
}
