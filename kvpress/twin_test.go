package kvpress_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// A twin is a plain Llama forward over one context, written for reading: it shows where the numbers of a Layer come
// from, without a runtime.
type twin struct {
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"`
	KVHeads    int     `json:"num_key_value_heads"`
	Dim        int     `json:"head_dim"`
	Width      int     `json:"hidden_size"`
	Epsilon    float32 `json:"rms_norm_eps"`
	Type       string  `json:"model_type"`
	Parameters struct {
		Theta float64 `json:"rope_theta"`
		Type  string  `json:"rope_type"`
	} `json:"rope_parameters"`

	weights *weights.File
	rope    tensor.Rope
	layers  []*kvpress.Layer
}

// readTwin runs the model of a folder over a context; nil for an architecture other than plain Llama.
func readTwin(t *testing.T, dir string, context []int) *twin {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	m := &twin{}
	if err := json.Unmarshal(text, m); err != nil {
		t.Fatal(err)
	}
	if (m.Type != "llama" && m.Type != "mistral") || m.Parameters.Type != "default" {
		return nil
	}
	if m.weights, err = weights.OpenFolder(dir); err != nil {
		t.Fatal(err)
	}
	m.rope = tensor.Rope{Scale: 1}
	for i := range m.Dim / 2 {
		m.rope.Freq = append(m.rope.Freq, 1/float32(math.Pow(m.Parameters.Theta, float64(float32(2*i)/float32(m.Dim)))))
	}
	table := m.matrix(t, "model.embed_tokens.weight")
	x := tensor.New(len(context), m.Width)
	for i, id := range context {
		copy(x.Row(i), table.Row(id))
	}
	for i := range m.Layers {
		m.block(t, i, x)
	}
	return m
}

// block runs one decoder block over x in place and keeps the layer that a press would see.
func (m *twin) block(t *testing.T, index int, x tensor.Mat) {
	name := "model.layers." + strconv.Itoa(index) + "."
	hidden := m.norm(t, x, name+"input_layernorm.weight")
	q := product(hidden, m.matrix(t, name+"self_attn.q_proj.weight"))
	k := product(hidden, m.matrix(t, name+"self_attn.k_proj.weight"))
	v := product(hidden, m.matrix(t, name+"self_attn.v_proj.weight"))
	out := m.matrix(t, name+"self_attn.o_proj.weight")

	host := &kvpress.Host{Tokens: x.Rows, Dim: m.Dim, Group: m.Heads / m.KVHeads, Rope: func(int) tensor.Rope { return m.rope }}
	host.States = func() (tensor.Mat, error) { return hidden.Clone(), nil }
	host.Query = func(head, last int) (tensor.Mat, error) {
		return columns(tensor.Mat{Rows: last, Cols: q.Cols, Data: q.Data[(q.Rows-last)*q.Cols:]}, head, m.Dim), nil
	}
	host.Project = func(head int, states tensor.Mat) (tensor.Mat, error) {
		return columns(product(states, m.matrix(t, name+"self_attn.q_proj.weight")), head, m.Dim), nil
	}
	host.KeyStart = func(head int) (tensor.Mat, error) { return columns(k, head, m.Dim), nil }
	host.Output = func(head int) (tensor.Mat, error) { return columns(out, head, m.Dim), nil }
	for h := range m.KVHeads {
		keys := columns(k, h, m.Dim)
		for i := range keys.Rows {
			m.rope.Rotate(keys.Row(i), i)
		}
		host.K, host.V = append(host.K, keys), append(host.V, columns(v, h, m.Dim))
	}
	sizes := kvpress.Layer{
		Index: index, Layers: m.Layers, Heads: m.Heads, KVHeads: m.KVHeads, Dim: m.Dim, Width: m.Width,
		Len: x.Rows, Tokens: x.Rows, PairBytes: 8 * m.Dim,
	}
	m.layers = append(m.layers, kvpress.NewLayer(sizes, host))

	mixed := tensor.New(x.Rows, m.Heads*m.Dim)
	for head := range m.Heads {
		m.attend(t, host, head, mixed)
	}
	tensor.Add(x.Data, product(mixed, out).Data)
	after := m.norm(t, x, name+"post_attention_layernorm.weight")
	gate := product(after, m.matrix(t, name+"mlp.gate_proj.weight"))
	tensor.SiLUMul(gate.Data, gate.Data, product(after, m.matrix(t, name+"mlp.up_proj.weight")).Data)
	tensor.Add(x.Data, product(gate, m.matrix(t, name+"mlp.down_proj.weight")).Data)
}

// attend writes the causal attention of one query head into its columns of mixed.
func (m *twin) attend(t *testing.T, host *kvpress.Host, head int, mixed tensor.Mat) {
	q, err := host.QueriesAfterRope(head, mixed.Rows)
	if err != nil {
		t.Fatal(err)
	}
	keys, values := host.K[head/host.Group], host.V[head/host.Group]
	logits := product(q, keys)
	for i := range q.Rows {
		row := logits.Row(i)[:i+1]
		tensor.Scale(row, host.Scaling())
		tensor.Softmax(row)
		for j, w := range row {
			tensor.AddScaled(mixed.Row(i)[head*m.Dim:(head+1)*m.Dim], w, values.Row(j))
		}
	}
}

func (m *twin) norm(t *testing.T, x tensor.Mat, name string) tensor.Mat {
	y, w := tensor.New(x.Rows, x.Cols), m.matrix(t, name)
	for i := range x.Rows {
		tensor.RMSNorm(y.Row(i), x.Row(i), w.Data, m.Epsilon)
	}
	return y
}

// matrix reads a float32 tensor; a vector becomes one row.
func (m *twin) matrix(t *testing.T, name string) tensor.Mat {
	t.Helper()
	w, err := m.weights.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	x, err := w.Float32()
	if err != nil {
		t.Fatal(err)
	}
	mat := tensor.Mat{Rows: 1, Cols: len(x), Data: x}
	if len(w.Shape) == 2 {
		mat.Rows, mat.Cols = w.Shape[0], w.Shape[1]
	}
	return mat
}

// product is x·wᵀ.
func product(x, w tensor.Mat) tensor.Mat {
	y := tensor.New(x.Rows, w.Rows)
	tensor.MulT(y, x, w)
	return y
}

// columns is the block of columns of one head.
func columns(x tensor.Mat, head, dim int) tensor.Mat {
	return x.Columns(head*dim, (head+1)*dim)
}
