package llm

import (
	"context"
	"errors"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// An Estimate says, in bytes, what a model and a context will take, before anything is loaded.
type Estimate struct {
	Model        string
	Tokens       int
	MaxPositions int   // most tokens that the model reads; 0 when config.json does not say
	Weights      int64 // on the processor: bf16 and groups of 8 or 4 bits stay as they are, other packed numbers become bf16, all else is float32
	TokenKV      int64 // keys and values of one token, over all layers and heads
	KV           int64 // of the whole context, uncompressed
	LayerKV      int64 // of two layers: what PrefillWith holds uncompressed at a time
	Activations  int64 // while the context is read
	Record       int64 // what the record Full adds
}

// EstimateFor reads the configuration and the sizes of the weights of a model, and nothing else. For a name of the
// Hugging Face hub that is not on this machine the hub is asked; nothing is stored.
func EstimateFor(ctx context.Context, model string, tokens int) (Estimate, error) {
	if tokens < 1 {
		return Estimate{}, fmt.Errorf("a context of %d tokens: at least 1 is wanted", tokens)
	}
	seen, err := survey(ctx, model)
	if err != nil {
		return Estimate{}, err
	}
	c, err := parseConfig(seen.Config, seen.GenerationConfig)
	if err != nil {
		return Estimate{}, fmt.Errorf("model %s: %w", model, err)
	}
	e := Estimate{Model: model, Tokens: tokens, MaxPositions: c.MaxPositions}
	for _, t := range seen.Weights {
		switch {
		case t.DType.Grouped():
			e.Weights += int64(len(t.Data))
		case t.DType == weights.BF16 || t.DType.Packed():
			e.Weights += 2 * int64(t.Elements())
		default:
			e.Weights += 4 * int64(t.Elements())
		}
	}
	e.LayerKV = int64(tokens) * int64(min(2, c.Layers)*c.KVHeads*c.pairBytes())
	e.TokenKV = int64(c.Layers * c.KVHeads * c.pairBytes())
	e.KV = e.TokenKV * int64(tokens)
	inside := (c.Heads+2*c.KVHeads)*c.Dim + c.Heads*c.Dim + 2*c.Width + 3*c.Inner // of a row inside a layer
	e.Activations = 4 * (int64(tokens)*int64(c.Width) + int64(min(tokens, RowBlock))*int64(inside))
	e.Record = 4 * int64(tokens) * int64(c.Width) * int64(c.Layers)
	return e, nil
}

// survey looks at a model where it is: here, or on the hub.
func survey(ctx context.Context, model string) (hub.Survey, error) {
	files, err := hub.Open(model)
	if errors.Is(err, hub.ErrNotHere) {
		return hub.Look(ctx, model)
	}
	if err != nil {
		return hub.Survey{}, err
	}
	defer files.Close()
	s := hub.Survey{Config: files.Config, GenerationConfig: files.GenerationConfig}
	for _, name := range files.Weights.Names() {
		t, err := files.Weights.Tensor(name)
		if err != nil {
			return s, err
		}
		s.Weights = append(s.Weights, t)
	}
	return s, nil
}

// Fits is the smallest ratio at which the model, the context and an answer fit into so many bytes when PrefillWith
// presses layer by layer: 0 when nothing has to go, and false when not even the weights and two layers fit.
func (e Estimate) Fits(bytes int64) (ratio float64, ok bool) {
	left := bytes - e.Weights - e.Activations
	if left >= e.KV {
		return 0, true
	}
	left -= e.LayerKV
	if left <= 0 {
		return 1, false
	}
	return max(0, 1-float64(left)/float64(e.KV)), true
}
