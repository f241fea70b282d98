package llm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/internal/reference"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// ggufParts are the names of a block's tensors, Hugging Face's and GGUF's.
var ggufParts = strings.NewReplacer(
	"model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output", "model.layers.", "blk.",
	"self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k", "self_attn.v_proj", "attn_v", "self_attn.qkv_proj", "attn_qkv", "self_attn.o_proj", "attn_output",
	"self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm", "input_layernorm", "attn_norm",
	"mlp.gate_proj", "ffn_gate", "mlp.gate_up_proj", "ffn_up", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down",
	"pre_feedforward_layernorm", "ffn_norm", "post_feedforward_layernorm", "post_ffw_norm",
)

// writeGGUF writes a tiny model of the test data as llama.cpp would; packed, if not nil, says how a matrix is packed.
func writeGGUF(t *testing.T, dir, architecture, path string, packed func(name string) weights.DType) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Layers  int     `json:"num_hidden_layers"`
		Width   int     `json:"hidden_size"`
		Inner   int     `json:"intermediate_size"`
		Heads   int     `json:"num_attention_heads"`
		KVHeads int     `json:"num_key_value_heads"`
		Dim     int     `json:"head_dim"`
		Context int     `json:"max_position_embeddings"`
		Window  int     `json:"sliding_window"`
		Epsilon float64 `json:"rms_norm_eps"`
		Rope    struct {
			Theta float64 `json:"rope_theta"`
			Full  struct {
				Theta float64 `json:"rope_theta"`
			} `json:"full_attention"`
		} `json:"rope_parameters"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	var pairs, infos, body bytes.Buffer
	put := func(b *bytes.Buffer, values ...interface{}) {
		for _, v := range values {
			if s, ok := v.(string); ok {
				v = append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...)
			}
			if err := binary.Write(b, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	count := 0
	pair := func(key string, values ...interface{}) {
		count++
		put(&pairs, key)
		put(&pairs, values...)
	}
	pair("general.architecture", uint32(8), architecture)
	for key, v := range map[string]int{
		"block_count": c.Layers, "embedding_length": c.Width, "feed_forward_length": c.Inner, "attention.head_count": c.Heads,
		"attention.head_count_kv": c.KVHeads, "attention.key_length": c.Dim, "context_length": c.Context, "attention.sliding_window": c.Window,
	} {
		pair(architecture+"."+key, uint32(4), uint32(v))
	}
	pair(architecture+".rope.freq_base", uint32(6), float32(max(c.Rope.Theta, c.Rope.Full.Theta)))
	pair(architecture+".attention.layer_norm_rms_epsilon", uint32(6), float32(c.Epsilon))
	pair("tokenizer.ggml.model", uint32(8), "gpt2")
	pair("tokenizer.ggml.pre", uint32(8), "qwen2")
	tokens := []interface{}{uint32(9), uint32(8), uint64(256)}
	for i := range 256 {
		tokens = append(tokens, fmt.Sprintf("t%d", i))
	}
	pair("tokenizer.ggml.tokens", tokens...)
	pair("tokenizer.ggml.merges", uint32(9), uint32(8), uint64(0))

	f, err := weights.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range f.Names() {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		numbers, err := x.Float32()
		if err != nil {
			t.Fatal(err)
		}
		heads := map[string]int{"q_proj.weight": c.Heads, "k_proj.weight": c.KVHeads}[name[strings.LastIndex(name, ".self_attn.")+len(".self_attn."):]]
		if architecture == "llama" && heads > 0 {
			numbers = interleaved(numbers, x.Shape, heads)
		}
		if architecture == "gemma3" && strings.HasSuffix(name, "norm.weight") {
			for i := range numbers {
				numbers[i]++
			}
		}
		to := ggufParts.Replace(name)
		if architecture == "gemma3" {
			to = strings.Replace(to, "post_attention_layernorm", "post_attention_norm", 1)
		}
		put(&infos, strings.Replace(to, "post_attention_layernorm", "ffn_norm", 1), uint32(len(x.Shape)))
		for i := range x.Shape {
			put(&infos, uint64(x.Shape[len(x.Shape)-1-i]))
		}
		made := weights.Floats(to, numbers, x.Shape...)
		if packed != nil && len(x.Shape) == 2 {
			if made, err = made.Rounded(packed(to)); err != nil {
				t.Fatal(err)
			}
		}
		put(&infos, map[weights.DType]uint32{weights.F32: 0, weights.Q4_1: 3, weights.Q8_0: 8}[made.DType], uint64(body.Len()))
		body.Write(made.Data)
		body.Write(make([]byte, -body.Len()&31))
	}
	var all bytes.Buffer
	all.WriteString("GGUF")
	put(&all, uint32(3), uint64(len(f.Names())), uint64(count))
	all.Write(pairs.Bytes())
	all.Write(infos.Bytes())
	all.Write(make([]byte, -all.Len()&31))
	all.Write(body.Bytes())
	if err := os.WriteFile(path, all.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// interleaved puts the two channels of every rotating pair side by side.
func interleaved(numbers []float32, shape []int, heads int) []float32 {
	out, dim, cols := make([]float32, len(numbers)), shape[0]/heads, shape[1]
	for row := range shape[0] {
		h, r := row/dim, row%dim
		to := h*dim + 2*(r%(dim/2)) + r/(dim/2)
		copy(out[to*cols:(to+1)*cols], numbers[row*cols:(row+1)*cols])
	}
	return out
}

// TestGGUFFamilies writes tiny models as GGUF, converts them back, and compares what they answer.
func TestGGUFFamilies(t *testing.T) {
	roots := reference.Roots(t)
	for architecture, family := range map[string]string{"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "phi3": "phi3", "gemma3": "gemma3"} {
		t.Run(architecture, func(t *testing.T) {
			dir := ""
			for _, root := range roots {
				if _, err := os.Stat(filepath.Join(root, "models", family)); err == nil {
					dir = filepath.Join(root, "models", family)
				}
			}
			if dir == "" {
				t.Skipf("NOT RUN: the full reference data, with a tiny %s, is not here", family)
			}
			path, made := filepath.Join(t.TempDir(), "tiny.gguf"), t.TempDir()
			writeGGUF(t, dir, architecture, path, nil)
			if err := hub.Convert(context.Background(), path, made, nil); err != nil {
				t.Fatal(err)
			}
			if architecture == "gemma3" { // every sixth layer is full in what is published, here every second
				config := filepath.Join(made, "config.json")
				text, err := os.ReadFile(config)
				if err != nil {
					t.Fatal(err)
				}
				text = bytes.Replace(text, []byte("{"), []byte(`{"sliding_window_pattern": 2,`), 1)
				if err := os.WriteFile(config, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			like := alike(t, dir, made)
			if !(like > 0.9995) {
				t.Errorf("the converted model answers otherwise: cosine %v", like)
			}
			t.Logf("cosine of the logits after rounding to bfloat16: %.6f", like)
		})
	}
}

// alike is the cosine between the logits that two models find after the same tokens.
func alike(t *testing.T, models ...string) float64 {
	t.Helper()
	var answers [2][]float32
	for i, from := range models {
		m, err := llm.Load(from, cpu.New())
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]int, 30)
		for j := range ids {
			ids[j] = 3 * j
		}
		s, err := m.PrefillTokens(context.Background(), ids, llm.KeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		answers[i] = logits(t, s, []int{200, 100})[0]
	}
	return cosine(answers[0], answers[1])
}

func cosine(x, y []float32) float64 {
	var dot, a, b float64
	for i, v := range x {
		w := y[i]
		dot, a, b = dot+float64(v*w), a+float64(v*v), b+float64(w*w)
	}
	return dot / math.Sqrt(a*b)
}

// TestGGUFAsItIs takes a GGUF file as a model: groups stay what they are, byte for byte; a matrix of two kinds becomes
// bfloat16; and it answers as the folder does that it is converted to.
func TestGGUFAsItIs(t *testing.T) {
	dir := filepath.Join("..", "testdata", "reference", "models", "llama")
	path, made := filepath.Join(t.TempDir(), "tiny.gguf"), t.TempDir()
	packed := func(name string) weights.DType {
		if name == "token_embd.weight" || strings.HasSuffix(name, "1.attn_v.weight") {
			return weights.Q8_0
		}
		return weights.Q4_1
	}
	writeGGUF(t, dir, "llama", path, packed)
	if err := hub.Convert(context.Background(), path, made, nil); err != nil {
		t.Fatal(err)
	}
	if like := alike(t, path, made); !(like > 0.9995) {
		t.Errorf("the file as it is answers otherwise than converted to bfloat16: cosine %v", like)
	} else {
		t.Logf("cosine of the logits, groups against bfloat16: %.6f", like)
	}
	m, err := llm.Load(path, cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	c := m.Config
	queries, rest := (c.Heads+2*c.KVHeads)*c.Dim, c.Width*c.Heads*c.Dim+3*c.Width*c.Inner
	numbers := c.Layers*(queries*c.Width+rest) - queries*c.Width + c.Vocabulary*c.Width // in Q4_1: the head too
	want := numbers*20/32 + c.Vocabulary*c.Width*34/32 + 2*queries*c.Width + 4*c.Width*(2*c.Layers+1)
	if m.Bytes() != int64(want) {
		t.Errorf("weights take %d bytes, want %d", m.Bytes(), want)
	}
	e, err := llm.EstimateFor(context.Background(), path, 100)
	if err != nil {
		t.Fatal(err)
	}
	// The two kinds of one matrix are 4 and 8 bits in the file, and 16 in memory.
	if e.Weights > m.Bytes() || e.Weights < m.Bytes()*9/10 {
		t.Errorf("weights are estimated as %d bytes, they take %d", e.Weights, m.Bytes())
	}
}
