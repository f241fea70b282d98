package llm

import (
	"fmt"
	"math"
)

func init() {
	architectures["LlamaForCausalLM"] = newLlama
	architectures["MistralForCausalLM"] = newLlama
}

// newLlama loads a Llama: grouped queries, rotary positions, a gated MLP with SiLU. Mistral's weights are the same.
func newLlama(c Config, l *loader) (*decoder, error) {
	return l.decoder(c, l.llamaBlock)
}

// decoder loads what the Llama family shares: embedding, blocks, last norm and output head.
func (l *loader) decoder(c Config, load func(c Config, at string) block) (*decoder, error) {
	activation, ok := activations[c.Activation]
	if !ok {
		return nil, fmt.Errorf("config.json: hidden_act %q is not supported for %s (supported: silu, gelu_pytorch_tanh)", c.Activation, c.Architecture)
	}
	d := &decoder{config: c, backend: l.backend, activation: activation, embedScale: 1}
	d.embed = l.table(c.Vocabulary, c.Width, "model.embed_tokens.weight")
	for i := range c.Layers {
		d.layers = append(d.layers, load(c, fmt.Sprintf("model.layers.%d.", i)))
	}
	d.norm = l.norm(c.Width, "model.norm.weight")
	d.head = d.embed
	if !c.Tied {
		d.head = l.table(c.Vocabulary, c.Width, "lm_head.weight")
	}
	d.bytes = l.bytes
	return d, l.err
}

// llamaBlock loads one block whose tensor names begin with at.
func (l *loader) llamaBlock(c Config, at string) block {
	return block{
		attentionNorm: l.norm(c.Width, at+"input_layernorm.weight"),
		qkv: l.load((c.Heads+2*c.KVHeads)*c.Dim, c.Width,
			at+"self_attn.q_proj.weight", at+"self_attn.k_proj.weight", at+"self_attn.v_proj.weight"),
		output:  l.load(c.Width, c.Heads*c.Dim, at+"self_attn.o_proj.weight"),
		mlpNorm: l.norm(c.Width, at+"post_attention_layernorm.weight"),
		gateUp:  l.load(2*c.Inner, c.Width, at+"mlp.gate_proj.weight", at+"mlp.up_proj.weight"),
		down:    l.load(c.Width, c.Inner, at+"mlp.down_proj.weight"),
	}
}

// scale is the factor on q·k.
func (c Config) scale() float32 {
	if c.QueryScale != 0 {
		return float32(c.QueryScale)
	}
	return float32(1 / math.Sqrt(float64(c.Dim)))
}
