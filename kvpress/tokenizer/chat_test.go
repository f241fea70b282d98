package tokenizer

import (
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
			Messages json.RawMessage
			Kwargs   map[string]json.RawMessage
			Prompt   bool `json:"add_generation_prompt"`
			Rendered string
			Error    *string
			Kind     string `json:"error_type"`
		}
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(filepath.Join(filepath.Dir(path), filepath.Base(f.File)))
	if err != nil {
		t.Fatal(err)
	}
	setClock(t, f.Now)
	wrong := 0
	for _, c := range f.Cases {
		values := map[string]interface{}{"messages": c.Messages, "add_generation_prompt": c.Prompt}
		for k, v := range f.Special {
			values[k] = v
		}
		for k, v := range c.Kwargs {
			values[k] = v
		}
		got, err := render(string(template), values)
		if c.Error != nil {
			// The text counts where the template itself refuses.
			if err == nil || c.Kind == "TemplateError" && !strings.Contains(err.Error(), *c.Error) {
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
