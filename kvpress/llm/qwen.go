package llm

func init() {
	architectures["Qwen2ForCausalLM"] = newQwen2
	architectures["Qwen3ForCausalLM"] = newQwen3
}

// newQwen2 loads a Qwen2: a Llama whose queries, keys and values have biases.
func newQwen2(c Config, l *loader) (*decoder, error) {
	return l.decoder(c, func(c Config, at string) block {
		k := l.llamaBlock(c, at)
		k.bias = l.vector((c.Heads+2*c.KVHeads)*c.Dim, at+"self_attn.q_proj.bias", at+"self_attn.k_proj.bias", at+"self_attn.v_proj.bias")
		return k
	})
}

// newQwen3 loads a Qwen3: a Llama whose query and key heads are normed before they rotate.
func newQwen3(c Config, l *loader) (*decoder, error) {
	return l.decoder(c, func(c Config, at string) block {
		k := l.llamaBlock(c, at)
		k.queryNorm = l.vector(c.Dim, at+"self_attn.q_norm.weight")
		k.keyNorm = l.vector(c.Dim, at+"self_attn.k_norm.weight")
		return k
	})
}
