package llm

import (
	"fmt"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// repetitions makes the inputs with which the model is asked to repeat its context, so many tokens at a time, and has
// each of them read: ids ends with the context's tokens from up to, not including, to.
func (s *Session) repetitions(chunk int, read func(ids []int, from, to int) error) error {
	m := s.model
	if chunk < 1 {
		return fmt.Errorf("%w: chunk is %d: at least one token", kvpress.ErrBadParameter, chunk)
	}
	before, after, err := m.Frame("dummy context")
	if err != nil {
		return err
	}
	if !m.Tokenizer.HasChatTemplate() {
		before = "dummy context"
	}
	start := len(m.Tokenizer.Encode(before[:len(before)-len("dummy context")]))
	suffix := m.Tokenizer.Encode(after)
	for from := start; from < len(s.ids); from += chunk {
		to := min(len(s.ids), from+chunk)
		prompt := m.Tokenizer.Encode("\n\nRepeat the previous context exactly.")
		if from > start {
			prompt = append(m.Tokenizer.Encode("\n\nRepeat the part of the previous context exactly, starting with"), s.ids[max(start, from-8):from]...)
		}
		if err := read(slices.Concat(prompt, suffix, s.ids[from:to]), from, to); err != nil {
			return err
		}
	}
	return nil
}

// evictLowest has all pairs scored, unless the budget leaves nothing to decide, and evicts those of lowest score but none
// of the first ones, the sinks: 0 means 4 of them, less than 0 none. Score fills a matrix (KVHeads, Len) for each layer.
func (s *Session) evictLowest(rule kvpress.Lowest, name string, sinks int, score func(values []tensor.Mat, sinks int) error) (kvpress.Press, error) {
	if err := rule.Budget.Check(); err != nil || rule.Budget == kvpress.Ratio(0) {
		return rule, err
	}
	c, top := s.model.Config, float32(0)
	values := make([]tensor.Mat, c.Layers)
	for layer := range values {
		values[layer] = tensor.New(c.KVHeads, len(s.ids))
	}
	sinks = max(orElse(sinks, 4), 0)
	if err := score(values, sinks); err != nil {
		return nil, err
	}
	for _, v := range values {
		top = max(top, tensor.Max(v.Data))
	}
	scores := make([]kvpress.Scores, c.Layers)
	for layer, v := range values {
		force := upTo(0, min(sinks, v.Cols))
		for h := range v.Rows {
			for _, f := range force {
				v.Row(h)[f] = top + 1
			}
		}
		scores[layer] = kvpress.Scores{Values: v, Force: force}
	}
	rule.Scorer = kvpress.Fixed(name, scores)
	return rule, nil
}

// orElse is a number, or its default where it is 0.
func orElse(n, usual int) int {
	if n == 0 {
		return usual
	}
	return n
}
