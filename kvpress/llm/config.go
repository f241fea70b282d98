package llm

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// A Config holds the sizes and constants of a model, read from its config.json. Both spellings are read: that of
// transformers 5 (rope_parameters, dtype) and the published one (rope_theta, rope_scaling, torch_dtype).
type Config struct {
	Architecture string // "LlamaForCausalLM"
	Width        int    // channels of the model
	Layers       int
	Heads        int // query heads
	KVHeads      int // key-value heads
	Dim          int // channels of a head
	Inner        int // channels inside the MLP
	Vocabulary   int
	MaxPositions int
	Epsilon      float32 // of the norms
	Activation   string  // of the MLP: "silu", "gelu_pytorch_tanh"
	Tied         bool    // the output head is the embedding table
	Rope         RopeConfig
	Windows      []int      // per layer: tokens that a query looks back, itself included; 0 means all
	WindowRope   RopeConfig // of the layers with a window, where they have their own; its Type is "" otherwise
	QueryScale   float64    // factor on q·k; 0 means 1/sqrt(Dim)
	LogitCap     float64    // logits are bent below this; 0 means they are not
	EOS          []int      // tokens that end an answer
}

// group is the number of query heads per KV head.
func (c Config) group() int { return c.Heads / c.KVHeads }

// pairBytes is the size of one key-value pair of one head on the processor.
func (c Config) pairBytes() int { return 2 * c.Dim * 4 }

// rawConfig is config.json as it is written.
type rawConfig struct {
	Architectures     []string        `json:"architectures"`
	Text              json.RawMessage `json:"text_config"`
	HiddenSize        int             `json:"hidden_size"`
	NumHiddenLayers   int             `json:"num_hidden_layers"`
	NumHeads          int             `json:"num_attention_heads"`
	NumKVHeads        int             `json:"num_key_value_heads"`
	HeadDim           int             `json:"head_dim"`
	IntermediateSize  int             `json:"intermediate_size"`
	VocabSize         int             `json:"vocab_size"`
	MaxPositions      int             `json:"max_position_embeddings"`
	Epsilon           float64         `json:"rms_norm_eps"`
	Activation        string          `json:"hidden_act"`
	GemmaActivation   string          `json:"hidden_activation"`
	Tied              *bool           `json:"tie_word_embeddings"`
	RopeTheta         float64         `json:"rope_theta"`
	RopeScaling       json.RawMessage `json:"rope_scaling"`
	RopeParameters    json.RawMessage `json:"rope_parameters"`
	OriginalPositions int             `json:"original_max_position_embeddings"`
	PartialRotary     float64         `json:"partial_rotary_factor"`
	EOS               json.RawMessage `json:"eos_token_id"`
	SlidingWindow     int             `json:"sliding_window"`
	UseSlidingWindow  bool            `json:"use_sliding_window"`
	MaxWindowLayers   int             `json:"max_window_layers"`
	LayerTypes        []string        `json:"layer_types"`
	WindowPattern     int             `json:"sliding_window_pattern"`
	WindowPattern5    int             `json:"_sliding_window_pattern"`
	WindowTheta       float64         `json:"rope_local_base_freq"`
	QueryScalar       float64         `json:"query_pre_attn_scalar"`
	LogitCap          float64         `json:"final_logit_softcapping"`
	AttentionCap      float64         `json:"attn_logit_softcapping"`
}

// parseConfig reads config.json and, if there is one, generation_config.json.
func parseConfig(config, generation []byte) (Config, error) {
	var raw rawConfig
	if err := json.Unmarshal(config, &raw); err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	if len(raw.Architectures) == 0 {
		return Config{}, fmt.Errorf("config.json: no architectures: is this the folder of a language model?")
	}
	if raw.Architectures[0] == gemma3 || raw.Architectures[0] == gemma3Pictures {
		var err error
		if raw, err = gemma3Config(config, raw); err != nil {
			return Config{}, fmt.Errorf("config.json: %w", err)
		}
	}
	c := Config{
		Architecture: raw.Architectures[0], Width: raw.HiddenSize, Layers: raw.NumHiddenLayers, Heads: raw.NumHeads,
		KVHeads: raw.NumKVHeads, Dim: raw.HeadDim, Inner: raw.IntermediateSize, Vocabulary: raw.VocabSize,
		MaxPositions: raw.MaxPositions, Epsilon: float32(raw.Epsilon), Activation: raw.Activation,
		Tied: raw.Tied != nil && *raw.Tied, LogitCap: raw.LogitCap,
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.Dim == 0 && c.Heads > 0 {
		c.Dim = c.Width / c.Heads
	}
	if c.Epsilon == 0 {
		c.Epsilon = 1e-6
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("config.json: %w", err)
	}
	var err error
	if c.Rope, err = parseRope(raw, c.Dim); err != nil {
		return c, fmt.Errorf("config.json: %w", err)
	}
	if c.Windows, err = parseWindows(raw); err != nil {
		return c, fmt.Errorf("config.json: %w", err)
	}
	if raw.AttentionCap != 0 && c.Architecture != gemma3 && c.Architecture != gemma3Pictures { // whose attention has the field and no use for it
		return c, fmt.Errorf("config.json: attn_logit_softcapping is %v: soft-capped attention is not supported", raw.AttentionCap)
	}
	if raw.QueryScalar < 0 || raw.LogitCap < 0 {
		return c, fmt.Errorf("config.json: query_pre_attn_scalar %v and final_logit_softcapping %v should be positive", raw.QueryScalar, raw.LogitCap)
	}
	if raw.QueryScalar > 0 {
		c.QueryScale = 1 / math.Sqrt(raw.QueryScalar)
	}
	if slices.Max(c.Windows) > 0 && raw.WindowTheta > 0 {
		c.WindowRope = RopeConfig{Type: "default", Theta: raw.WindowTheta, Rotated: c.Rope.Rotated, Original: c.Rope.Original}
	}
	c.EOS, err = endTokens(raw.EOS, generation)
	return c, err
}

// check refuses sizes that no model has, before memory is asked for them.
func (c Config) check() error {
	for _, s := range []struct {
		name  string
		value int
		most  int
	}{
		{"hidden_size", c.Width, 1 << 20},
		{"num_hidden_layers", c.Layers, 1 << 12},
		{"num_attention_heads", c.Heads, 1 << 14},
		{"num_key_value_heads", c.KVHeads, 1 << 14},
		{"head_dim", c.Dim, 1 << 12},
		{"intermediate_size", c.Inner, 1 << 22},
		{"vocab_size", c.Vocabulary, 1 << 24},
	} {
		if s.value < 1 || s.value > s.most {
			return fmt.Errorf("%s is %d: it should lie between 1 and %d", s.name, s.value, s.most)
		}
	}
	if c.Heads%c.KVHeads != 0 {
		return fmt.Errorf("%d query heads cannot share %d key-value heads evenly", c.Heads, c.KVHeads)
	}
	if c.Dim%2 != 0 {
		return fmt.Errorf("head_dim is %d: rotary embeddings need an even number", c.Dim)
	}
	return nil
}

// endTokens collects the tokens that end an answer; generation_config.json goes before config.json.
func endTokens(config json.RawMessage, generation []byte) ([]int, error) {
	ids := config
	if len(generation) > 0 {
		var g struct {
			EOS json.RawMessage `json:"eos_token_id"`
		}
		if err := json.Unmarshal(generation, &g); err != nil {
			return nil, fmt.Errorf("generation_config.json: %w", err)
		}
		if len(g.EOS) > 0 {
			ids = g.EOS
		}
	}
	if len(ids) == 0 || string(ids) == "null" {
		return nil, nil
	}
	var one int
	if json.Unmarshal(ids, &one) == nil {
		return []int{one}, nil
	}
	var many []int
	if err := json.Unmarshal(ids, &many); err != nil {
		return nil, fmt.Errorf("eos_token_id %s: a number or a list of numbers is wanted", ids)
	}
	return many, nil
}

// A RopeConfig says how positions turn into rotations.
type RopeConfig struct {
	Type     string // "default", "linear", "llama3", "longrope"
	Theta    float64
	Rotated  int     // channels of a head that rotate
	Factor   float64 // linear, llama3
	Low      float64 // llama3: low_freq_factor
	High     float64 // llama3: high_freq_factor
	Original int     // positions the model was first trained for (llama3, longrope)
	Short    []float64
	Long     []float64
	Scale    float64 // on cosines and sines; 0 means the rule's own
}

func parseRope(raw rawConfig, dim int) (RopeConfig, error) {
	var p struct {
		Type     string    `json:"rope_type"`
		OldType  string    `json:"type"`
		Theta    float64   `json:"rope_theta"`
		Factor   float64   `json:"factor"`
		Low      float64   `json:"low_freq_factor"`
		High     float64   `json:"high_freq_factor"`
		Original int       `json:"original_max_position_embeddings"`
		Short    []float64 `json:"short_factor"`
		Long     []float64 `json:"long_factor"`
		Scale    float64   `json:"attention_factor"`
		Partial  float64   `json:"partial_rotary_factor"`
	}
	for _, text := range []json.RawMessage{raw.RopeScaling, raw.RopeParameters} {
		if len(text) == 0 {
			continue
		}
		if err := json.Unmarshal(text, &p); err != nil {
			return RopeConfig{}, fmt.Errorf("rope parameters: %w", err)
		}
	}
	first := func(values ...float64) float64 {
		for _, v := range values {
			if v != 0 {
				return v
			}
		}
		return 0
	}
	r := RopeConfig{
		Type: p.Type, Theta: first(p.Theta, raw.RopeTheta, 10000), Factor: p.Factor, Low: p.Low, High: p.High,
		Original: int(first(float64(p.Original), float64(raw.OriginalPositions), float64(raw.MaxPositions))),
		Short:    p.Short, Long: p.Long, Scale: p.Scale,
	}
	if r.Type == "" {
		r.Type = p.OldType
	}
	if r.Type == "" {
		r.Type = "default"
	}
	r.Rotated = int(float64(dim) * first(p.Partial, raw.PartialRotary, 1))
	switch r.Type {
	case "default":
	case "linear":
		if r.Factor < 1 {
			return r, fmt.Errorf("rope type linear: factor is %v: it should be at least 1", r.Factor)
		}
	case "llama3":
		if r.Factor <= 0 || r.Low <= 0 || r.High <= r.Low {
			return r, fmt.Errorf("rope type llama3: factor %v, low_freq_factor %v, high_freq_factor %v do not go together", r.Factor, r.Low, r.High)
		}
	case "longrope":
		if len(r.Short) != r.Rotated/2 || len(r.Long) != r.Rotated/2 {
			return r, fmt.Errorf("rope type longrope: %d short and %d long factors, a head has %d", len(r.Short), len(r.Long), r.Rotated/2)
		}
		if r.Scale == 0 {
			if r.Factor == 0 {
				r.Factor = float64(raw.MaxPositions) / float64(r.Original)
			}
			r.Scale = 1
			if r.Factor > 1 {
				r.Scale = math.Sqrt(1 + math.Log(r.Factor)/math.Log(float64(r.Original)))
			}
		}
	default:
		return r, fmt.Errorf("rope type %q is not supported (supported: default, linear, llama3, longrope)", r.Type)
	}
	return r, nil
}
