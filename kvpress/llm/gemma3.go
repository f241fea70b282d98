package llm

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// Gemma3 is published alone, and inside a model that also looks at pictures; of that only the text half is used.
const (
	gemma3         = "Gemma3ForCausalLM"
	gemma3Pictures = "Gemma3ForConditionalGeneration"
)

func init() {
	architectures[gemma3] = newGemma3
	architectures[gemma3Pictures] = newGemma3
}

// gemma3Config reads the configuration of the text half, over what a Gemma3 is when its file does not say.
func gemma3Config(config []byte, outer rawConfig) (rawConfig, error) {
	tied := true
	raw := rawConfig{
		VocabSize: 262208, NumHeads: 8, NumKVHeads: 4, HeadDim: 256, MaxPositions: 131072, Epsilon: 1e-6, RopeTheta: 1e6, WindowTheta: 1e4,
		SlidingWindow: 4096, WindowPattern: 6, QueryScalar: 256, GemmaActivation: "gelu_pytorch_tanh", Tied: &tied, EOS: outer.EOS,
	}
	if len(outer.Text) > 0 {
		config = outer.Text
	}
	if err := json.Unmarshal(config, &raw); err != nil {
		return raw, err
	}
	raw.Architectures, raw.Activation = outer.Architectures, raw.GemmaActivation
	if raw.WindowPattern5 != 0 {
		raw.WindowPattern = raw.WindowPattern5
	}
	if raw.WindowPattern < 1 {
		return raw, fmt.Errorf("sliding_window_pattern is %d: it should be positive", raw.WindowPattern)
	}
	return raw, raw.ropesOfLayers()
}

// ropesOfLayers takes rope_parameters apart where they are listed by the kind of the layer.
func (raw *rawConfig) ropesOfLayers() error {
	var kinds map[string]json.RawMessage
	if json.Unmarshal(raw.RopeParameters, &kinds) != nil || kinds[fullAttention] == nil {
		return nil
	}
	raw.RopeParameters = kinds[fullAttention]
	var sliding struct {
		Type  string  `json:"rope_type"`
		Theta float64 `json:"rope_theta"`
	}
	if text := kinds[slidingAttention]; text != nil {
		if err := json.Unmarshal(text, &sliding); err != nil {
			return fmt.Errorf("rope_parameters: %w", err)
		}
	}
	if sliding.Type != "" && sliding.Type != "default" {
		return fmt.Errorf("rope_parameters: rope type %q of sliding layers is not supported (supported: default)", sliding.Type)
	}
	if sliding.Theta > 0 {
		raw.WindowTheta = sliding.Theta
	}
	return nil
}

// newGemma3 loads the text half of a Gemma3: norms that multiply by 1 more than what is stored, before and after each
// block; query and key heads that are normed before they rotate; layers that look back over a window, with a rotation
// of their own; and embeddings that are scaled.
func newGemma3(c Config, l *loader) (*decoder, error) {
	l.prefix, l.plusOne = gemmaPrefix(l.file), true
	d, err := l.decoder(c, func(c Config, at string) block {
		k := l.llamaBlock(c, at)
		k.afterAttention = k.mlpNorm // the name is the same, the place is not
		k.mlpNorm = l.norm(c.Width, at+"pre_feedforward_layernorm.weight")
		k.afterMLP = l.norm(c.Width, at+"post_feedforward_layernorm.weight")
		k.queryNorm = l.norm(c.Dim, at+"self_attn.q_norm.weight")
		k.keyNorm = l.norm(c.Dim, at+"self_attn.k_norm.weight")
		return k
	})
	if err != nil {
		return nil, err
	}
	d.embedScale = float32(math.Sqrt(float64(c.Width)))
	return d, nil
}

// gemmaPrefix is what stands before the names of the text half's tensors.
func gemmaPrefix(f *weights.File) string {
	if slices.ContainsFunc(f.Names(), func(name string) bool { return strings.HasPrefix(name, "language_model.") }) {
		return "language_model."
	}
	return ""
}
