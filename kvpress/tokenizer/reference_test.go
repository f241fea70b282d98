package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// reference is the folder of the full golden data, "" when it is not here.
func reference() string {
	if dir := os.Getenv("KVNOTES_REFERENCE"); dir != "" {
		return dir
	}
	dir := filepath.Join("..", "..", "..", "shared", "reference")
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// golden is a file of strings and chats with what Python made of them.
type golden struct {
	Template string `json:"chat_template"`
	Strings  []struct {
		Text    string `json:"text"`
		IDs     []int  `json:"ids"`
		Decoded string `json:"decoded"`
		Skipped string `json:"decoded_skip_special"`
	} `json:"strings"`
	Chats []struct {
		Messages []Message `json:"messages"`
		Prompt   bool      `json:"add_generation_prompt"`
		Text     string    `json:"text"`
		IDs      []int     `json:"ids"`
	} `json:"chats"`
}

func compare(t *testing.T, tok *Tokenizer, g golden) {
	t.Helper()
	wrong := 0
	for _, s := range g.Strings {
		ids := tok.Encode(s.Text)
		if len(ids) != len(s.IDs) || len(ids) > 0 && !reflect.DeepEqual(ids, s.IDs) {
			wrong++
			t.Errorf("%.80q: tokens %v, want %v", s.Text, ids, s.IDs)
			continue
		}
		if got := tok.Decode(ids, false); got != s.Decoded {
			wrong++
			t.Errorf("%.80q: decoded %q, want %q", s.Text, got, s.Decoded)
		}
		if got := tok.Decode(ids, true); got != s.Skipped {
			wrong++
			t.Errorf("%.80q: decoded without special tokens %q, want %q", s.Text, got, s.Skipped)
		}
	}
	for _, c := range g.Chats {
		text, err := tok.Chat(c.Messages, c.Prompt, nil)
		if err != nil || text != c.Text {
			wrong++
			t.Errorf("chat %v: %q, %v; want %q", c.Messages, text, err, c.Text)
		}
		if ids := tok.Encode(c.Text); !reflect.DeepEqual(ids, c.IDs) {
			wrong++
			t.Errorf("chat %q: tokens %v, want %v", c.Text, ids, c.IDs)
		}
	}
	t.Logf("%d strings, %d chats, %d mismatches", len(g.Strings), len(g.Chats), wrong)
}

// load reads the tokenizer of a model folder.
func load(t testing.TB, dir string) *Tokenizer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	tok, err := Load(text, config, template)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestReferenceSmolLM2 compares with the tokenizer of the real model, where that has been pulled.
func TestReferenceSmolLM2(t *testing.T) {
	model := os.Getenv("KVNOTES_SMOLLM2")
	if model == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		model = filepath.Join(cache, "kvnotes", "models", "smollm2")
	}
	if _, err := os.Stat(model); err != nil || reference() == "" {
		t.Skip("NOT RUN: the pulled model or the full reference data is not here")
	}
	text, err := os.ReadFile(filepath.Join(reference(), "tokenizer", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	compare(t, load(t, model), g)
}

// A familyFile is cases.json of one tokenizer family.
type familyFile struct {
	Cases []struct {
		Text    string `json:"text"`
		IDs     []int  `json:"ids"`
		Special []int  `json:"ids_special"`
		Decoded string `json:"decoded"`
		Skipped string `json:"decoded_skip_special"`
		Tidied  string `json:"decoded_skip_special_cleanup"`
	} `json:"cases"`
	Fuzz []struct {
		Text string `json:"text"`
		IDs  []int  `json:"ids"`
	} `json:"fuzz"`
	Decode []struct {
		IDs     []int  `json:"ids"`
		Decoded string `json:"decoded"`
		Skipped string `json:"decoded_skip_special"`
		Tidied  string `json:"decoded_skip_special_cleanup"`
	} `json:"decode"`
	Chat []struct {
		Messages []Message `json:"messages"`
		Prompt   bool      `json:"add_generation_prompt"`
		Rendered string    `json:"rendered"`
		IDs      []int     `json:"ids"`
	} `json:"chat"`
	Now string `json:"now"`
}

// TestReferenceFamilies compares every tokenizer family with the Python library.
func TestReferenceFamilies(t *testing.T) {
	roots := []string{filepath.Join("testdata", "families")}
	if full := reference(); full != "" {
		roots = append(roots, filepath.Join(full, "tokenizers"))
	} else {
		t.Log("the full golden data is not here: the repository's own subset is compared")
	}
	for _, root := range roots {
		dirs, err := filepath.Glob(filepath.Join(root, "*", "cases.json"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("no families in %s: %v", root, err)
		}
		for _, path := range dirs {
			t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) { compareFamily(t, filepath.Dir(path)) })
		}
	}
}

func compareFamily(t *testing.T, dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var f familyFile
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	tok, wrong := load(t, dir), 0
	same := func(what, text string, got, want interface{}) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			if wrong++; wrong < 20 {
				t.Errorf("%.120q: %s %.300v, want %.300v", text, what, got, want)
			}
		}
	}
	list := func(ids []int) []int { return append([]int{}, ids...) }
	for _, c := range f.Cases {
		same("tokens", c.Text, list(tok.Encode(c.Text)), list(c.IDs))
		same("tokens with special ones", c.Text, list(tok.EncodeSpecial(c.Text)), list(c.Special))
		same("decoded", c.Text, tok.Decode(c.Special, false), c.Decoded)
		same("decoded without special tokens", c.Text, tok.Decode(c.Special, true), c.Skipped)
		if tok.config.CleanUp {
			same("answer", c.Text, tok.Answer(c.Special), c.Tidied)
		}
	}
	for _, c := range f.Fuzz {
		same("tokens", c.Text, list(tok.Encode(c.Text)), list(c.IDs))
	}
	for _, c := range f.Decode {
		name := fmt.Sprint(c.IDs)
		same("decoded", name, tok.Decode(c.IDs, false), c.Decoded)
		same("decoded without special tokens", name, tok.Decode(c.IDs, true), c.Skipped)
		if tok.config.CleanUp {
			same("answer", name, tok.Answer(c.IDs), c.Tidied)
		}
	}
	for _, c := range f.Chat {
		setClock(t, f.Now)
		rendered, err := tok.Chat(c.Messages, c.Prompt, nil)
		if err != nil {
			t.Error(err)
		}
		same("chat", fmt.Sprint(c.Messages), rendered, c.Rendered)
		same("tokens", c.Rendered, list(tok.Encode(c.Rendered)), list(c.IDs))
	}
	t.Logf("%-12s %d strings, %d fuzzed, %d decoded, %d chats: %d mismatches", filepath.Base(dir), len(f.Cases), len(f.Fuzz), len(f.Decode), len(f.Chat), wrong)
}

// setClock stops the clock of templates.
func setClock(t *testing.T, at string) {
	t.Helper()
	when, err := time.Parse("2006-01-02T15:04:05", at)
	if err != nil {
		t.Fatal(err)
	}
	now = func() time.Time { return when }
	t.Cleanup(func() { now = time.Now })
}
