package eval

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/eval/metrics"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// RULER's thirteen tasks (Hsieh et al., arXiv 2404.06654), generated here by its rules and split into context, question
// and prefix of the answer as kvpress's data set is. The sentences around the hay are RULER's (NOTICE); words, prose
// and passages are our own, and draws are Go's, so that samples are of the same kind as RULER's, not the same.
//
// Other than RULER: every sample has its own order of documents and words (RULER shuffles with one seed, which puts
// what is asked for at one depth in all samples of a task); keys, variables and words never come twice; length is met
// to 2 % by filling up with part of a line or document, where RULER's steps are coarser; where a short text has no
// room for the worked example of vt and cwe it goes without, and cwe then repeats its words less.
var rulerBenchmark = Benchmark{
	Name: "ruler",
	About: "RULER's thirteen tasks; generated. Files: SQuAD or HotpotQA JSON for qa_1 and qa_2 (else generated passages), " +
		"or the published data set instead of all",
	Samples: rulerSamples,
	Measure: func(s Sample, answer string) []Measure {
		family, _, _ := strings.Cut(s.Task, "_")
		return []Measure{{Metric: "string_match", Got: metrics.StringMatch(answer, s.Answers, family == "qa"), Of: 1}}
	},
}

var rulerTasks = []string{
	"niah_single_1", "niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multikey_2", "niah_multikey_3",
	"niah_multivalue", "niah_multiquery", "vt", "cwe", "fwe", "qa_1", "qa_2",
}

// rulerSet is the published data set.
var rulerSet = fileSet{
	name:    "ruler",
	tasks:   rulerTasks,
	columns: "the columns of kvpress's data set: context, question, answer_prefix, answer, task, max_new_tokens",
	samples: func(r *row, _ string) []Sample {
		r.fail("max_new_tokens", "it is missing")
		return nil
	},
}

func rulerSamples(ctx context.Context, m *llm.LLM, o Options) ([]Sample, error) {
	if len(o.Files) > 0 && filepath.Ext(o.Files[0]) != ".json" {
		return rulerSet.read(ctx, m, o)
	}
	tasks, err := o.wanted(rulerTasks)
	if err != nil {
		return nil, err
	}
	hay, err := o.haystack()
	if err != nil {
		return nil, err
	}
	libraries, err := o.libraries()
	if err != nil {
		return nil, err
	}
	var samples []Sample
	for _, task := range tasks {
		var some []Sample
		switch {
		case strings.HasPrefix(task, "niah"):
			some, err = generate(ctx, m, o, task, needleTasks[task].draft(hay))
		case task == "vt":
			some, err = generate(ctx, m, o, task, chainDraft(m, true), chainDraft(m, false))
		case task == "cwe":
			some, err = generate(ctx, m, o, task, commonDrafts(o.tokens())...)
		case task == "fwe":
			some, err = generate(ctx, m, o, task, codedDraft(o.tokens()))
		default:
			some, err = libraries[task].samples(ctx, m, o, task)
		}
		if err != nil {
			return nil, fmt.Errorf("ruler: %w", err)
		}
		samples = append(samples, some...)
	}
	return samples, nil
}
