package llm

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// A Question is what a session is asked.
type Question struct {
	Text         string
	AnswerPrefix string // the answer's first words, given to the model and not part of the answer
	MaxTokens    int    // longest answer; 0 means 50
	Sampling     Sampling
	Stop         []string          // texts that end an answer; they are not part of it
	Stream       func(text string) // hears the answer while it is made, never a part of a letter; nil for nobody
}

// An Answer is what the model said.
type Answer struct {
	Text        string
	Tokens      []int
	Asked       []int     // tokens of the question, with what the chat template adds
	Gaps        []float32 // per token: best minus second-best logit; small gaps may flip by rounding
	Seconds     float64   // question and answer
	TokenMillis float64   // median time of a token after the first, in milliseconds

	KV           int64         // bytes of the pairs held at the end, those of the question and the answer included
	Compressions []Compression // what a press that acts in answers let go, in order
}

// Ask answers a question with at most maxTokens tokens, greedily. The session is afterwards as it was before.
func (s *Session) Ask(ctx context.Context, question string, maxTokens int) (Answer, error) {
	return s.AskWith(ctx, Question{Text: question, MaxTokens: maxTokens})
}

// AskWith is Ask with all options.
func (s *Session) AskWith(ctx context.Context, q Question) (Answer, error) {
	ids := s.model.Tokenizer.Encode(q.Text + s.suffix + q.AnswerPrefix)
	if q.MaxTokens == 0 {
		q.MaxTokens = 50
	}
	if err := q.Sampling.check(); err != nil {
		return Answer{}, err
	}
	hear := &speaker{stream: s.model.Tokenizer.Stream(true), stops: q.Stop, say: q.Stream}
	a, err := s.generate(ctx, ids, q.MaxTokens, s.model.Config.EOS, nil, q.Sampling.sampler(s.ids, ids), hear.hear)
	if err != nil {
		return a, err
	}
	hear.finish()
	a.Text = s.model.Tokenizer.Answer(a.Tokens)
	if at := firstStop(a.Text, q.Stop); at >= 0 {
		a.Text = a.Text[:at]
	}
	return a, nil
}

// AskTokens appends token numbers and continues them greedily with at most maxTokens tokens, stopping after one of
// the stop tokens (the first token never stops, as in the Python pipeline). Logits, if not nil, is called with the
// logits of each step before a token is chosen; it must not keep them. The answer has no Text.
func (s *Session) AskTokens(ctx context.Context, ids []int, maxTokens int, stop []int, logits func(step int, row []float32)) (Answer, error) {
	return s.generate(ctx, ids, maxTokens, stop, logits, Sampling{}.sampler(), func(int) bool { return false })
}

// generate is AskTokens with tokens drawn by a sampler; hear is told each token, and tells whether the answer ends.
func (s *Session) generate(ctx context.Context, ids []int, maxTokens int, stop []int, logits func(step int, row []float32), sampler *sampler, hear func(token int) bool) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ids) == 0 {
		return Answer{}, fmt.Errorf("ask: the question is empty and the model has no chat template that adds to it: ask something")
	}
	if maxTokens < 1 {
		return Answer{}, fmt.Errorf("ask: at most %d tokens may be answered: allow at least 1", maxTokens)
	}
	if most := s.model.Config.MaxPositions; most > 0 && s.next+len(ids)+maxTokens-1 > most {
		return Answer{}, fmt.Errorf("ask: %d tokens of context, %d of question and %d of answer are more than the %d positions of %s: ask for fewer tokens, or prefill a shorter text",
			s.next, len(ids), maxTokens, most, s.model.Name)
	}
	start := time.Now()
	d := s.model.decoder
	run, err := s.answer()
	if err != nil {
		return Answer{}, fmt.Errorf("ask: %w", err)
	}
	defer s.cache.Rewind(s.cache.Mark()) // nothing to do when the answer had a fork of its own
	w, err := d.workspace(len(ids))
	if err != nil {
		return Answer{}, err
	}
	if err := run.forward(ctx, w, batch{ids: ids, positions: upTo(s.next, len(ids))}); err != nil {
		return Answer{}, fmt.Errorf("ask: question: %w", err)
	}
	if s.work == nil {
		if s.work, err = d.workspace(1); err != nil {
			return Answer{}, err
		}
	}
	a := Answer{Asked: ids, Tokens: make([]int, 0, maxTokens), Gaps: make([]float32, 0, maxTokens)}
	millis := make([]float64, 0, maxTokens)
	one := batch{ids: make([]int, 1), positions: make([]int, 1)}
	row := w.result
	for {
		if logits != nil {
			logits(len(a.Tokens), row)
		}
		token, gap, err := sampler.draw(row)
		if err != nil {
			return Answer{}, fmt.Errorf("ask: token %d: %w", len(a.Tokens), err)
		}
		a.Tokens, a.Gaps = append(a.Tokens, token), append(a.Gaps, gap)
		progress.Report(ctx, "generate", int64(len(a.Tokens)), int64(maxTokens))
		if hear(token) || len(a.Tokens) == maxTokens || len(a.Tokens) > 1 && slices.Contains(stop, token) {
			break
		}
		began := time.Now()
		one.ids[0], one.positions[0] = token, s.next+len(ids)+len(a.Tokens)-1
		if s.chorus != nil {
			err = s.chorus.sing(ctx, s.voice, token, one.positions[0], run.cache, s.work.result)
		} else {
			err = run.forward(ctx, s.work, one)
		}
		if err != nil {
			return Answer{}, fmt.Errorf("ask: token %d: %w", len(a.Tokens), err)
		}
		row = s.work.result
		millis = append(millis, since(began)*1e3)
	}
	a.Seconds, a.KV, a.Compressions = since(start), run.cache.Live(), run.compressions
	if len(millis) > 0 {
		slices.Sort(millis)
		a.TokenMillis = millis[len(millis)/2]
	}
	return a, nil
}

// choose returns the token of the largest logit and its lead over the second.
func choose(logits []float32) (token int, gap float32, err error) {
	least := float32(math.Inf(-1))
	best, second := least, least
	for i, v := range logits {
		if v <= second { // so it is with nearly all of a large vocabulary
			continue
		}
		switch {
		case v != v:
			return 0, 0, fmt.Errorf("logit %d is not a number: the weights or the cache hold NaN or infinity", i)
		case v > best:
			best, second, token = v, best, i
		default:
			second = v
		}
	}
	if second == least { // there is nothing to lead
		return token, best, nil
	}
	return token, best - second, nil
}
