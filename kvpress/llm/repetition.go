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
	before, after, err := m.frame("dummy context")
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

// lowest evicts the pairs of lowest values, one matrix (KVHeads, Len) for each layer, but never one of the first ones.
func lowest(name string, values []tensor.Mat, sinks int, budget kvpress.Budget, layerwise bool) kvpress.Press {
	top := float32(0)
	for _, v := range values {
		top = max(top, tensor.Max(v.Data))
	}
	scores := make([]kvpress.Scores, len(values))
	for layer, v := range values {
		force := upTo(0, min(sinks, v.Cols))
		for h := range v.Rows {
			for _, f := range force {
				v.Row(h)[f] = top + 1
			}
		}
		scores[layer] = kvpress.Scores{Values: v, Force: force}
	}
	return kvpress.Lowest{Scorer: kvpress.Fixed(name, scores), Budget: budget, Layerwise: layerwise}
}

// orElse is a number, or its default where it is 0.
func orElse(n, usual int) int {
	if n == 0 {
		return usual
	}
	return n
}
