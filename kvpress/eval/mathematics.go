package eval

import "github.com/kvnotes/kvnotes/kvpress/eval/metrics"

// problemSet is a set of problems whose results stand in \boxed{}. The words after the problem are ours: kvpress's are
// in its data set, which is read as well.
func problemSet(name, column string) fileSet {
	return fileSet{
		name:    name,
		tasks:   []string{name},
		columns: column + ", answer",
		samples: func(r *row, _ string) []Sample {
			return []Sample{{
				Context:   r.text(column) + "\n",
				Question:  "Think step by step, and end with the result in \\boxed{}.\n",
				Answers:   []string{r.text("answer")},
				MaxTokens: 8192,
			}}
		},
	}
}

// problems is the benchmark of a set, with the number that kvpress gives the same answer.
func problems(set fileSet, about string, original func(answer, result string) float64) Benchmark {
	return Benchmark{
		Name:    set.name,
		About:   about + ", right where the last \\boxed{} is; from its file",
		Samples: set.read,
		Measure: func(s Sample, answer string) []Measure {
			right, answered := metrics.Boxed(answer, s.Answers[0])
			said := 0.0
			if answered {
				said = 1
			}
			return []Measure{{"accuracy", right, 1}, {"answered", said, 1}, {"accuracy of the original", original(answer, s.Answers[0]), 1}}
		},
	}
}

var (
	aime25Benchmark  = problems(problemSet("aime25", "question"), "thirty problems of AIME 2025", metrics.AIMEOriginal)
	math500Benchmark = problems(problemSet("math500", "problem"), "five hundred problems of MATH (Hendrycks et al., arXiv 2103.03874)", metrics.MATHOriginal)
)
