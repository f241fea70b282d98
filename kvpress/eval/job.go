package eval

import (
	"context"
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

// run does a job and hands over the records of one press after the other. Only a stop of the whole run is an error:
// other failures are part of the records.
func (r *runner) run(ctx context.Context, j job, hand func([]Record)) error {
	if j.done == len(j.numbers)*len(j.samples) {
		return nil
	}
	s := &sitting{runner: r, job: j}
	if err := s.read(ctx); err != nil {
		return err
	}
	if s.whole != nil {
		defer s.whole.Close()
	}
	for at, p := range j.numbers {
		there := min(len(j.samples), j.done-at*len(j.samples)) // records of this press
		if there == len(j.samples) {
			continue
		}
		// All questions are asked again even if some records are there: answers that are made together depend on each
		// other in their last bits.
		records := s.press(ctx, p)
		if err := ctx.Err(); err != nil {
			return err
		}
		hand(records[max(0, there):])
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

// press asks all questions of the context, pressed, and measures the answers. Press 0 is the whole cache.
func (s *sitting) press(ctx context.Context, number int) []Record {
	records := make([]Record, len(s.samples))
	for k, sample := range s.samples {
		r := s.record
		r.Number = s.first + number*len(s.samples) + k
		r.Task, r.Sample, r.Press = sample.Task, sample.ID, s.names[number]
		r.Prompt = hash(sample.Context, s.question(sample).Text, sample.Prefix)
		records[k] = r
	}
	fail := func(err error) []Record {
		for k := range records {
			records[k].Error = err.Error()
		}
		return records
	}
	if s.unread != nil {
		return fail(s.unread)
	}
	pressed := s.whole
	if p := s.presses[number]; p != nil {
		var err error
		if pressed, err = s.whole.PressContext(ctx, s.settled(p)); err != nil {
			return fail(err)
		}
		defer pressed.Close()
	}
	start := time.Now()
	answers, errs := s.ask(ctx, pressed)
	if ctx.Err() != nil {
		return nil // nobody takes them any more
	}
	each := time.Since(start).Seconds() / float64(len(answers))
	kept, bytes := pairs(pressed), pressed.Bytes().KV
	ratio := s.ratio(number, kept)
	for k := range records {
		r := &records[k]
		r.Ratio, r.Kept, r.KVBytes, r.Seconds.Press, r.Seconds.Answer = ratio, kept, bytes, pressed.PressSeconds(), each
		if errs[k] != nil {
			r.Error = errs[k].Error()
			continue
		}
		r.Answer = answers[k].Text
		r.Tokens.Question, r.Tokens.Answer = len(answers[k].Asked), len(answers[k].Tokens)
		r.Measures = s.Benchmark.Measure(s.samples[k], r.Answer)
	}
	if s.Closeness {
		s.compare(ctx, pressed, number, answers, records)
	}
	return records
}

// question is what is asked: in a sweep that knows the questions, they are in the context already.
func (s *sitting) question(sample Sample) llm.Question {
	q := llm.Question{Text: sample.Question, AnswerPrefix: sample.Prefix, MaxTokens: sample.MaxTokens}
	if s.QuestionAware {
		q.Text = ""
	}
	return q
}

// settled tells Finch how long the question is that it looks from.
func (s *sitting) settled(p kvpress.Press) kvpress.Press {
	if f, ok := p.(kvpress.Finch); ok && f.Window == 0 && s.QuestionAware {
		f.Window = len(s.model.Tokenizer.Encode(s.samples[0].Question))
		return f
	}
	return p
}

// ask asks all questions side by side, or, when one of them cannot be answered, one after the other to find out which.
func (s *sitting) ask(ctx context.Context, pressed *llm.Session) ([]llm.Answer, []error) {
	questions, errs := make([]llm.Question, len(s.samples)), make([]error, len(s.samples))
	for k, sample := range s.samples {
		questions[k] = s.question(sample)
	}
	answers, err := pressed.AskAll(ctx, questions)
	if err == nil || ctx.Err() != nil {
		return answers, errs
	}
	answers = make([]llm.Answer, len(questions))
	for k, q := range questions {
		answers[k], errs[k] = pressed.AskWith(ctx, q)
	}
	return answers, errs
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

// compare adds the closeness to the whole cache to the records.
func (s *sitting) compare(ctx context.Context, pressed *llm.Session, number int, answers []llm.Answer, records []Record) {
	if s.references == nil {
		s.refer(ctx, number, answers)
	}
	for k := range records {
		if records[k].Error != "" {
			continue
		}
		err := s.doubts[k]
		if err == nil {
			var c Closeness
			if c, err = s.references[k].Compare(ctx, pressed); err == nil {
				records[k].Measures = append(records[k].Measures, c.measures()...)
				continue
			}
		}
		records[k].Error = err.Error()
	}
}

// refer finds what the whole cache makes of the questions; its answers may be there already.
func (s *sitting) refer(ctx context.Context, number int, answers []llm.Answer) {
	s.references, s.doubts = make([]*Reference, len(s.samples)), make([]error, len(s.samples))
	if number != 0 {
		answers, s.doubts = s.ask(ctx, s.whole)
	}
	for k := range s.references {
		if s.doubts[k] == nil && len(answers[k].Tokens) > 0 {
			s.references[k], s.doubts[k] = referTo(ctx, s.whole, answers[k])
		}
	}
}
