//go:build cuda && cgo

package cuda_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/cuda"
	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A figure is what one context under one press took.
type figure struct {
	Context        int     `json:"context"`
	Press          string  `json:"press"`
	How            string  `json:"how"` // "copy": Prefill, then Press; "with": PrefillWith
	PrefillSeconds float64 `json:"prefill_seconds"`
	PressSeconds   float64 `json:"press_seconds"`
	Overhead       float64 `json:"overhead"`     // what prefill and press take more than a prefill without any press, as a share of that; medians of runs in turn
	TokenMillis    float64 `json:"token_millis"` // median of a decoded token, choosing it included
	KVBytes        int64   `json:"kv_bytes"`
	KVShare        float64 `json:"kv_share"`   // of the bytes of the whole context
	PeakBytes      int64   `json:"peak_bytes"` // of everything on the card, prefill and press
	Longest        int     `json:"longest_head"`
	Shortest       int     `json:"shortest_head"`
}

// TestSpeed measures a model of the shape of Llama 3 8B with random weights, where KVNOTES_RESULTS names the file to
// write; KVNOTES_CONTEXT=32768 leaves longer contexts out.
func TestSpeed(t *testing.T) {
	out := os.Getenv("KVNOTES_RESULTS")
	if out == "" {
		t.Skip("NOT RUN: KVNOTES_RESULTS names no file for the figures")
	}
	b := open(t, cuda.Options{})
	dir, err := os.MkdirTemp("/dev/shm", "kvnotes") //nolint:usetesting // 16 GiB: memory, not a disk
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	write8B(t, dir)
	m, err := llm.Load(dir, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	var figures []figure
	note := func(f figure) {
		figures = append(figures, f)
		text, err := json.MarshalIndent(figures, "", "\t")
		if err == nil {
			err = os.WriteFile(out, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", f)
	}
	contexts := []int{4096, 32768, 131072}
	if most := os.Getenv("KVNOTES_CONTEXT"); most != "" {
		for i, n := range contexts {
			if most == strconv.Itoa(n) {
				contexts = contexts[:i+1]
				break
			}
		}
	}
	for _, context := range contexts {
		measure(t, b.(*cuda.Backend), m, context, note)
	}
}

func parse(t *testing.T, spelling string) kvpress.Press {
	t.Helper()
	p, err := kvpress.Parse(spelling)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// measure asks one context, whole and pressed.
func measure(t *testing.T, b *cuda.Backend, m *llm.LLM, tokens int, note func(figure)) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(1, uint64(tokens)))
	ids := make([]int, tokens)
	for i := range ids {
		ids[i] = r.IntN(m.Config.Vocabulary)
	}
	presses := []kvpress.Press{parse(t, "adasnapkv:0.5"), parse(t, "adasnapkv:0.9")}
	seconds := map[string][]float64{} // of prefills with their presses
	prefill := func(way string) *llm.Session {
		b.Memory()
		var s *llm.Session
		var err error
		switch way {
		case "bare":
			s, err = m.PrefillTokens(ctx, ids, llm.KeysOnly())
		case "copy none":
			s, err = m.PrefillTokens(ctx, ids, llm.Record{Windows: []int{64}})
		default:
			s, err = m.PrefillTokensWith(ctx, ids, parse(t, strings.TrimPrefix(way, "with ")))
		}
		if err != nil {
			t.Fatal(err)
		}
		seconds[way] = append(seconds[way], s.PrefillSeconds()+s.PressSeconds())
		return s
	}
	runs := 5
	if tokens > 32768 {
		runs = 1
	}
	for i := range runs {
		for _, way := range []string{"bare", "copy none", "with adasnapkv:0.5", "with adasnapkv:0.9"} {
			if i+1 < runs || way == "bare" { // the others' last runs are those that are looked at below
				prefill(way).Close()
			}
		}
	}
	median := func(way string) float64 {
		all := slices.Sorted(slices.Values(seconds[way]))
		return all[len(all)/2]
	}
	take := func(s *llm.Session, how string) figure {
		_, peak := b.Memory()
		a, err := s.AskTokens(ctx, ids[:1], 33, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := figure{
			Context: tokens, Press: s.PressName(), How: how, PrefillSeconds: s.PrefillSeconds(), PressSeconds: s.PressSeconds(), TokenMillis: a.TokenMillis,
			KVBytes: s.Bytes().KV, KVShare: float64(s.Bytes().KV) / float64(s.Bytes().Full), PeakBytes: peak, Shortest: tokens,
		}
		f.Overhead = (f.PrefillSeconds+f.PressSeconds)/median("bare") - 1
		if way := how + " " + f.Press; len(seconds[way]) > 0 {
			f.Overhead = median(way)/median("bare") - 1
		}
		for _, layer := range s.Lens() {
			for _, n := range layer {
				f.Longest, f.Shortest = max(f.Longest, n), min(f.Shortest, n)
			}
		}
		note(f)
		return f
	}
	whole := prefill("copy none")
	take(whole, "copy")
	for _, p := range append([]kvpress.Press{even{}, uneven{}}, presses...) {
		s, err := whole.Press(p)
		if err != nil {
			t.Fatal(err)
		}
		take(s, "copy")
		s.Close()
	}
	whole.Close()
	for i, p := range presses {
		s := prefill("with " + p.Name())
		f := take(s, "with")
		s.Close()
		stays := []float64{0.5, 0.1}[i]
		if tokens >= 32768 && (f.KVShare > 1.03*stays || f.KVShare < 0.97*stays) {
			t.Errorf("%s of %d tokens: %.4f of the bytes stay", f.Press, tokens, f.KVShare)
		}
		if most := []float64{37.6, 31.2}[i]; tokens == 131072 && float64(f.PeakBytes)/(1<<30) > most { // GiB, of kvpress with equal heads
			t.Errorf("%s of %d tokens: a peak of %.1f GiB, at most %.1f are wanted", f.Press, tokens, float64(f.PeakBytes)/(1<<30), most)
		}
	}
}

// Even and uneven keep a quarter of all pairs of a layer: the first of each head, or all of one head and the rest of the
// others.
type (
	even   struct{}
	uneven struct{}
)

func (even) Name() string   { return "a quarter of every head" }
func (uneven) Name() string { return "one head whole, a quarter of all" }

func (even) Plan(l *kvpress.Layer) (kvpress.Plan, error) { return firsts(l, l.Len/4), nil }
func (uneven) Plan(l *kvpress.Layer) (kvpress.Plan, error) {
	return firsts(l, l.Len, (l.KVHeads*(l.Len/4)-l.Len)/(l.KVHeads-1)), nil
}

// firsts keeps the first so many pairs of the first heads, and as many as in the last of them of all others.
func firsts(l *kvpress.Layer, pairs ...int) kvpress.Plan {
	plan := kvpress.KeepAll(l)
	for h := range plan.Keep {
		plan.Keep[h] = plan.Keep[h][:pairs[min(h, len(pairs)-1)]]
	}
	return plan
}

// write8B writes a model folder with random weights: 32 layers, 32 query heads, 8 KV heads of 128 channels.
func write8B(t *testing.T, dir string) {
	const width, inner, vocabulary, layers, kv = 4096, 14336, 128256, 32, 1024
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header, at := map[string]entry{}, int64(0)
	var order []string
	add := func(name string, shape ...int) {
		n := int64(2)
		for _, s := range shape {
			n *= int64(s)
		}
		header[name] = entry{"BF16", shape, [2]int64{at, at + n}}
		at += n
		order = append(order, name)
	}
	add("model.embed_tokens.weight", vocabulary, width)
	for i := range layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		add(p+"input_layernorm.weight", width)
		add(p+"self_attn.q_proj.weight", width, width)
		add(p+"self_attn.k_proj.weight", kv, width)
		add(p+"self_attn.v_proj.weight", kv, width)
		add(p+"self_attn.o_proj.weight", width, width)
		add(p+"post_attention_layernorm.weight", width)
		add(p+"mlp.gate_proj.weight", inner, width)
		add(p+"mlp.up_proj.weight", inner, width)
		add(p+"mlp.down_proj.weight", width, inner)
	}
	add("model.norm.weight", width)
	add("lm_head.weight", vocabulary, width)
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	if _, err := f.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(8, 8))
	x := random(r, 1<<24)
	tensor.Scale(x, 0.02)
	noise, ones := make([]byte, 2*len(x)), make([]byte, 2*width)
	tensor.ToBF16(noise, x)
	for i := range x[:width] {
		x[i] = 1
	}
	tensor.ToBF16(ones, x[:width])
	for _, name := range order {
		e := header[name]
		if len(e.Shape) == 1 {
			_, err = f.Write(ones)
		}
		for left := e.Offsets[1] - e.Offsets[0]; len(e.Shape) == 2 && left > 0 && err == nil; {
			skip := 2 * r.Int64N(1<<20) // so that no two rows of a weight begin alike
			n := min(left, int64(len(noise))-skip)
			_, err = f.Write(noise[skip : skip+n])
			left -= n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d,
		"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": %d, "max_position_embeddings": 140000, "rms_norm_eps": 1e-5,
		"rope_theta": 500000.0, "hidden_act": "silu", "tie_word_embeddings": false, "torch_dtype": "bfloat16"}`, width, inner, layers, vocabulary)
	for name, data := range map[string][]byte{"config.json": []byte(config), "tokenizer.json": needle.Tokenizer} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingLeaks opens and closes sessions and compares the memory of the card, as we count it and as the driver does.
func TestNothingLeaks(t *testing.T) {
	b := open(t, cuda.Options{})
	m, err := llm.Load("needle", b)
	if err != nil {
		t.Fatal(err)
	}
	var first, firstFree int64
	for i := range 51 {
		s, err := m.Prefill(context.Background(), "The warehouse of Lisbon keeps 42 crates.", llm.Full())
		if err != nil {
			t.Fatal(err)
		}
		for _, spelling := range []string{"snapkv(window=4):0.5", "quantise(bits=4)"} {
			pressed, err := s.Press(parse(t, spelling))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pressed.Ask(context.Background(), "How many?", 5); err != nil {
				t.Fatal(err)
			}
			pressed.Close()
		}
		s.Close()
		if i == 0 {
			first, _ = b.(*cuda.Backend).Memory()
			firstFree = cuda.Free(b)
		}
	}
	if held, _ := b.(*cuda.Backend).Memory(); held > first+1<<20 {
		t.Errorf("%d bytes are held after one session, %d after 51", first, held)
	}
	if free := cuda.Free(b); free < firstFree-2<<20 { // the driver takes memory in pieces of 2 MiB
		t.Errorf("%d bytes of the card are free after one session, %d after 51", firstFree, free)
	}
}
