package llm

import (
	"context"
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress"
)

// A Request is one run of the pipeline: a context, one or several questions about it, and a press for the context.
type Request struct {
	Context      string
	Question     string   // one question, or
	Questions    []string // several
	AnswerPrefix string   // the first words of every answer, given to the model
	Press        kvpress.Press
	MaxTokens    int // longest answer; 0 means 50
	MaxContext   int // tokens of the context that are read, the rest is cut off; 0 means the model's limit, and a longer context is an error
}

// A Result is what the pipeline found.
type Result struct {
	Answers   []string // one for each question
	Details   []Answer
	Truncated int // tokens of the context that were cut off
	Session   *Session
}

// Answer is the first answer.
func (r Result) Answer() string {
	if len(r.Answers) == 0 {
		return ""
	}
	return r.Answers[0]
}

// Run prefills the context once, presses it, and answers every question from the same compressed cache. Questions
// are not part of what is compressed; their positions follow the uncompressed context. To try several presses, call
// Prefill once and Press many times instead.
//
// Finch without a Window is asked first: the question stands at the end of the context, for Finch to look from, and every
// question has a prefill of its own. Session in the result is then that of the last one.
func (m *LLM) Run(ctx context.Context, r Request) (Result, error) {
	if r.Question != "" && len(r.Questions) > 0 {
		return Result{}, fmt.Errorf("pipeline: set Question or Questions, not both")
	}
	questions := r.Questions
	if len(questions) == 0 {
		questions = []string{r.Question}
	}
	before, after, err := m.Frame(r.Context)
	if err != nil {
		return Result{}, err
	}
	ids := m.Tokenizer.Encode(before)
	var result Result
	if r.MaxContext > 0 && len(ids) > r.MaxContext {
		result.Truncated = len(ids) - r.MaxContext
		ids = ids[:r.MaxContext]
	}
	finch, asksFirst := r.Press.(kvpress.Finch)
	asksFirst = asksFirst && finch.Window == 0
	for i, q := range questions {
		context, press := ids, r.Press
		if asksFirst {
			own := m.Tokenizer.Encode(q)
			context, finch.Window, q = slices.Concat(ids, own), len(own), ""
			press = finch
		}
		if i == 0 || asksFirst {
			if result.Session, err = m.pressed(ctx, context, after, press); err != nil {
				return Result{}, err
			}
		}
		a, err := result.Session.AskWith(ctx, Question{Text: q, AnswerPrefix: r.AnswerPrefix, MaxTokens: r.MaxTokens})
		if err != nil {
			return Result{}, err
		}
		result.Answers, result.Details = append(result.Answers, a.Text), append(result.Details, a)
	}
	return result, nil
}

// pressed prefills a context and presses it, if there is a press.
func (m *LLM) pressed(ctx context.Context, ids []int, suffix string, p kvpress.Press) (*Session, error) {
	s, err := m.PrefillTokens(ctx, ids, Full())
	if err != nil {
		return nil, err
	}
	s.suffix = suffix
	if p != nil {
		err = s.PressInPlace(p)
	}
	return s, err
}
