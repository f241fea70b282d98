package eval

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A sitting is a job at work: one context that is read once.
type sitting struct {
	*runner
	job
	whole      *llm.Session // nil when the context could not be read
	unread     error        // why
	record     Record       // what the records of the context have in common
	references []*Reference // of each sample, where closeness is measured
	doubts     []error      // why a sample has none
}

// run does a job and hands over the records of a few presses after the other. Only a stop of the whole run is an error:
// other failures are part of the records.
func (r *runner) run(ctx context.Context, j job, hand func([]Record)) error {
	n := len(j.samples)
	if j.done == len(j.numbers)*n {
		return nil
	}
	s := &sitting{runner: r, job: j}
	if err := s.read(ctx); err != nil {
		return err
	}
	if s.whole != nil {
		defer s.whole.Close()
	}
	for from := 0; from < len(j.numbers); from += j.together {
		some := j.numbers[from:min(len(j.numbers), from+j.together)]
		there := max(0, j.done-from*n) // records of these presses and of later ones
		if there >= len(some)*n {
			continue
		}
		// All questions are asked again even if some records are there: answers that are made together depend on each
		// other in their last bits.
		records := s.press(ctx, some)
		if err := ctx.Err(); err != nil {
			return err
		}
		hand(records[there:])
	}
	return nil
}

// read prefills the context, and finds what the whole cache makes of the questions if that is needed.
func (s *sitting) read(ctx context.Context) error {
	first := s.samples[0]
	s.record = Record{
		Benchmark: s.Benchmark.Name, QuestionAware: s.QuestionAware, Context: hash(first.Context), Template: s.header.Template,
		Model: s.model.Name, Backend: s.model.Backend(), Versions: s.versions,
	}
	s.whole, s.unread = s.model.Prefill(ctx, first.Context, s.runner.record)
	if err := ctx.Err(); err != nil {
		if s.whole != nil {
			s.whole.Close()
		}
		return err
	}
	if s.unread != nil {
		s.whole = nil
		return nil
	}
	s.record.Tokens.Context, s.record.Seconds.Prefill = s.whole.Len(), s.whole.PrefillSeconds()
	return nil
}

// press presses the context in several ways, asks all questions of each copy, all of them side by side, and measures the
// answers. Press 0 is the whole cache.
func (s *sitting) press(ctx context.Context, numbers []int) []Record {
	var records []Record
	var sessions []*llm.Session
	var questions []llm.Question
	var asked []int // the record of each question
	for _, number := range numbers {
		pressed, err := s.copy(ctx, number)
		if pressed != nil && pressed != s.whole {
			defer pressed.Close()
		}
		for _, r := range s.blank(number) {
			if err != nil {
				r.Error = err.Error()
				records = append(records, r)
				continue
			}
			r.Kept, r.KVBytes, r.Seconds.Press = pairs(pressed), pressed.Bytes().KV, pressed.PressSeconds()
			r.Ratio = s.ratio(number, r.Kept)
			asked, sessions = append(asked, len(records)), append(sessions, pressed)
			questions = append(questions, s.question(s.samples[len(records)%len(s.samples)]))
			records = append(records, r)
		}
	}
	start := time.Now()
	answers, errs := s.model.AskEach(ctx, sessions, questions)
	each := time.Since(start).Seconds() / float64(max(1, len(answers)))
	for i, at := range asked {
		sample, r, a := at%len(s.samples), &records[at], answers[i]
		r.Seconds.Answer = each
		if errs[i] != nil {
			r.Error = errs[i].Error()
			continue
		}
		r.Answer, r.Tokens.Question, r.Tokens.Answer = a.Text, len(a.Asked), len(a.Tokens)
		r.Measures = s.Benchmark.Measure(s.samples[sample], r.Answer)
		if s.Closeness {
			s.compare(ctx, sample, sessions[i], r)
		}
	}
	return records
}

// blank are the records of one press, without anything that it made.
func (s *sitting) blank(number int) []Record {
	records := make([]Record, len(s.samples))
	for k, sample := range s.samples {
		r := s.record
		r.Number = s.first + number*len(s.samples) + k
		r.Task, r.Sample, r.Press = sample.Task, sample.ID, s.names[number]
		r.Prompt = hash(sample.Context, s.question(sample).Text, sample.Prefix)
		records[k] = r
	}
	return records
}

// copy is the context under a press.
func (s *sitting) copy(ctx context.Context, number int) (*llm.Session, error) {
	p := s.presses[number]
	if s.unread != nil || p == nil {
		return s.whole, s.unread
	}
	if f, ok := p.(kvpress.Finch); ok && f.Window == 0 && s.QuestionAware { // it looks from the question
		f.Window = len(s.model.Tokenizer.Encode(s.samples[0].Question))
		p = f
	}
	return s.whole.PressContext(ctx, p)
}

// question is what is asked: in a sweep that knows the questions, they are in the context already.
func (s *sitting) question(sample Sample) llm.Question {
	q := llm.Question{Text: sample.Question, AnswerPrefix: sample.Prefix, MaxTokens: sample.MaxTokens}
	if s.QuestionAware {
		q.Text = ""
	}
	return q
}

// pairs is the number of pairs that a session holds.
func pairs(s *llm.Session) int {
	n := 0
	for _, heads := range s.Lens() {
		for _, held := range heads {
			n += held
		}
	}
	return n
}

// ratio is the share that a press removes, as asked if its budget says so, else as found.
func (s *sitting) ratio(number, kept int) float64 {
	if number == 0 {
		return 0
	}
	if b, err := kvpress.BudgetOf(s.presses[number]); err == nil && b.PerHead == 0 && b.Total == 0 {
		return b.Removed
	}
	c := s.model.Config
	return 1 - float64(kept)/float64(s.whole.Len()*c.Layers*c.KVHeads)
}

// compare adds the closeness to the whole cache to the record of an answer.
func (s *sitting) compare(ctx context.Context, sample int, pressed *llm.Session, r *Record) {
	if s.references == nil {
		s.refer(ctx)
	}
	err := s.doubts[sample]
	if err == nil {
		var c Closeness
		if c, err = s.references[sample].Compare(ctx, pressed); err == nil && !math.IsInf(c.KL+c.LogLikelihood, 0) && !math.IsNaN(c.KL+c.LogLikelihood) {
			r.Measures = append(r.Measures, c.measures()...)
			return
		} else if err == nil {
			err = fmt.Errorf("closeness: %v: the model gives a token no chance at all", c)
		}
	}
	r.Error = err.Error()
}

// refer finds what the whole cache makes of the questions, always in the same way, whichever presses follow.
func (s *sitting) refer(ctx context.Context) {
	s.references, s.doubts = make([]*Reference, len(s.samples)), make([]error, len(s.samples))
	sessions, questions := make([]*llm.Session, len(s.samples)), make([]llm.Question, len(s.samples))
	for k, sample := range s.samples {
		sessions[k], questions[k] = s.whole, s.question(sample)
	}
	answers, errs := s.model.AskEach(ctx, sessions, questions)
	for k := range s.references {
		if s.doubts[k] = errs[k]; errs[k] == nil {
			s.references[k], s.doubts[k] = referTo(ctx, s.whole, answers[k])
		}
	}
}
