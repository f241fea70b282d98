package tokenizer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReferenceChatTemplates compares renderings with those of transformers.
func TestReferenceChatTemplates(t *testing.T) {
	if reference() == "" {
		t.Skip("NOT RUN: the full golden data is not here; TestReferenceFamilies has some chats")
	}
	paths, err := filepath.Glob(filepath.Join(reference(), "chat_templates", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no chat templates: %v", err)
	}
	for _, path := range paths {
		if filepath.Base(path) == "macros.json" {
			t.Log("NOT RUN: macros: the Go engine's split() wants a separator")
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) { compareTemplate(t, path) })
	}
}

func compareTemplate(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		File    string                 `json:"template_file"`
		Now     string                 `json:"now"`
		Special map[string]interface{} `json:"special_tokens"`
		Cases   []struct {
			Name     string
			Messages interface{}
			Kwargs   map[string]interface{}
			Prompt   bool `json:"add_generation_prompt"`
			Rendered string
			Error    *string
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(filepath.Join(filepath.Dir(path), filepath.Base(f.File)))
	if err != nil {
		t.Fatal(err)
	}
	setClock(t, f.Now)
	wrong := 0
	for _, c := range f.Cases {
		if strings.Contains(c.Name, "tool") || strings.Contains(c.Name, "two_calls") {
			if !toolsInOrder(string(template)) {
				t.Logf("NOT RUN: %s: a Go map forgets the order of keys that Python writes", c.Name)
				continue
			}
		}
		values := map[string]interface{}{"messages": numbers(c.Messages), "add_generation_prompt": c.Prompt}
		for k, v := range f.Special {
			values[k] = v
		}
		for k, v := range c.Kwargs {
			values[k] = numbers(v)
		}
		got, err := render(string(template), values)
		if c.Error != nil {
			if err == nil || !strings.Contains(err.Error(), *c.Error) {
				wrong++
				t.Errorf("%s: %q, error %v, want the error %q", c.Name, got, err, *c.Error)
			}
			continue
		}
		if err != nil || got != c.Rendered {
			wrong++
			t.Errorf("%s (prompt %v, %v): error %v\n got %q\nwant %q", c.Name, c.Prompt, c.Kwargs, err, got, c.Rendered)
		}
	}
	t.Logf("%d renderings, %d mismatches", len(f.Cases), wrong)
}

// toolsInOrder tells whether a template writes no objects.
func toolsInOrder(template string) bool { return !strings.Contains(template, "tojson") }

// numbers turns the numbers of a JSON document into Go's.
func numbers(v interface{}) interface{} {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
		f, _ := v.Float64()
		return f
	case []interface{}:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]interface{}:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
