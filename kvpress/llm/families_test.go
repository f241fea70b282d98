package llm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/internal/jinja"
	"github.com/kvnotes/kvnotes/kvpress/internal/reference"
	"github.com/kvnotes/kvnotes/kvpress/tokenizer"
)

// families are the columns of the table: the tiny models, tokenizers and chat templates of the golden data that stand
// for each family.
var families = []struct{ name, models, tokenizers, templates string }{
	{"Llama", "llama llama3", "llama2 llama3 smollm2", "llama3 chatml generation"},
	{"Mistral", "mistral", "mistral_v03", "inst"},
	{"Phi3", "phi3 phi3_longrope phi3_shortrope", "phi3 phi4 o200k", "phi3"},
	{"Qwen2", "qwen2", "qwen2", "chatml"},
	{"Qwen3", "qwen3", "qwen2", "qwen3"},
	{"Gemma3", "gemma3", "gemma", "gemma"},
}

// A score counts what was compared and what was equal.
type score struct{ all, equal int }

func (s score) String() string {
	if s.all == 0 {
		return "not here"
	}
	return fmt.Sprintf("%d of %d", s.equal, s.all)
}

func (s *score) count(equal bool) {
	s.all++
	if equal {
		s.equal++
	}
}

// familiesTable prints what a folder of golden data says of each family, and holds docs/models.md against it.
func familiesTable(t *testing.T, root string, tiny map[string]tally) {
	t.Helper()
	table := row("family", "logits differ at most by", "tokenizers: texts equal", "chat templates: chats equal", "presses: cases equal") + "|---|---|---|---|---|\n"
	whole := true
	for _, f := range families {
		var presses, texts, chats score
		worst := 0.0
		for name := range strings.FieldsSeq(f.models) {
			r, ok := tiny[name]
			whole = whole && ok
			presses.all, presses.equal, worst = presses.all+r.cases, presses.equal+r.cases-r.wrong, max(worst, r.worst)
		}
		for name := range strings.FieldsSeq(f.tokenizers) {
			whole = countTexts(t, filepath.Join(root, "tokenizers", name), &texts) && whole
		}
		for name := range strings.FieldsSeq(f.templates) {
			whole = countChats(t, filepath.Join(root, "chat_templates", name), &chats) && whole
		}
		if presses.all > 0 {
			table += row(f.name, fmt.Sprintf("%.0e", math.Pow(10, math.Ceil(math.Log10(worst)))), texts.String(), chats.String(), presses.String())
		}
	}
	t.Logf("families in %s:\n%s", root, table)
	if !whole || os.Getenv("KVNOTES_REFERENCE") != "" { // the page is about the data that lies beside the repository
		return
	}
	repo, err := reference.Repository()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(repo, "docs", "models.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := regexp.MustCompile("(?m)^\\| family \\|.*\n(\\|.*\n)+").FindString(string(text))
	if old == table || t.Failed() {
		return
	}
	if old == "" || !*update {
		t.Fatalf("the table of families in docs/models.md is out of date: go test ./kvpress/llm -run ReferenceTiny -update writes\n%s", table)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, table, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readJSON reads a golden file; false where there is none.
func readJSON(t *testing.T, path string, to any) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// countTexts counts texts whose tokens, and the text that these decode to, are those of the Python library.
func countTexts(t *testing.T, dir string, s *score) bool {
	t.Helper()
	var golden struct {
		Cases, Fuzz []struct {
			Text, Decoded string
			IDs           []int
			Special       []int `json:"ids_special"`
		}
	}
	if !readJSON(t, filepath.Join(dir, "cases.json"), &golden) {
		return false
	}
	text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	same := func(a, b []int) bool { return len(a)+len(b) == 0 || reflect.DeepEqual(a, b) }
	for _, c := range golden.Cases {
		s.count(same(tok.Encode(c.Text), c.IDs) && same(tok.EncodeSpecial(c.Text), c.Special) && tok.Decode(c.Special, false) == c.Decoded)
	}
	for _, c := range golden.Fuzz {
		s.count(same(tok.Encode(c.Text), c.IDs))
	}
	return true
}

// countChats counts chats that a template writes, or refuses, as transformers does.
func countChats(t *testing.T, path string, s *score) bool {
	t.Helper()
	var golden struct {
		Special map[string]string `json:"special_tokens"`
		Cases   []struct {
			Messages json.RawMessage
			Kwargs   map[string]json.RawMessage
			Prompt   bool `json:"add_generation_prompt"`
			Rendered string
			Error    *string
		}
	}
	if !readJSON(t, path+".json", &golden) {
		return false
	}
	text, err := os.ReadFile(path + ".jinja")
	if err != nil {
		t.Fatal(err)
	}
	template, err := jinja.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]func(string) (string, error){
		"raise_exception": func(message string) (string, error) { return "", errors.New(message) },
		"strftime_now":    func(string) (string, error) { return "07 Mar 2025", nil }, // the day that the golden data was made on
	}
	for _, c := range golden.Cases {
		values := map[string]any{"messages": c.Messages, "add_generation_prompt": c.Prompt, "tools": nil}
		for name, v := range golden.Special {
			values[name] = v
		}
		for name, v := range c.Kwargs {
			values[name] = v
		}
		got, err := template.Render(values, functions)
		s.count((err != nil) == (c.Error != nil) && got == c.Rendered)
	}
	return true
}
