package llm_test

import (
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/internal/reference"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// sliding loads the tiny model as one of another family, whose config.json has some more lines.
func sliding(t *testing.T, family string, lines map[string]interface{}) (*llm.LLM, error) {
	t.Helper()
	return llm.Load(tiny(t, func(c map[string]interface{}) {
		c["architectures"] = []string{family}
		for k, v := range lines {
			c[k] = v
		}
	}, nil), cpu.New())
}

// TestWindows reads the windows of every family's config.json; the tiny model has three layers.
func TestWindows(t *testing.T) {
	for name, c := range map[string]struct {
		family string
		lines  map[string]interface{}
		want   []int
	}{
		"mistral":      {"MistralForCausalLM", map[string]interface{}{"sliding_window": 8}, []int{8, 8, 8}},
		"mistral null": {"MistralForCausalLM", map[string]interface{}{"sliding_window": nil}, []int{0, 0, 0}},
		"layer types": {"MistralForCausalLM", map[string]interface{}{
			"sliding_window": 8, "layer_types": []string{"full_attention", "sliding_attention", "full_attention"},
		}, []int{0, 8, 0}},
		"never left": {"MistralForCausalLM", map[string]interface{}{"sliding_window": 4096, "max_position_embeddings": 4096}, []int{0, 0, 0}},
		"llama":      {"LlamaForCausalLM", map[string]interface{}{"sliding_window": 8}, []int{0, 0, 0}},
	} {
		m, err := sliding(t, c.family, c.lines)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(m.Config.Windows, c.want) {
			t.Errorf("%s: windows %v, want %v", name, m.Config.Windows, c.want)
		}
	}
	for name, c := range map[string]struct {
		lines map[string]interface{}
		want  string
	}{
		"kind":     {map[string]interface{}{"sliding_window": 8, "layer_types": []string{"a", "b", "c"}}, `layer 0 is "a"`},
		"number":   {map[string]interface{}{"sliding_window": 8, "layer_types": []string{"full_attention"}}, "lists 1 layers"},
		"negative": {map[string]interface{}{"sliding_window": -8}, "-8"},
	} {
		if _, err := sliding(t, "MistralForCausalLM", c.lines); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %s", name, err, c.want)
		}
	}
}

// TestQwenWindows needs biases, which the tiny model lacks.
func TestQwenWindows(t *testing.T) {
	biases := func(list []weights.Tensor) []weights.Tensor {
		for _, x := range slices.Clone(list) {
			if base, ok := strings.CutSuffix(x.Name, "_proj.weight"); ok && strings.Contains(x.Name, "self_attn") && !strings.HasSuffix(base, "o") {
				list = append(list, weights.Tensor{Name: base + "_proj.bias", DType: weights.F32, Shape: x.Shape[:1], Data: make([]byte, 4*x.Shape[0])})
			}
		}
		return list
	}
	for _, use := range []bool{true, false} {
		m, err := llm.Load(tiny(t, func(c map[string]interface{}) {
			c["architectures"], c["sliding_window"], c["use_sliding_window"], c["max_window_layers"] = []string{"Qwen2ForCausalLM"}, 8, use, 2
		}, biases), cpu.New())
		if err != nil {
			t.Fatal(err)
		}
		want := []int{0, 0, 0}
		if use {
			want[2] = 8
		}
		if !reflect.DeepEqual(m.Config.Windows, want) {
			t.Errorf("use_sliding_window %v: windows %v, want %v", use, m.Config.Windows, want)
		}
	}
}

// TestWindowHidesTheFar changes a token far away, which three layers of windows cannot reach, and one within reach.
func TestWindowHidesTheFar(t *testing.T) {
	m, err := sliding(t, "MistralForCausalLM", map[string]interface{}{"sliding_window": 8})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(change int) [][]float32 {
		ids := make([]int, 80)
		for i := range ids {
			ids[i] = i + 1
		}
		ids[change] = 200
		s, err := m.PrefillTokens(context.Background(), ids, llm.Full())
		if err != nil {
			t.Fatal(err)
		}
		return logits(t, s, []int{90, 91})
	}
	const last, reach = 81, 3 * (8 - 1) // position of the last question token, and how far back its answer reaches
	far, farther, near := answer(last-reach-1), answer(3), answer(last-reach)
	if !reflect.DeepEqual(far, farther) {
		t.Error("tokens behind every window change the answer")
	}
	if reflect.DeepEqual(far[0], near[0]) {
		t.Error("a token within reach of the windows does not change the answer")
	}
}

// TestPressesOfWindows presses models with windows: layers with one stay whole, and what cannot work says why.
func TestPressesOfWindows(t *testing.T) {
	ids := make([]int, 100)
	for i := range ids {
		ids[i] = i + 1
	}
	m, err := sliding(t, "MistralForCausalLM", map[string]interface{}{
		"sliding_window": 8, "layer_types": []string{"sliding_attention", "full_attention", "full_attention"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.PrefillTokens(context.Background(), ids, llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	for _, spelling := range []string{"snapkv(window=16):0.5", "global(knorm):0.5", "adakv(knorm):0.5", "think(ratio=0.5)", "quantise(bits=8)"} {
		p, err := kvpress.Parse(spelling)
		if err != nil {
			t.Fatal(err)
		}
		pressed, err := s.Press(p)
		if err != nil {
			t.Errorf("%s: %v", spelling, err)
			continue
		}
		lens := pressed.Lens()
		if !reflect.DeepEqual(lens[0], []int{100, 100}) {
			t.Errorf("%s: the sliding layer holds %v pairs", spelling, lens[0])
		}
		if strings.HasSuffix(spelling, "v:0.5") && lens[1][0]+lens[2][1] >= 200 {
			t.Errorf("%s: the other layers hold %v pairs", spelling, lens[1:])
		}
		if _, err := pressed.AskTokens(context.Background(), []int{120, 121}, 3, nil, nil); err != nil {
			t.Errorf("%s: %v", spelling, err)
		}
	}
	for spelling, want := range map[string]string{"kvzip:0.5": "window", "rerotate(knorm:0.5)": "rerotate", "cam(knorm):0.5": "window"} {
		p, err := kvpress.Parse(spelling)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Press(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one about %s", spelling, err, want)
		}
	}

	// Where every layer slides, every layer is pressed, while reading too, and the window slides over what is kept.
	all, err := sliding(t, "MistralForCausalLM", map[string]interface{}{"sliding_window": 60})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = all.PrefillTokens(context.Background(), ids, llm.Full()); err != nil {
		t.Fatal(err)
	}
	knorm := kvpress.TopK(kvpress.Knorm{}, kvpress.Ratio(0.5))
	pressed, err := s.Press(knorm)
	if err != nil {
		t.Fatal(err)
	}
	reading, err := all.PrefillTokensWith(context.Background(), ids, knorm)
	if err != nil {
		t.Fatal(err)
	}
	if lens := pressed.Lens(); !reflect.DeepEqual(lens, [][]int{{50, 50}, {50, 50}, {50, 50}}) || !reflect.DeepEqual(reading.Lens(), lens) {
		t.Errorf("a model that slides everywhere holds %v, pressed while reading %v", lens, reading.Lens())
	}
	if a, b := logits(t, pressed, []int{120, 121}), logits(t, reading, []int{120, 121}); !reflect.DeepEqual(a, b) {
		t.Error("pressed while reading, it answers otherwise")
	}
}

// TestLogitCap bends the logits of the tiny Gemma3.
func TestLogitCap(t *testing.T) {
	repo, err := reference.Repository()
	if err != nil {
		t.Fatal(err)
	}
	m, err := llm.Load(filepath.Join(repo, "kvpress", "testdata", "reference", "models", "gemma3"), cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m.Config.Windows, []int{32, 0, 32, 0}) {
		t.Errorf("windows %v", m.Config.Windows)
	}
	capped := tinyOf(t, "gemma3", func(c map[string]interface{}) { c["final_logit_softcapping"] = 0.5 }, nil)
	bent, err := llm.Load(capped, cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	s, err := bent.PrefillTokens(context.Background(), []int{1, 2, 3}, llm.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	row := logits(t, s, []int{4})[0]
	if high := slices.Max(row); high > 0.5 || high < 0.1 {
		t.Errorf("the largest of the capped logits is %v", high)
	}
	// transformers caps the attention of no family here: Gemma3 has the field, and its attention leaves it alone.
	attention := func(c map[string]interface{}) { c["attn_logit_softcapping"] = 50 }
	if _, err := llm.Load(tinyOf(t, "gemma3", attention, nil), cpu.New()); err != nil {
		t.Error(err)
	}
	if _, err := llm.Load(tiny(t, attention, nil), cpu.New()); err == nil || !strings.Contains(err.Error(), "attn_logit_softcapping") {
		t.Errorf("capped attention: error %v", err)
	}
}

// TestGemma3WithPictures loads the same numbers from the files of a model that also looks at pictures.
func TestGemma3WithPictures(t *testing.T) {
	outer := func(c map[string]interface{}) {
		text := map[string]interface{}{}
		for k, v := range c {
			text[k] = v
			delete(c, k)
		}
		text["rope_local_base_freq"], text["rope_theta"] = 10000, 1000000
		delete(text, "rope_parameters")
		c["architectures"], c["text_config"] = []string{"Gemma3ForConditionalGeneration"}, text
	}
	rename := func(list []weights.Tensor) []weights.Tensor {
		for i := range list {
			list[i].Name = "language_model." + list[i].Name
		}
		return list
	}
	var answers [][][]float32
	for _, dir := range []string{tinyOf(t, "gemma3", nil, nil), tinyOf(t, "gemma3", outer, rename)} {
		m, err := llm.Load(dir, cpu.New())
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.PrefillTokens(context.Background(), []int{1, 2, 3, 4, 5}, llm.KeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, logits(t, s, []int{4, 9}))
	}
	if !reflect.DeepEqual(answers[0], answers[1]) {
		t.Error("the two layouts of files give other logits")
	}
}
