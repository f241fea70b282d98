package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// A family is an architecture of GGUF files, and how it differs from a Llama in Hugging Face folders.
type family struct {
	class, kind string            // of config.json
	names       map[string]string // of tensors that other families lack, or call otherwise
	permuted    bool              // the rows of query and key projections lie in another order
	plusOne     bool              // norms are stored with the 1 that they multiply by
}

var qkNorms = map[string]string{"attn_q_norm.weight": "self_attn.q_norm.weight", "attn_k_norm.weight": "self_attn.k_norm.weight"}

var families = map[string]family{
	"llama": {class: "LlamaForCausalLM", kind: "llama", permuted: true},
	"qwen2": {class: "Qwen2ForCausalLM", kind: "qwen2", names: map[string]string{
		"attn_q.bias": "self_attn.q_proj.bias", "attn_k.bias": "self_attn.k_proj.bias", "attn_v.bias": "self_attn.v_proj.bias",
	}},
	"qwen3": {class: "Qwen3ForCausalLM", kind: "qwen3", names: qkNorms},
	"phi3": {class: "Phi3ForCausalLM", kind: "phi3", names: map[string]string{
		"attn_qkv.weight": "self_attn.qkv_proj.weight", "ffn_up.weight": "mlp.gate_up_proj.weight",
	}},
	"gemma3": {class: "Gemma3ForCausalLM", kind: "gemma3_text", plusOne: true, names: map[string]string{
		"attn_q_norm.weight": qkNorms["attn_q_norm.weight"], "attn_k_norm.weight": qkNorms["attn_k_norm.weight"],
		"post_attention_norm.weight": "post_attention_layernorm.weight", "ffn_norm.weight": "pre_feedforward_layernorm.weight",
		"post_ffw_norm.weight": "post_feedforward_layernorm.weight",
	}},
}

// ggufNames says how a Llama's tensors are called in GGUF and in Hugging Face folders.
var ggufNames = map[string]string{
	"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight",
	"attn_norm.weight": "input_layernorm.weight", "ffn_norm.weight": "post_attention_layernorm.weight",
	"attn_q.weight": "self_attn.q_proj.weight", "attn_k.weight": "self_attn.k_proj.weight", "attn_v.weight": "self_attn.v_proj.weight",
	"attn_output.weight": "self_attn.o_proj.weight", "ffn_gate.weight": "mlp.gate_proj.weight", "ffn_up.weight": "mlp.up_proj.weight",
	"ffn_down.weight": "mlp.down_proj.weight",
}

// huggingFaceName translates the name of a tensor.
func (f family) huggingFaceName(name string) (string, bool) {
	before := ""
	if rest, ok := strings.CutPrefix(name, "blk."); ok {
		layer, part, _ := strings.Cut(rest, ".")
		before, name = "model.layers."+layer+".", part
	}
	to, ok := f.names[name]
	if !ok {
		to, ok = ggufNames[name]
	}
	return before + to, ok
}

// Convert turns a GGUF file of a Llama, Qwen2, Qwen3, Phi3 or Gemma3 into a Hugging Face folder with weights in bfloat16.
// The weights come last: without them, no folder is a model. Of the tokenizer, GGUF does not tell which tokens take the blanks beside them. Open takes
// such files as they are.
func Convert(ctx context.Context, path, dir string, p Progress) error {
	p = p.of(ctx)
	g, err := weights.OpenGGUF(path)
	if err != nil {
		return err
	}
	defer g.Close()
	tensors, files, err := translate(g, path)
	if err != nil {
		return err
	}
	for i := range tensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		if tensors[i], err = tensors[i].Rounded(weights.BF16); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		p.tell("convert", int64(i+1), int64(len(tensors)))
	}
	for name, content := range files {
		if err := replace(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	return weights.Write(filepath.Join(dir, "model.safetensors"), tensors, map[string]string{"format": "pt"})
}

// openGGUF takes a GGUF file as a model, its weights packed as they are.
func openGGUF(path string) (*Model, error) {
	g, err := weights.OpenGGUF(path)
	if err != nil {
		return nil, err
	}
	tensors, files, err := translate(g, path)
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return &Model{
		Name: strings.TrimSuffix(filepath.Base(path), ".gguf"), Dir: filepath.Dir(path), Config: files["config.json"],
		GenerationConfig: files["generation_config.json"], Tokenizer: files["tokenizer.json"], TokenizerConfig: files["tokenizer_config.json"],
		Weights: g.File(tensors),
	}, nil
}

// translate gives the tensors of a GGUF file the names and the order of rows that Hugging Face folders have, and makes
// the files beside them.
func translate(g *weights.GGUF, path string) (tensors []weights.Tensor, files map[string][]byte, err error) {
	s, err := readSizes(g)
	if err != nil {
		return nil, nil, err
	}
	tied := true
	for _, name := range g.Names() {
		if s.kind == "phi3" && (name == longFactors || name == shortFactors) { // they go into config.json
			continue
		}
		to, ok := s.huggingFaceName(name)
		if !ok {
			return nil, nil, fmt.Errorf("%s: tensor %s is not part of a %s that this project knows", path, name, s.class)
		}
		t, err := g.Tensor(name)
		if err != nil {
			return nil, nil, err
		}
		t.Name = to
		switch {
		case s.permuted && strings.HasSuffix(to, "q_proj.weight"):
			err = restoreRows(&t, s.heads)
		case s.permuted && strings.HasSuffix(to, "k_proj.weight"):
			err = restoreRows(&t, s.kvHeads)
		case s.plusOne && strings.HasSuffix(to, "norm.weight"):
			err = minusOne(&t)
		case to == "lm_head.weight":
			tied = false
		case to == "model.embed_tokens.weight" && len(t.Shape) == 2:
			s.vocabulary = t.Shape[0]
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: tensor %s: %w", path, name, err)
		}
		tensors = append(tensors, t)
	}
	files, err = configFiles(g, s, tied)
	return tensors, files, err
}

// restoreRows undoes what GGUF does to the rows of query and key projections: there the two channels of a rotating
// pair lie beside each other, here they are half a head apart.
func restoreRows(t *weights.Tensor, heads int) error {
	if len(t.Shape) != 2 || heads < 1 || t.Shape[0]/2 < heads || t.Shape[0]%(2*heads) != 0 {
		return fmt.Errorf("shape %v does not divide into %d heads", t.Shape, heads)
	}
	out := make([]byte, len(t.Data))
	dim, row := t.Shape[0]/heads, len(t.Data)/t.Shape[0]
	for i := range t.Shape[0] {
		h, r := i/dim, i%dim
		from := h*dim + 2*(r%(dim/2)) + r/(dim/2)
		copy(out[i*row:(i+1)*row], t.Data[from*row:])
	}
	t.Data = out
	return nil
}

// minusOne takes the 1 out of the weight of a norm.
func minusOne(t *weights.Tensor) error {
	numbers, err := t.Float32()
	if err != nil {
		return err
	}
	for i := range numbers {
		numbers[i]--
	}
	*t = weights.Floats(t.Name, numbers, t.Shape...)
	return nil
}

// sizes are what config.json says of a model.
type sizes struct {
	family
	architecture                                                           string
	layers, width, inner, heads, kvHeads, dim, context, vocabulary, window int
	special                                                                map[string]int // bos, eos, pad: those there are
	theta, epsilon                                                         float64
}

func readSizes(g *weights.GGUF) (s sizes, err error) {
	if s.architecture, err = g.String("general.architecture"); err != nil {
		return s, err
	}
	var ok bool
	if s.family, ok = families[s.architecture]; !ok {
		return s, fmt.Errorf("GGUF architecture %q is not supported (supported: %s)", s.architecture, strings.Join(slices.Sorted(maps.Keys(families)), ", "))
	}
	for _, f := range []struct {
		to       *int
		key      string
		optional bool
	}{
		{&s.layers, "block_count", false},
		{&s.width, "embedding_length", false},
		{&s.inner, "feed_forward_length", false},
		{&s.heads, "attention.head_count", false},
		{&s.kvHeads, "attention.head_count_kv", false},
		{&s.context, "context_length", false},
		{&s.dim, "attention.key_length", true},
		{&s.window, "attention.sliding_window", true},
	} {
		key := s.architecture + "." + f.key
		if _, there := g.Metadata[key]; f.optional && !there {
			continue
		}
		if *f.to, err = g.Int(key); err != nil {
			return s, err
		}
	}
	s.special = map[string]int{}
	for name, key := range map[string]string{"bos": "bos", "eos": "eos", "pad": "padding"} {
		key = "tokenizer.ggml." + key + "_token_id"
		if _, there := g.Metadata[key]; !there {
			continue
		}
		if s.special[name], err = g.Int(key); err != nil {
			return s, err
		}
	}
	s.theta = 10000
	if key := s.architecture + ".rope.freq_base"; g.Metadata[key] != nil {
		if s.theta, err = g.Float(key); err != nil {
			return s, err
		}
	}
	s.epsilon, err = g.Float(s.architecture + ".attention.layer_norm_rms_epsilon")
	if err == nil && (s.heads < 1 || s.kvHeads < 1 || s.dim < 0 || s.dim == 0 && s.width%s.heads != 0) {
		err = fmt.Errorf("%d channels, %d query heads and %d key-value heads do not go together", s.width, s.heads, s.kvHeads)
	}
	if err == nil && s.dim == 0 {
		s.dim = s.width / s.heads
	}
	return s, err
}

// Phi3's factors are tensors here and numbers of config.json there.
const (
	longFactors  = "rope_factors_long.weight"
	shortFactors = "rope_factors_short.weight"
)

// scaling is rope_scaling of config.json.
func (s sizes) scaling(g *weights.GGUF) (map[string]interface{}, error) {
	at := s.architecture + ".rope.scaling."
	if slices.Contains(g.Names(), longFactors) {
		long, _, err := g.Dequantize(longFactors)
		if err != nil {
			return nil, err
		}
		short, _, err := g.Dequantize(shortFactors)
		if err != nil {
			return nil, err
		}
		scaling := map[string]interface{}{"type": "longrope", "long_factor": long, "short_factor": short}
		if factor, ok := g.Metadata[at+"attn_factor"].(float64); ok {
			scaling["attention_factor"] = factor
		}
		return scaling, nil
	}
	switch kind, _ := g.Metadata[at+"type"].(string); kind {
	case "", "none":
		return nil, nil
	case "linear":
		factor, err := g.Float(at + "factor")
		return map[string]interface{}{"type": "linear", "rope_type": "linear", "factor": factor}, err
	default:
		return nil, fmt.Errorf("GGUF rope scaling %q is not supported (supported: none, linear, and Phi3's factors)", kind)
	}
}

// configFiles are the files of a Hugging Face folder but for the weights, by name.
func configFiles(g *weights.GGUF, s sizes, tied bool) (map[string][]byte, error) {
	tokenizer, tokenizerConfig, err := tokenizerFiles(g, s)
	if err != nil {
		return nil, err
	}
	scaling, err := s.scaling(g)
	if err != nil {
		return nil, err
	}
	config := map[string]interface{}{
		"architectures": []string{s.class}, "model_type": s.kind, "attention_bias": false, "attention_dropout": 0.0,
		"head_dim": s.dim, "hidden_act": "silu", "hidden_size": s.width, "initializer_range": 0.041666666666666664, "intermediate_size": s.inner,
		"max_position_embeddings": s.context, "num_attention_heads": s.heads, "num_hidden_layers": s.layers, "num_key_value_heads": s.kvHeads,
		"rms_norm_eps": float32(s.epsilon), "rope_theta": s.theta, "rope_scaling": nil, "tie_word_embeddings": tied, "torch_dtype": "bfloat16",
		"use_cache": true, "vocab_size": s.vocabulary,
	}
	if scaling != nil {
		config["rope_scaling"] = scaling
	}
	switch s.kind {
	case "llama":
		config["mlp_bias"], config["pretraining_tp"] = false, 1
	case "phi3":
		if s.window > 0 {
			config["sliding_window"] = s.window
		}
		if original, ok := g.Metadata["phi3.rope.scaling.original_context_length"].(int64); ok {
			config["original_max_position_embeddings"] = original
		}
	case "gemma3_text":
		delete(config, "hidden_act")
		config["hidden_activation"], config["sliding_window"], config["query_pre_attn_scalar"] = "gelu_pytorch_tanh", s.window, s.dim
		if s.layers == 62 { // the model of 27 billion weights scales queries otherwise, and no metadata says so
			config["query_pre_attn_scalar"] = s.width / s.heads
		}
	}
	generation := map[string]interface{}{}
	for name, id := range s.special {
		config[name+"_token_id"], generation[name+"_token_id"] = id, id
	}
	files := map[string][]byte{}
	for name, content := range map[string]interface{}{
		"config.json": config, "generation_config.json": generation, "tokenizer.json": tokenizer, "tokenizer_config.json": tokenizerConfig,
	} {
		text, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return nil, err
		}
		files[name] = append(text, '\n')
	}
	return files, nil
}
