package llm_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/internal/reference"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// tiny copies the tiny Llama of the test data into a folder of its own, with changes to its configuration and its
// tensors.
func tiny(t *testing.T, change func(config map[string]interface{}), tensors func(list []weights.Tensor) []weights.Tensor) string {
	t.Helper()
	return tinyOf(t, "llama", change, tensors)
}

// tinyOf is tiny for another family of the test data.
func tinyOf(t *testing.T, family string, change func(config map[string]interface{}), tensors func(list []weights.Tensor) []weights.Tensor) string {
	t.Helper()
	repo, err := reference.Repository()
	if err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(repo, "kvpress", "testdata", "reference", "models", family), t.TempDir()
	text, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]interface{}{}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(config)
	}
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	tokenizer, err := os.ReadFile(filepath.Join(from, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "tokenizer.json"), tokenizer, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := weights.OpenFolder(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []weights.Tensor
	for _, name := range f.Names() {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		x.Data = append([]byte(nil), x.Data...)
		list = append(list, x)
	}
	if tensors != nil {
		list = tensors(list)
	}
	if err := weights.Write(filepath.Join(to, "model.safetensors"), list, nil); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestConfigsHaveTwoSpellings loads the same model from a config of transformers 5 and from a published one.
func TestConfigsHaveTwoSpellings(t *testing.T) {
	old := func(scaling map[string]interface{}) func(c map[string]interface{}) {
		return func(c map[string]interface{}) {
			delete(c, "rope_parameters")
			delete(c, "dtype")
			c["rope_theta"], c["torch_dtype"], c["rope_scaling"] = 10000.0, "float32", nil
			if scaling != nil {
				c["rope_scaling"] = scaling
			}
		}
	}
	modern := func(scaling map[string]interface{}) func(c map[string]interface{}) {
		return func(c map[string]interface{}) {
			p := map[string]interface{}{"rope_theta": 10000.0, "rope_type": "default"}
			for k, v := range scaling {
				p[k] = v
			}
			c["rope_parameters"] = p
		}
	}
	llama3 := map[string]interface{}{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64.0}
	linear := map[string]interface{}{"rope_type": "linear", "factor": 2.0}
	oldLinear := map[string]interface{}{"type": "linear", "factor": 2.0}
	for name, twins := range map[string][2]func(c map[string]interface{}){
		"default": {modern(nil), old(nil)}, "llama3": {modern(llama3), old(llama3)}, "linear": {modern(linear), old(oldLinear)},
	} {
		var configs []llm.Config
		var answers [][][]float32
		for _, twin := range twins {
			m, err := llm.Load(tiny(t, twin, nil), cpu.New())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			s, err := m.PrefillTokens(context.Background(), []int{1, 2, 3, 4, 5, 6, 7, 8}, llm.Full())
			if err != nil {
				t.Fatal(err)
			}
			configs, answers = append(configs, m.Config), append(answers, logits(t, s, []int{9, 10}))
		}
		if !reflect.DeepEqual(configs[0], configs[1]) || !reflect.DeepEqual(answers[0], answers[1]) {
			t.Errorf("%s: the spellings give %+v and %+v", name, configs[0].Rope, configs[1].Rope)
		}
	}
}

func TestBadModelsAreErrors(t *testing.T) {
	set := func(key string, value interface{}) func(c map[string]interface{}) {
		return func(c map[string]interface{}) { c[key] = value }
	}
	nan := func(list []weights.Tensor) []weights.Tensor {
		bits := math.Float32bits(float32(math.NaN()))
		for _, x := range list {
			if x.Name == "model.layers.1.mlp.down_proj.weight" {
				x.Data[8], x.Data[9], x.Data[10], x.Data[11] = byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24)
			}
		}
		return list
	}
	drop := func(name string) func(list []weights.Tensor) []weights.Tensor {
		return func(list []weights.Tensor) []weights.Tensor {
			var rest []weights.Tensor
			for _, x := range list {
				if x.Name != name {
					rest = append(rest, x)
				}
			}
			return rest
		}
	}
	scalar := func(list []weights.Tensor) []weights.Tensor {
		for i, x := range list {
			if x.Name == "model.embed_tokens.weight" {
				list[i].Shape, list[i].Data = []int{}, x.Data[:4]
			}
		}
		return list
	}
	for name, c := range map[string]struct {
		config  func(c map[string]interface{})
		tensors func(list []weights.Tensor) []weights.Tensor
		want    []string
	}{
		"type":       {set("architectures", []string{"BertModel"}), nil, []string{"BertModel", "not supported", "LlamaForCausalLM"}},
		"no type":    {set("architectures", []string{}), nil, []string{"architectures"}},
		"rope":       {set("rope_parameters", map[string]interface{}{"rope_type": "spiral"}), nil, []string{"spiral", "not supported"}},
		"heads":      {set("num_key_value_heads", 3), nil, []string{"4 query heads", "3 key-value heads"}},
		"huge":       {set("hidden_size", 1<<40), nil, []string{"hidden_size"}},
		"negative":   {set("num_hidden_layers", -1), nil, []string{"num_hidden_layers"}},
		"no number":  {set("vocab_size", "many"), nil, []string{"config.json"}},
		"layers":     {set("num_hidden_layers", 9), nil, []string{"model.layers.3"}},
		"width":      {set("intermediate_size", 64), nil, []string{"gate_proj", "config.json"}},
		"activation": {set("hidden_act", "relu6"), nil, []string{"relu6", "silu"}},
		"NaN":        {nil, nan, []string{"model.layers.1.mlp.down_proj.weight", "NaN", "number 2"}},
		"scalar":     {nil, scalar, []string{"model.embed_tokens.weight", "shape []", "columns"}},
		"missing":    {nil, drop("model.norm.weight"), []string{"model.norm.weight", "model.safetensors"}},
	} {
		_, err := llm.Load(tiny(t, c.config, c.tensors), cpu.New())
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", name, err, w)
			}
		}
	}
}

func TestSessionsOfOtherModelsAreRefused(t *testing.T) {
	m, err := llm.Load(tiny(t, nil, nil), cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.PrefillTokens(context.Background(), []int{1, 2, 3}, llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "session")
	if err := s.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := loadNeedle(t).LoadSession(path); err == nil || !strings.Contains(err.Error(), m.Name) || !strings.Contains(err.Error(), "needle") {
		t.Errorf("a session of another model: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 10, len(text) / 2, len(text) - 1} {
		if err := os.WriteFile(path, text[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.LoadSession(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("a session cut at byte %d: %v", n, err)
		}
	}
}

func TestEmptyText(t *testing.T) {
	s, err := loadNeedle(t).Prefill(context.Background(), "", llm.Full())
	if err != nil { // the chat template still has something to read
		t.Fatal(err)
	}
	if _, err := s.Ask(context.Background(), "", 3); err != nil {
		t.Error(err)
	}
	m, err := llm.Load(tiny(t, nil, nil), cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Prefill(context.Background(), "", llm.Full()); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("a model without a template and an empty text: %v", err)
	}
}

func TestPipeline(t *testing.T) {
	m := loadNeedle(t)
	text := "The access code of Lisbon is 2251. Uma was born in Tallinn. The best friend of Walter is Emil."
	r, err := m.Run(context.Background(), llm.Request{Context: text, Questions: []string{"\nWhat is the access code of Lisbon?", "\nWhere was Uma born?"}, MaxTokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(r.Answers[0]) != "2251." || r.Answers[1] != "In Tallinn." || r.Answer() != r.Answers[0] {
		t.Errorf("answers %q", r.Answers)
	}
	one, err := m.Run(context.Background(), llm.Request{Context: text, Question: "\nWhere was Uma born?", AnswerPrefix: "In", MaxTokens: 10})
	if err != nil || one.Answer() != " Tallinn." {
		t.Errorf("after the prefix In: %q, %v", one.Answer(), err)
	}
	short, err := m.Run(context.Background(), llm.Request{Context: text, Question: "\nWhere was Uma born?", MaxContext: 10, MaxTokens: 5})
	if err != nil || short.Truncated == 0 || short.Session.Len() != 10 {
		t.Errorf("ten tokens of context: %+v, %v", short, err)
	}
	if _, err := m.Run(context.Background(), llm.Request{Context: text, Question: "a", Questions: []string{"b"}}); err == nil {
		t.Error("Question and Questions together are accepted")
	}
}
