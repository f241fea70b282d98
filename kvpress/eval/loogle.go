package eval

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/eval/metrics"
)

// LooGLE (Li et al., arXiv 2311.04939). Clozes count blanks, the other tasks are compared by BLEU, the recall of ROUGE
// and METEOR; BERTScore, which needs a model, is not here.
var loogle = fileSet{
	name:    "loogle",
	tasks:   []string{"shortdep_qa", "longdep_qa", "shortdep_cloze", "longdep_summarization"},
	columns: "input, and qa_pairs or output",
	samples: func(r *row, task string) []Sample {
		p := prompts["loogle"][task]
		text := fill(p.Context, "{context}", r.text("input"))
		one := func(question, answer string) Sample {
			return Sample{
				Task:      task,
				Context:   text,
				Question:  fill(p.Question, "{input}", question),
				Prefix:    p.Prefix,
				Answers:   []string{answer},
				MaxTokens: p.Tokens,
			}
		}
		if task == "longdep_summarization" {
			return []Sample{one("", r.text("output"))}
		}
		source := r.text("qa_pairs")
		if source == "none" { // as the data set says that there are no questions; kvpress asks an empty one
			return nil
		}
		pairs, err := metrics.Dicts(source)
		if r.err == nil && err != nil {
			r.fail("qa_pairs", "it is not a list of questions and answers as Python writes it: "+err.Error())
		}
		var all []Sample
		for i, pair := range pairs {
			question, isText := pair[`"Q"`].Text()
			answer, answerIsText := pair[`"A"`].Text()
			if !answerIsText { // a cloze: the dictionary of its blanks
				answer = string(pair[`"A"`])
			}
			if !isText || answer == "" {
				r.fail("qa_pairs", fmt.Sprintf("number %d has no question Q with an answer A", i+1))
			}
			s := one(question, answer)
			checkBlanks(r, "qa_pairs", s)
			all = append(all, s)
		}
		return all
	},
	details: func(r *row, s *Sample) {
		if len(s.Answers) != 1 {
			r.fail("answer", "it is not one text")
			return
		}
		checkBlanks(r, "answer", *s)
	},
}

// checkBlanks sees to it that a cloze can be scored.
func checkBlanks(r *row, column string, s Sample) {
	if _, err := metrics.Dict(s.Answers[0]); err != nil && s.Task == "shortdep_cloze" {
		r.fail(column, "the answer of a cloze is not a dictionary of its blanks: "+err.Error())
	}
}

var loogleBenchmark = Benchmark{
	Name:    loogle.name,
	About:   "LooGLE's four tasks, BLEU, recall of ROUGE, METEOR, blanks filled in; from its files",
	Samples: loogle.read,
	Measure: func(s Sample, answer string) []Measure {
		right := s.Answers[0]
		if s.Task == "shortdep_cloze" {
			mended, err := metrics.ClozeScore(answer, right)
			if err != nil { // reading the file refused it
				return nil
			}
			original, _ := metrics.ClozeOriginal(answer, right)
			return []Measure{
				{"exact_match", float64(mended.Exact), float64(mended.ExactOf)},
				{"partial_match", float64(mended.Partial), float64(mended.PartialOf)},
				{"exact_match of the original", float64(original.Exact), float64(original.ExactOf)},
				{"partial_match of the original", float64(original.Partial), float64(original.PartialOf)},
			}
		}
		rouge := metrics.RougeScores(answer, right)
		return []Measure{
			{"rouge-l", rouge.L.Recall, 1},
			{"rouge-1", rouge.One.Recall, 1},
			{"rouge-2", rouge.Two.Recall, 1},
			{"bleu1", metrics.BLEU(answer, right, 1), 1},
			{"bleu4", metrics.BLEU(answer, right, 4), 1},
			{"meteor", metrics.METEOR(answer, right), 1},
		}
	},
}
