package llm

import (
	"context"
	"fmt"
	"math"
)

// Perplexity says how well the model foresees a text: e to the mean of -log(probability) over its tokens after the
// first, no template around it. 1 is certainty; the size of the vocabulary is blind guessing.
func (m *LLM) Perplexity(ctx context.Context, text string) (float64, error) {
	return m.PerplexityTokens(ctx, m.Tokenizer.Encode(text))
}

// PerplexityTokens is Perplexity for token numbers as they are.
func (m *LLM) PerplexityTokens(ctx context.Context, ids []int) (float64, error) {
	if len(ids) < 2 {
		return 0, fmt.Errorf("perplexity: %d tokens: at least 2 are wanted", len(ids))
	}
	s, err := m.newSession(ids)
	if err != nil {
		return 0, err
	}
	defer s.cache.Close()
	d := m.decoder
	w, err := d.workspace(len(ids))
	if err != nil {
		return 0, err
	}
	b := batch{ids: ids, positions: upTo(0, len(ids)), cache: s.cache, stage: "prefill", stream: true}
	if err := d.forward(ctx, w, b, false); err != nil {
		return 0, fmt.Errorf("perplexity: %w", err)
	}
	const rows = 64 // tokens whose logits are found together
	logits, err := d.backend.Alloc(rows, d.config.Vocabulary)
	if err != nil {
		return 0, err
	}
	numbers, unsure := make([]float32, rows*d.config.Vocabulary), 0.0
	for from := 0; from < len(ids)-1; from += rows {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("perplexity: %w", err)
		}
		n := min(rows, len(ids)-1-from)
		x, out := w.x.Slice(from, from+n), logits.Slice(0, n)
		d.backend.Norm(x, x, d.norm, d.config.Epsilon)
		d.backend.MatMul(out, x, d.head)
		if err := d.backend.Read(numbers, out); err != nil {
			return 0, fmt.Errorf("perplexity: %w", err)
		}
		for i := range n {
			row := numbers[i*d.config.Vocabulary : (i+1)*d.config.Vocabulary]
			d.bend(row)
			unsure += surprise(row, ids[from+i+1])
		}
	}
	return math.Exp(unsure / float64(len(ids)-1)), nil
}

// surprise is -log of the probability that logits give to a token.
func surprise(logits []float32, token int) float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	return math.Log(sum) + top - float64(logits[token])
}
