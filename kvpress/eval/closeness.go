package eval

import (
	"context"
	"fmt"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A Reference is what a whole cache makes of a question: the answer, and what the model thought on the way. Pressed
// copies are measured against it, without anyone knowing the right answer.
type Reference struct {
	Answer llm.Answer

	thought llm.Following
	pairs   int // of the context
}

// Closeness says how close a pressed cache comes to the whole one over the answer that the whole one gives. It reads
// question and answer once, in one go: cheap enough for a slider.
type Closeness struct {
	Tokens        int     // of the answer
	LogLikelihood float64 // of a token of the answer, in nats, mean; the whole cache's own is the most to hope for
	KL            float64 // divergence of the next token's distribution from the whole cache's, in nats, mean over the answer
	SameTokens    float64 // share of the answer's tokens that would be chosen again, each after the same words
	AttentionLost float64 // share of the attention that question and answer pay to the context and that falls on evicted pairs, mean over layers and heads
}

// String says it in a line.
func (c Closeness) String() string {
	return fmt.Sprintf("log-likelihood %.3f, KL %.4f, same tokens %.0f %%, attention lost %.1f %%", c.LogLikelihood, c.KL, 100*c.SameTokens, 100*c.AttentionLost)
}

// Refer asks the question of a whole session and keeps what pressed copies are compared with: the probabilities of
// every token of the answer, and where question and answer look, (KVHeads, Len) for every layer.
func Refer(ctx context.Context, whole *llm.Session, q llm.Question) (*Reference, error) {
	a, err := whole.AskWith(ctx, q)
	if err != nil {
		return nil, err
	}
	return referTo(ctx, whole, a)
}

// referTo is Refer for an answer that is there already.
func referTo(ctx context.Context, whole *llm.Session, a llm.Answer) (*Reference, error) {
	thought, err := whole.Follow(ctx, a.Asked, a.Tokens, true)
	if err != nil {
		return nil, err
	}
	return &Reference{Answer: a, thought: thought, pairs: whole.Len()}, nil
}

// Compare measures a session of the same context, pressed or not.
func (r *Reference) Compare(ctx context.Context, s *llm.Session) (Closeness, error) {
	if s.Len() != r.pairs {
		return Closeness{}, fmt.Errorf("closeness: the session has a context of %d tokens, the reference one of %d: press the session that was referred to", s.Len(), r.pairs)
	}
	now, err := s.Follow(ctx, r.Answer.Asked, r.Answer.Tokens, false)
	if err != nil {
		return Closeness{}, err
	}
	n := len(r.Answer.Tokens)
	c := Closeness{Tokens: n, AttentionLost: r.lost(s)}
	for i, token := range r.Answer.Tokens {
		p, q := r.thought.Logits[i], now.Logits[i]
		sumP, sumQ := logSum(p), logSum(q)
		c.LogLikelihood += (float64(q[token]) - sumQ) / float64(n)
		kl, best := 0.0, 0
		for j := range p {
			logP := float64(p[j]) - sumP
			kl += math.Exp(logP) * (logP - float64(q[j]) + sumQ)
			if q[j] > q[best] {
				best = j
			}
		}
		c.KL += math.Max(0, kl) / float64(n) // it is never negative but for rounding
		if best == token {
			c.SameTokens += 1 / float64(n)
		}
	}
	return c, nil
}

// logSum is the logarithm of the sum of the exponentials.
func logSum(logits []float32) float64 {
	most := math.Inf(-1)
	for _, v := range logits {
		most = math.Max(most, float64(v))
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - most)
	}
	return most + math.Log(sum)
}

// lost is the share of the attention that falls on pairs that a session does not have any more.
func (r *Reference) lost(s *llm.Session) float64 {
	kept := s.Kept
	if s.Next() != s.Len() { // the kept keys moved together: the plans know where they were
		kept = func(layer, head int) []int { return s.Plans()[layer].Keep[head] }
	}
	sum, heads := 0.0, 0
	for i, paid := range r.thought.Attention {
		for h := range paid.Rows {
			total, still := 0.0, 0.0
			for _, v := range paid.Row(h) {
				total += float64(v)
			}
			for _, at := range kept(i, h) {
				if at < paid.Cols { // a press may have put pairs of its own behind the context
					still += float64(paid.At(h, at))
				}
			}
			if total > 0 {
				sum += math.Max(0, 1-still/total)
				heads++
			}
		}
	}
	return sum / float64(max(1, heads))
}

// measures are the closeness as measures of one answer, which add up over answers.
func (c Closeness) measures() []Measure {
	n := float64(c.Tokens)
	return []Measure{
		{Metric: "log_likelihood", Got: c.LogLikelihood * n, Of: n},
		{Metric: "kl", Got: c.KL * n, Of: n},
		{Metric: "same_tokens", Got: math.Round(c.SameTokens * n), Of: n},
		{Metric: "attention_lost", Got: c.AttentionLost, Of: 1},
	}
}
