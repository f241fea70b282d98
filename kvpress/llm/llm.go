// Package llm runs language models whose key-value cache can be looked at and compressed. A model prefills a
// context once, into a Session; a session can be pressed many times, and each pressed copy answers questions.
//
// The arithmetic is a Backend's (package cpu, package cuda); the presses are package kvpress's.
//
// Shapes and units: hidden states (tokens, Width), queries (Heads, tokens, Dim), keys and values (KVHeads, pairs of the head, Dim),
// logits (Vocab); positions and lengths in tokens, memory in bytes, times in seconds unless a name says Millis.
package llm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/tokenizer"
)

// An LLM is a model with its tokenizer, loaded on a backend.
type LLM struct {
	Name      string
	Folder    string // where its files are; empty for the embedded model
	Config    Config
	Tokenizer *tokenizer.Tokenizer
	Weights   string                 // how they are held, as in Options
	Chat      map[string]interface{} // variables of the chat template, such as "enable_thinking": false; set before Prefill

	decoder     *decoder
	device      string // as Open found it
	fingerprint string // tells this model from others in saved sessions
	prefills    string // folder in which prefills are kept; empty for none
}

// Load loads a model on a backend: "needle" (in the binary), "smollm2" (after `kvnotes pull smollm2`), the path of a
// Hugging Face folder or of a GGUF file, or a name in the Hugging Face cache. Options may be left out.
func Load(name string, b Backend, options ...Options) (*LLM, error) {
	o, err := option(name, options)
	if err != nil {
		return nil, err
	}
	files, err := hub.Open(name)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	m, err := load(files, b, o)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	return m, nil
}

func load(files *hub.Model, b Backend, o Options) (*LLM, error) {
	if b.Name() != processor && (o.Weights == int8Mode || o.Weights == fourBits) {
		return nil, fmt.Errorf("weights are held as %s on the processor only: load it there, or as bf16", o.Weights)
	}
	c, err := parseConfig(files.Config, files.GenerationConfig)
	if err != nil {
		return nil, err
	}
	build, ok := architectures[c.Architecture]
	if !ok {
		var known []string
		for name := range architectures {
			known = append(known, name)
		}
		slices.Sort(known)
		return nil, fmt.Errorf("config.json: architecture %q is not supported (supported: %s)", c.Architecture, strings.Join(known, ", "))
	}
	t, err := tokenizer.Load(files.Tokenizer, files.TokenizerConfig, files.ChatTemplate)
	if err != nil {
		return nil, err
	}
	d, err := shared(files, b, o, func() (*decoder, error) {
		d, err := build(c, &loader{file: files.Weights, backend: b, options: o})
		if err == nil {
			d.short, d.long, d.window = c.Rope.table(0), c.Rope.table(c.Rope.Original+1), c.WindowRope.table(0)
		}
		return d, err
	})
	if err != nil {
		return nil, err
	}
	m := &LLM{Name: files.Name, Folder: files.Dir, Config: c, Tokenizer: t, Weights: o.Weights, decoder: d, prefills: o.Prefills}
	m.fingerprint, err = fingerprint(files, o)
	return m, err
}

// Fingerprint tells the files of this model, and how it holds them, from others: a hash in hexadecimal digits over
// configuration, tokenizer, and the beginning of every tensor.
func (m *LLM) Fingerprint() string { return m.fingerprint }

// fingerprint hashes the configuration, the tokenizer, the beginning of every tensor, and how they are held.
func fingerprint(files *hub.Model, o Options) (string, error) {
	sum := sha256.New()
	if o.Weights != stored {
		fmt.Fprintln(sum, o.Weights)
	}
	sum.Write(files.Config)
	sum.Write(files.Tokenizer)
	names := slices.Sorted(slices.Values(files.Weights.Names()))
	for _, name := range names {
		t, err := files.Weights.Tensor(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, name, t.Shape)
		sum.Write(t.Data[:min(len(t.Data), 256)])
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Backend is the name of the device the model runs on.
func (m *LLM) Backend() string { return m.decoder.backend.Name() }

// Bytes is the memory that the weights take.
func (m *LLM) Bytes() int64 { return m.decoder.bytes }

// String says what the model is: a cell that ends with a model shows this.
func (m *LLM) String() string {
	c := m.Config
	return fmt.Sprintf("%s on %s: %d layers, in each %d query heads and %d KV heads of %d channels; %.1f MB of weights", m.Name, m.Backend(), c.Layers, c.Heads, c.KVHeads, c.Dim, float64(m.Bytes())/1e6)
}

// pairBytes is the size of one key-value pair of one head in the caches of the device.
func (m *LLM) pairBytes() int { return m.decoder.backend.PairBytes(m.Config.Dim) }

// Close frees the weights. Sessions of the model cannot be used any more.
func (m *LLM) Close() error { return m.decoder.backend.Close() }

// Frame is the chat template cut open around the context: Prefill reads what comes before, with the text, and what
// comes after stands between a question and its answer.
func (m *LLM) Frame(text string) (before, after string, err error) {
	if !m.Tokenizer.HasChatTemplate() {
		bos, _, ok := m.Tokenizer.BOS()
		if !ok {
			bos = ""
		}
		return bos + text, "\n", nil
	}
	// A separator longer than the text cannot be part of it.
	separator := strings.Repeat("#", len(text)+10)
	chat, err := m.Tokenizer.Chat([]tokenizer.Message{{Role: "user", Content: text + separator}}, true, m.Chat)
	if err != nil {
		return "", "", err
	}
	before, after, ok := strings.Cut(chat, separator)
	if !ok {
		return "", "", fmt.Errorf("the chat template of %s does not print what the user wrote", m.Name)
	}
	return before, after, nil
}

// Prefill reads a text once and keeps all of its keys and values. The chat template of the model, if it has one,
// goes around the text; questions follow it later. Where Options name a folder of prefills, a long text that was read
// before is taken from there.
func (m *LLM) Prefill(ctx context.Context, text string, r Record) (*Session, error) {
	before, after, err := m.Frame(text)
	if err != nil {
		return nil, err
	}
	s, err := m.PrefillTokens(ctx, m.Tokenizer.Encode(before), r)
	if err == nil {
		s.suffix = after
	}
	return s, err
}

// PrefillTokens is Prefill for token numbers as they are, without a template.
func (m *LLM) PrefillTokens(ctx context.Context, ids []int, r Record) (*Session, error) {
	if path := m.kept(ids, r); path != "" {
		return m.prefillKept(ctx, ids, path)
	}
	return m.prefillAnew(ctx, ids, r)
}

// prefillAnew runs the model.
func (m *LLM) prefillAnew(ctx context.Context, ids []int, r Record) (*Session, error) {
	s, err := m.newSession(ids)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(r); err != nil {
		return nil, err
	}
	err = s.prefill(ctx, &recorder{s: s, record: r})
	if !r.Hidden {
		s.record = nil
	}
	return s, err
}

func (m *LLM) newSession(ids []int) (*Session, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("the context is empty: there is nothing to prefill")
	}
	if most := m.Config.MaxPositions; most > 0 && len(ids) > most {
		return nil, fmt.Errorf("the context has %d tokens, %s reads at most %d: shorten the text, or set MaxContext", len(ids), m.Name, most)
	}
	cache, err := m.decoder.backend.NewCache(CacheShape{Layers: m.Config.Layers, KVHeads: m.Config.KVHeads, Dim: m.Config.Dim})
	if err != nil {
		return nil, err
	}
	s := &Session{model: m, ids: slices.Clone(ids), cache: cache, next: len(ids), press: "none"}
	for range m.Config.Layers {
		s.memos = append(s.memos, &kvpress.Memo{})
	}
	return s, nil
}

// seconds since a moment.
func since(start time.Time) float64 { return time.Since(start).Seconds() }
