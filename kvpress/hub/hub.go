// Package hub finds and fetches what lies outside the program: models and Wikipedia articles.
//
// Shapes and units: sizes and progress in bytes; a model is a folder as Hugging Face lays it out, an article is UTF-8.
package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/needle"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// A Model is the files of a model. Files that a model does not have are nil.
type Model struct {
	Name, Dir        string // Dir is empty for the embedded model
	Config           []byte
	GenerationConfig []byte
	Tokenizer        []byte
	TokenizerConfig  []byte
	ChatTemplate     []byte
	Weights          *weights.File
	Identity         string // tells these files from others on this machine, as long as nobody writes to them; empty when nothing does
}

// Close unmaps the weights.
func (m *Model) Close() error { return m.Weights.Close() }

// Open finds a model: "needle", which is part of the program; "smollm2" or "smollm2.gguf", after Pull; the path of a Hugging Face
// folder or of a GGUF file; or ORG/NAME or ORG/NAME@REVISION in the Hugging Face cache, after Pull or another tool put it
// there. Weights of a GGUF file stay packed as they are.
func Open(name string) (*Model, error) {
	if name == "needle" {
		w, err := weights.FromBytes("the embedded model", needle.Weights)
		if err != nil {
			return nil, err
		}
		return &Model{
			Name: name, Config: needle.Config, GenerationConfig: needle.GenerationConfig, Tokenizer: needle.Tokenizer,
			TokenizerConfig: needle.TokenizerConfig, Weights: w, Identity: name,
		}, nil
	}
	dir, err := Find(name)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(dir, ".gguf") {
		m, err := openGGUF(dir)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", name, err)
		}
		m.Identity = identity(dir)
		return m, nil
	}
	m := &Model{Name: filepath.Base(name), Dir: dir, Identity: identity(dir)}
	for _, f := range []struct {
		to       *[]byte
		name     string
		required bool
	}{
		{&m.Config, "config.json", true},
		{&m.Tokenizer, "tokenizer.json", true},
		{&m.GenerationConfig, "generation_config.json", false},
		{&m.TokenizerConfig, "tokenizer_config.json", false},
		{&m.ChatTemplate, "chat_template.jinja", false},
	} {
		*f.to, err = os.ReadFile(filepath.Join(dir, f.name))
		if errors.Is(err, fs.ErrNotExist) && !f.required {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("model %s: %w: a Hugging Face folder has config.json, tokenizer.json and model.safetensors", name, err)
		}
	}
	if m.Weights, err = weights.OpenFolder(dir); err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	return m, nil
}

// identity says where the weights of a model lie, how large they are and when they were written.
func identity(path string) string {
	whole, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	files := []string{whole}
	if info, err := os.Stat(whole); err == nil && info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(whole, "*.safetensors")); err != nil {
			return ""
		}
	}
	said := ""
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return ""
		}
		said += fmt.Sprintln(f, info.Size(), info.ModTime().UnixNano())
	}
	return said
}

// Find returns the folder of a model, or the path of its GGUF file.
func Find(name string) (string, error) {
	if info, err := os.Stat(name); err == nil && (info.IsDir() || strings.HasSuffix(name, ".gguf")) {
		return name, nil
	}
	if recipe, packed := strings.CutSuffix(name, ".gguf"); recipes[recipe].requirement != "" {
		dir, err := pulledFolder(recipe)
		if err != nil {
			return "", err
		}
		err = Verify(dir, false)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("model %s is not on this machine yet: kvnotes pull %s", name, recipe)
		}
		if !packed || err != nil {
			return dir, err
		}
		file := filepath.Join(dir, packedName)
		if _, err := os.Stat(file); err != nil {
			return "", fmt.Errorf("%s was pulled when its GGUF file was not kept yet: remove %s and pull again", recipe, dir)
		}
		return file, nil
	}
	if r, ok := parseRepository(name); ok {
		return r.find()
	}
	return "", fmt.Errorf("there is no model %q: name needle, smollm2, a folder, a GGUF file, or ORG/NAME[@REVISION] of the Hugging Face hub", name)
}

// CacheFolder is where the project keeps what it fetched: $KVNOTES_CACHE, else kvnotes in the user's cache folder.
func CacheFolder() (string, error) {
	if dir := os.Getenv("KVNOTES_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w: set KVNOTES_CACHE", err)
	}
	return filepath.Join(dir, "kvnotes"), nil
}
