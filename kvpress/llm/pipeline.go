package llm

import (
	"context"
	"fmt"

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
func (m *LLM) Run(ctx context.Context, r Request) (Result, error) {
	if r.Question != "" && len(r.Questions) > 0 {
		return Result{}, fmt.Errorf("pipeline: set Question or Questions, not both")
	}
	questions := r.Questions
	if len(questions) == 0 {
		questions = []string{r.Question}
	}
	before, after, err := m.frame(r.Context)
	if err != nil {
		return Result{}, err
	}
	ids := m.Tokenizer.Encode(before)
	var result Result
	if r.MaxContext > 0 && len(ids) > r.MaxContext {
		result.Truncated = len(ids) - r.MaxContext
		ids = ids[:r.MaxContext]
	}
	s, err := m.PrefillTokens(ctx, ids, Full())
	if err != nil {
		return Result{}, err
	}
	s.suffix = after
	if r.Press != nil {
		if err := s.PressInPlace(r.Press); err != nil {
			return Result{}, err
		}
	}
	result.Session = s
	for _, q := range questions {
		a, err := s.AskWith(ctx, Question{Text: q, AnswerPrefix: r.AnswerPrefix, MaxTokens: r.MaxTokens})
		if err != nil {
			return Result{}, err
		}
		result.Answers, result.Details = append(result.Answers, a.Text), append(result.Details, a)
	}
	return result, nil
}
