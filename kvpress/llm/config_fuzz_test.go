package llm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/internal/bounded"
)

// FuzzConfig reads any config.json: an error or sizes that fit together, and nothing in between.
func FuzzConfig(f *testing.F) {
	for _, family := range []string{"llama", "gemma3"} {
		text, err := os.ReadFile(filepath.Join("..", "testdata", "reference", "models", family, "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, []byte(`{"eos_token_id": [1, 2]}`))
	}
	f.Add([]byte(`{"architectures":["MistralForCausalLM"],"hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":8,"vocab_size":9,"sliding_window":4,"rope_scaling":{"type":"linear","factor":2}}`), []byte(nil))
	f.Fuzz(func(t *testing.T, config, generation []byte) {
		bounded.Run(t, func() { readAny(t, config, generation) })
	})
}

// readAny parses a configuration and checks what was accepted.
func readAny(t *testing.T, config, generation []byte) {
	c, err := parseConfig(config, generation)
	if err != nil {
		return
	}
	if len(c.Windows) != c.Layers || c.Heads%c.KVHeads != 0 {
		t.Errorf("%d windows of %d layers, %d query heads over %d", len(c.Windows), c.Layers, c.Heads, c.KVHeads)
	}
	c.Rope.table(0)
	c.Rope.table(c.Rope.Original + 1)
	c.WindowRope.table(0)
}
