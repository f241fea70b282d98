package hub

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/tokenizer"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// TestTokenizersOfGGUF puts golden vocabularies into GGUF metadata, reads them back, and compares tokens with those of
// the tokenizer.json that they come from.
func TestTokenizersOfGGUF(t *testing.T) {
	for family, pre := range map[string]string{"phi3": "", "llama3": "llama-bpe"} {
		dir := filepath.Join("..", "tokenizer", "testdata", "families", family)
		text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Added []struct {
				ID      int
				Content string
				Special bool
			} `json:"added_tokens"`
			Model struct {
				Vocab  map[string]int
				Merges []string
			}
		}
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		size := len(f.Model.Vocab)
		for _, a := range f.Added {
			size = max(size, a.ID+1)
		}
		tokens, scores, types := make([]interface{}, size), make([]interface{}, size), make([]interface{}, size)
		for i := range tokens {
			tokens[i], scores[i], types[i] = "", float64(-i), int64(1) // pieces are numbered from the best on
		}
		for token, id := range f.Model.Vocab {
			tokens[id] = token
			if len(token) == 6 && strings.HasPrefix(token, "<0x") {
				types[id] = int64(6)
			}
		}
		for _, a := range f.Added {
			tokens[a.ID], types[a.ID] = a.Content, int64(userToken)
			if a.Special {
				types[a.ID] = int64(controlToken)
			}
		}
		metadata := map[string]interface{}{"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types}
		if pre == "" {
			metadata["tokenizer.ggml.model"], metadata["tokenizer.ggml.scores"] = "llama", scores
			types[0] = int64(unknownToken)
		} else {
			merges := make([]interface{}, len(f.Model.Merges))
			for i, m := range f.Model.Merges {
				merges[i] = m
			}
			metadata["tokenizer.ggml.model"], metadata["tokenizer.ggml.pre"], metadata["tokenizer.ggml.merges"] = "gpt2", pre, merges
		}
		made, _, err := tokenizerFiles(&weights.GGUF{Metadata: metadata}, sizes{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		want, err := tokenizer.Load(text, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tokenizer.Load(again, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		article, err := os.ReadFile("article.txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range append(strings.SplitAfter(string(article), "\n"), "", " a  b\t\n\n c", "日本語 naïve 😀", "x = [1, 22, 333]; // y", "▁ <0x41>") {
			a, b := got.Encode(s), want.Encode(s)
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s: %q: tokens %v, want %v", family, s, a, b)
			}
			if x, y := got.Decode(b, false), want.Decode(b, false); x != y {
				t.Errorf("%s: %v is %q, want %q", family, b, x, y)
			}
		}
	}
}
