package llm

func init() { architectures["Phi3ForCausalLM"] = newPhi3 }

// newPhi3 loads a Phi3: a Llama whose queries, keys and values, and whose gate and up projections, are stored as one
// matrix each.
func newPhi3(c Config, l *loader) (*decoder, error) {
	return l.decoder(c, func(c Config, at string) block {
		return block{
			attentionNorm: l.norm(c.Width, at+"input_layernorm.weight"),
			qkv:           l.load((c.Heads+2*c.KVHeads)*c.Dim, c.Width, at+"self_attn.qkv_proj.weight"),
			output:        l.load(c.Width, c.Heads*c.Dim, at+"self_attn.o_proj.weight"),
			mlpNorm:       l.norm(c.Width, at+"post_attention_layernorm.weight"),
			gateUp:        l.load(2*c.Inner, c.Width, at+"mlp.gate_up_proj.weight"),
			down:          l.load(c.Width, c.Inner, at+"mlp.down_proj.weight"),
		}
	})
}
