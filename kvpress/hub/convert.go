package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// ggufNames says how a Llama's tensors are called in GGUF and in Hugging Face folders.
var ggufNames = map[string]string{
	"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight",
	"attn_norm.weight": "input_layernorm.weight", "ffn_norm.weight": "post_attention_layernorm.weight",
	"attn_q.weight": "self_attn.q_proj.weight", "attn_k.weight": "self_attn.k_proj.weight", "attn_v.weight": "self_attn.v_proj.weight",
	"attn_output.weight": "self_attn.o_proj.weight", "ffn_gate.weight": "mlp.gate_proj.weight", "ffn_up.weight": "mlp.up_proj.weight",
	"ffn_down.weight": "mlp.down_proj.weight",
}

// huggingFaceName translates the name of a tensor.
func huggingFaceName(name string) (string, bool) {
	if rest, ok := strings.CutPrefix(name, "blk."); ok {
		layer, part, _ := strings.Cut(rest, ".")
		to, ok := ggufNames[part]
		return "model.layers." + layer + "." + to, ok
	}
	to, ok := ggufNames[name]
	return to, ok
}

// Convert turns a GGUF file of a Llama into a Hugging Face folder with weights in bfloat16.
func Convert(ctx context.Context, path, dir string, p Progress) error {
	g, err := weights.OpenGGUF(path)
	if err != nil {
		return err
	}
	defer g.Close()
	s, err := readSizes(g)
	if err != nil {
		return err
	}
	var tensors []weights.Tensor
	tied := true
	names := g.Names()
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		to, ok := huggingFaceName(name)
		if !ok {
			return fmt.Errorf("%s: tensor %s is not part of a Llama that this project knows", path, name)
		}
		numbers, shape, err := g.Dequantize(name)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(to, "q_proj.weight"):
			numbers, err = restoreRows(numbers, shape, s.heads)
		case strings.HasSuffix(to, "k_proj.weight"):
			numbers, err = restoreRows(numbers, shape, s.kvHeads)
		case to == "lm_head.weight":
			tied = false
		}
		if err != nil {
			return fmt.Errorf("%s: tensor %s: %w", path, name, err)
		}
		data := make([]byte, 2*len(numbers))
		tensor.ToBF16(data, numbers)
		tensors = append(tensors, weights.Tensor{Name: to, DType: weights.BF16, Shape: shape, Data: data})
		p.tell("convert", int64(i+1), int64(len(names)))
	}
	if err := writeConfigs(g, s, tied, dir); err != nil {
		return err
	}
	return weights.Write(filepath.Join(dir, "model.safetensors"), tensors, map[string]string{"format": "pt"})
}

// restoreRows undoes what GGUF does to the rows of query and key projections: there the two channels of a rotating
// pair lie beside each other, here they are half a head apart.
func restoreRows(numbers []float32, shape []int, heads int) ([]float32, error) {
	if len(shape) != 2 || shape[0]%(2*heads) != 0 {
		return nil, fmt.Errorf("shape %v does not divide into %d heads", shape, heads)
	}
	out := make([]float32, len(numbers))
	dim, cols := shape[0]/heads, shape[1]
	for row := range shape[0] {
		h, r := row/dim, row%dim
		from := h*dim + 2*(r%(dim/2)) + r/(dim/2)
		copy(out[row*cols:(row+1)*cols], numbers[from*cols:])
	}
	return out, nil
}

// sizes are what config.json says of a Llama.
type sizes struct {
	layers, width, inner, heads, kvHeads, context, vocabulary, rotated, bos, eos, pad int
	theta, epsilon                                                                    float64
}

func readSizes(g *weights.GGUF) (s sizes, err error) {
	architecture, err := g.String("general.architecture")
	if err != nil {
		return s, err
	}
	if architecture != "llama" {
		return s, fmt.Errorf("GGUF architecture %q is not supported (supported: llama)", architecture)
	}
	for _, f := range []struct {
		to  *int
		key string
	}{
		{&s.layers, "llama.block_count"},
		{&s.width, "llama.embedding_length"},
		{&s.inner, "llama.feed_forward_length"},
		{&s.heads, "llama.attention.head_count"},
		{&s.kvHeads, "llama.attention.head_count_kv"},
		{&s.context, "llama.context_length"},
		{&s.vocabulary, "llama.vocab_size"},
		{&s.rotated, "llama.rope.dimension_count"},
		{&s.bos, "tokenizer.ggml.bos_token_id"},
		{&s.eos, "tokenizer.ggml.eos_token_id"},
		{&s.pad, "tokenizer.ggml.padding_token_id"},
	} {
		if *f.to, err = g.Int(f.key); err != nil {
			return s, err
		}
	}
	if s.theta, err = g.Float("llama.rope.freq_base"); err != nil {
		return s, err
	}
	s.epsilon, err = g.Float("llama.attention.layer_norm_rms_epsilon")
	if err == nil && (s.heads < 1 || s.kvHeads < 1 || s.width%s.heads != 0) {
		err = fmt.Errorf("%d channels, %d query heads and %d key-value heads do not go together", s.width, s.heads, s.kvHeads)
	}
	return s, err
}

func writeConfigs(g *weights.GGUF, s sizes, tied bool, dir string) error {
	tokenizer, config, err := tokenizerFiles(g, s)
	if err != nil {
		return err
	}
	for name, content := range map[string]interface{}{
		"config.json": map[string]interface{}{
			"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "attention_bias": false, "attention_dropout": 0.0, "mlp_bias": false,
			"bos_token_id": s.bos, "eos_token_id": s.eos, "pad_token_id": s.pad, "head_dim": s.width / s.heads, "hidden_act": "silu", "hidden_size": s.width,
			"initializer_range": 0.041666666666666664, "intermediate_size": s.inner, "max_position_embeddings": s.context, "num_attention_heads": s.heads,
			"num_hidden_layers": s.layers, "num_key_value_heads": s.kvHeads, "pretraining_tp": 1, "rms_norm_eps": float32(s.epsilon), "rope_theta": s.theta,
			"rope_scaling": nil, "tie_word_embeddings": tied, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": s.vocabulary,
		},
		"generation_config.json": map[string]interface{}{"bos_token_id": s.bos, "eos_token_id": s.eos, "pad_token_id": s.pad},
		"tokenizer.json":         tokenizer,
		"tokenizer_config.json":  config,
	} {
		text, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tokenizerFiles rebuilds tokenizer.json and tokenizer_config.json of a byte-level BPE from GGUF metadata.
func tokenizerFiles(g *weights.GGUF, s sizes) (tokenizer, config map[string]interface{}, err error) {
	kind, err := g.String("tokenizer.ggml.model")
	if err != nil {
		return nil, nil, err
	}
	split, _ := g.Metadata["tokenizer.ggml.pre"].(string)
	if kind != "gpt2" || split != "smollm" {
		return nil, nil, fmt.Errorf("GGUF tokenizer %q with splitting %q is not supported (supported: gpt2 with smollm)", kind, split)
	}
	tokens, err := g.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return nil, nil, err
	}
	merges, err := g.Strings("tokenizer.ggml.merges")
	if err != nil {
		return nil, nil, err
	}
	types, _ := g.Metadata["tokenizer.ggml.token_type"].([]interface{})
	for _, id := range []int{s.bos, s.eos, s.pad} {
		if id < 0 || id >= len(tokens) {
			return nil, nil, fmt.Errorf("special token %d is not among %d tokens", id, len(tokens))
		}
	}
	vocabulary := map[string]int{}
	added := []map[string]interface{}{}
	for id, t := range tokens {
		vocabulary[t] = id
		if id < len(types) && types[id] == int64(3) { // a control token
			added = append(added, map[string]interface{}{"id": id, "content": t, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
		}
	}
	bytesLevel := map[string]interface{}{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	tokenizer = map[string]interface{}{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": nil, "post_processor": nil,
		"pre_tokenizer": map[string]interface{}{"type": "Sequence", "pretokenizers": []interface{}{map[string]interface{}{"type": "Digits", "individual_digits": true}, bytesLevel}},
		"decoder":       map[string]interface{}{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model": map[string]interface{}{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil, "fuse_unk": false,
			"byte_fallback": false, "ignore_merges": false, "vocab": vocabulary, "merges": merges,
		},
	}
	config = map[string]interface{}{
		"tokenizer_class": "GPT2Tokenizer", "bos_token": tokens[s.bos], "eos_token": tokens[s.eos], "pad_token": tokens[s.pad],
		"model_max_length": s.context, "clean_up_tokenization_spaces": false, "add_prefix_space": false,
	}
	if template, ok := g.Metadata["tokenizer.chat_template"].(string); ok {
		config["chat_template"] = template
	}
	return tokenizer, config, nil
}
