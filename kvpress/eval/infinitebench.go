package eval

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/eval/metrics"
)

// InfiniteBench (Zhang et al., arXiv 2402.13718): twelve tasks of about 100,000 tokens, one score from 0 to 1 each.
var infinitebench = fileSet{
	name: "infinitebench",
	tasks: []string{
		"passkey", "kv_retrieval", "number_string", "longdialogue_qa_eng", "longbook_qa_eng", "longbook_choice_eng",
		"code_run", "code_debug", "math_find", "math_calc", "longbook_sum_eng", "longbook_qa_chn",
	},
	columns: "context, input, answer, options",
	samples: infinitebenchSamples,
	details: func(r *row, s *Sample) {
		if len(s.Answers) == 0 {
			r.fail("answer", "it is empty")
		}
		// The data set keeps the letter of the function alone; the question lists the names.
		if _, options, ok := strings.Cut(s.Question, "\nOptions:\n"); ok && len(s.Answers) == 1 {
			for line := range strings.SplitSeq(options, "\n") {
				if name, ok := strings.CutPrefix(line, s.Answers[0]+". "); ok {
					s.Details["function"] = name
				}
			}
		}
	},
}

// what math_find and code_run ask for, in their questions.
var (
	wantedNumber = regexp.MustCompile(`The .+ of`)
	calledOnce   = regexp.MustCompile(`func_[0-9]+\(-?[0-9]+\)`)
)

func infinitebenchSamples(r *row, task string) []Sample {
	p := prompts["infinitebench"][task]
	input, context := r.text("input"), r.text("context")
	s := Sample{Question: input, Prefix: p.Prefix, Answers: r.texts("answer"), MaxTokens: p.Tokens + generous, Details: map[string]string{}}
	if len(s.Answers) == 0 {
		r.fail("answer", "it is empty")
		return nil
	}
	slots := []string{"{context}", context}
	switch task {
	case "math_find":
		what := wantedNumber.FindString(input)
		if what == "" {
			r.fail("input", "it does not say which number is wanted (The ... of)")
		}
		slots = append(slots, "{prefix}", "What is "+strings.ToLower(strings.TrimSuffix(what, " of"))+" in the following list?", "{input}", input)
	case "code_run":
		function, _, _ := strings.Cut(calledOnce.FindString(input), "(")
		if function == "" {
			r.fail("input", "it does not call a function (func_1(2))")
		}
		slots = append(slots, "{func}", function)
	case "kv_retrieval":
		s.Question = strings.ReplaceAll(input, "The value associated with the specified key is:", "")
	case "longbook_choice_eng", "code_debug":
		options := r.texts("options")
		at := slices.Index(options, s.Answers[0])
		if len(options) != 4 || at < 0 {
			r.fail("options", "there are not four with the answer among them")
			return nil
		}
		s.Question += fill(p.Question, "{OPTION_A}", options[0], "{OPTION_B}", options[1], "{OPTION_C}", options[2], "{OPTION_D}", options[3])
		s.Details["function"] = s.Answers[0]
		s.Answers = []string{"ABCD"[at : at+1]}
	}
	s.Context = fill(p.Context, slots...)
	if task == "math_find" {
		s.Context = strings.ReplaceAll(s.Context, "You should answer with only one number, no other words. The largest number of the list is:", "")
	}
	return []Sample{s}
}

var infinitebenchBenchmark = Benchmark{
	Name:    infinitebench.name,
	About:   "InfiniteBench's twelve tasks, one score from 0 to 1 each; from its files",
	Samples: infinitebench.read,
	Measure: func(s Sample, answer string) []Measure {
		return []Measure{{"score", infinitebenchScore(s, answer), 1}}
	},
}

func infinitebenchScore(s Sample, answer string) float64 {
	label := s.Answers[0]
	best := func(metric func(answer, reference string) float64) (most float64) {
		for _, ref := range s.Answers {
			most = max(most, metric(answer, ref))
		}
		return most
	}
	switch s.Task {
	case "kv_retrieval":
		return metrics.KVRetrieval(answer, label)
	case "longdialogue_qa_eng":
		return metrics.Dialogue(answer, s.Answers)
	case "longbook_qa_eng":
		return best(metrics.QAF1)
	case "longbook_qa_chn":
		return best(metrics.CharacterF1)
	case "longbook_choice_eng":
		return metrics.LongbookChoice(answer, s.Answers)
	case "longbook_sum_eng":
		return metrics.RougeLSum(answer, label)
	case "code_run":
		return metrics.CodeRun(answer, label)
	case "code_debug":
		return metrics.CodeDebug(answer, s.Details["function"], label)
	case "math_find":
		return metrics.MathFind(answer, label)
	case "math_calc":
		return metrics.MathCalc(answer, s.Answers)
	}
	return metrics.FirstNumber(answer, label) // passkey, number_string
}
