package eval

import "github.com/kvnotes/kvnotes/kvpress/eval/metrics"

// LongBench v2 (Bai et al., arXiv 2412.15204), asked without examples: four choices, one letter.
var longbench2 = fileSet{
	name:    "longbench-v2",
	tasks:   []string{"longbench-v2"},
	columns: "context, question, choice_A to choice_D, answer, difficulty, length",
	samples: func(r *row, task string) []Sample {
		p := prompts[task][task]
		s := Sample{
			Context: fill(p.Context, "{context}", r.text("context")),
			Question: fill(p.Question, "{question}", r.text("question"), "{A}", r.text("choice_A"), "{B}", r.text("choice_B"),
				"{C}", r.text("choice_C"), "{D}", r.text("choice_D")),
			Answers:   []string{r.text("answer")},
			MaxTokens: p.Tokens,
			Details:   map[string]string{},
		}
		longbench2Details(r, &s)
		return []Sample{s}
	},
	details: longbench2Details,
}

func longbench2Details(r *row, s *Sample) {
	s.Details["difficulty"], s.Details["length"] = r.text("difficulty"), r.text("length")
}

var longbench2Benchmark = Benchmark{
	Name:    longbench2.name,
	About:   "LongBench v2, four choices, also by difficulty and length; from its file",
	Samples: longbench2.read,
	Measure: func(s Sample, answer string) []Measure {
		right := metrics.CorrectAnswer(answer, s.Answers[0])
		return []Measure{{"accuracy", right, 1}, {"accuracy " + s.Details["difficulty"], right, 1}, {"accuracy " + s.Details["length"], right, 1}}
	},
}
