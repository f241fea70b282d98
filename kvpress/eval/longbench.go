package eval

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/eval/metrics"
)

// LongBench (Bai et al., arXiv 2308.14508): the sixteen English tasks that kvpress runs. Its five Chinese ones need the
// dictionary of jieba and are not here, as they are not there.
var longbench = fileSet{
	name: "longbench",
	tasks: []string{
		"narrativeqa", "qasper", "multifieldqa_en", "hotpotqa", "2wikimqa", "musique", "gov_report", "qmsum", "multi_news",
		"trec", "triviaqa", "samsum", "passage_count", "passage_retrieval_en", "lcc", "repobench-p",
	},
	columns: "context, input, answers, and dataset, length, all_classes where they are needed",
	samples: longbenchSamples,
	details: longbenchDetails,
}

// LongBench-E: thirteen of the tasks, with contexts of all lengths evenly.
var longbenchE = fileSet{
	name:    "longbench-e",
	tasks:   slices.DeleteFunc(slices.Clone(longbench.tasks), func(t string) bool { return slices.Contains([]string{"narrativeqa", "musique", "qmsum"}, t) }),
	columns: longbench.columns,
	samples: longbenchSamples,
	details: func(r *row, s *Sample) {
		longbenchDetails(r, s)
		s.Details["length"] = strconv.Itoa(r.count("length"))
	},
}

func longbenchSamples(r *row, task string) []Sample {
	p := prompts["longbench"][task]
	input := r.text("input")
	if slices.Contains([]string{"trec", "triviaqa", "samsum"}, task) { // their examples end where the answer begins
		input = strings.TrimSuffix(input, p.Prefix)
	}
	s := Sample{
		Context:   fill(p.Context, "{context}", r.text("context")),
		Question:  fill(p.Question, "{input}", input),
		Prefix:    p.Prefix,
		Answers:   r.texts("answers"),
		MaxTokens: p.Tokens + generous,
		Details:   map[string]string{},
	}
	longbenchDetails(r, &s)
	return []Sample{s}
}

func longbenchDetails(r *row, s *Sample) {
	if r.has("all_classes") {
		s.Details["classes"] = strings.Join(r.texts("all_classes"), "\n")
	}
	if r.has("length") {
		s.Details["length"] = strconv.Itoa(r.count("length"))
	}
}

var longbenchBenchmark = Benchmark{
	Name:    longbench.name,
	About:   "LongBench's sixteen English tasks, one score from 0 to 1 each; from its files",
	Samples: longbench.read,
	Measure: func(s Sample, answer string) []Measure { return longbenchScore(s, answer, false) },
}

var longbenchEBenchmark = Benchmark{
	Name:    longbenchE.name,
	About:   "LongBench-E's thirteen tasks, by length of the context (words); from its files",
	Samples: longbenchE.read,
	Measure: func(s Sample, answer string) []Measure {
		all := longbenchScore(s, answer, true)
		bucket := "8k+"
		switch n, _ := strconv.Atoi(s.Details["length"]); {
		case n < 4000:
			bucket = "0-4k"
		case n < 8000:
			bucket = "4-8k"
		}
		return append(all, Measure{Metric: "score " + bucket, Got: all[0].Got, Of: 1})
	},
}

func longbenchScore(s Sample, answer string, e bool) []Measure {
	classes := strings.Split(s.Details["classes"], "\n")
	all := []Measure{{Metric: "score", Got: metrics.LongBench(s.Task, answer, s.Answers, classes, e), Of: 1}}
	if s.Task == "trec" {
		all = append(all, Measure{Metric: "score of the original", Got: metrics.LongBenchOriginal(s.Task, answer, s.Answers, classes, e), Of: 1})
	}
	return all
}
