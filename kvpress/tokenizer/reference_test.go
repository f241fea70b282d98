package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
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
		ids, offsets := tok.EncodeOffsets(s.Text)
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
		for i, o := range offsets {
			if o[0] > o[1] || o[1] > len(s.Text) || i > 0 && o[0] < offsets[i-1][1] {
				t.Errorf("%.80q: token %d lies at %v", s.Text, i, o)
			}
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
	tok, err := Load(text, config, nil)
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
