// Package tokenizer turns text into token numbers and back, as a Hugging Face tokenizer.json says, and writes chats
// by a model's template. It knows byte-pair encoding over bytes (GPT-2, Llama-3, Qwen, o200k) and over letters
// (SentencePiece: Llama-2, Mistral, Phi-3, Gemma). A component that it does not know exactly is refused by name: a
// tokenizer that is almost right gives wrong answers without an error.
//
// Shapes and units: a text is UTF-8; a token is a number from 0 to the size of the vocabulary less 1.
package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"
)

// A Tokenizer is safe for use by several goroutines.
type Tokenizer struct {
	vocabulary map[string]int // of the model, without added tokens
	addedIDs   map[string]int
	tokens     []string // by number
	known      []bool   // numbers that have a token
	special    map[int]bool
	ranks      map[pair]merge

	added      finder // in the text as it is
	normalizer []func(text string) string
	addedAfter finder // in the normalised text
	cuts       []cut
	bytes      bool // words are spelled in bytes
	before     []int
	after      []int
	decoder    []func(parts []string) []string
	shown      []func(parts []string) []string

	byteIDs      [256]int // -1 for bytes without a token
	fallback     bool     // letters without a token become their bytes
	unknown      int      // the token of what has none; -1 for none
	fuseUnknown  bool
	ignoreMerges bool             // words that are tokens stay whole
	joins        map[[2]rune]bool // letters that stand side by side in some merge; nil when words cannot be taken apart by them

	config   config
	template string

	mu    sync.Mutex
	words map[string][]int // what words became, so that a word is merged once
}

// A pair is two neighbouring tokens.
type pair struct{ left, right int }

// A merge is what a pair becomes; lower ranks come first.
type merge struct{ rank, to int }

// mostWords is how many words are remembered.
const mostWords = 1 << 16

// file is tokenizer.json.
type file struct {
	Added         []addedToken `json:"added_tokens"`
	Normalizer    *component   `json:"normalizer"`
	PreTokenizer  *component   `json:"pre_tokenizer"`
	PostProcessor *component   `json:"post_processor"`
	Decoder       *component   `json:"decoder"`
	Model         model        `json:"model"`
}

type model struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       json.RawMessage `json:"merges"`
	Unknown      *string         `json:"unk_token"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	ByteFallback bool            `json:"byte_fallback"`
	FuseUnknown  bool            `json:"fuse_unk"`
	IgnoreMerges bool            `json:"ignore_merges"`
	Dropout      *float64        `json:"dropout"`
}

// config is what is read of tokenizer_config.json.
type config struct {
	BOS       json.RawMessage `json:"bos_token"`
	EOS       json.RawMessage `json:"eos_token"`
	UNK       json.RawMessage `json:"unk_token"`
	PAD       json.RawMessage `json:"pad_token"`
	MaxLength float64         `json:"model_max_length"`
	CleanUp   bool            `json:"clean_up_tokenization_spaces"`
	Template  json.RawMessage `json:"chat_template"`
}

// Load reads a tokenizer. The configuration and the template file may be nil.
func Load(tokenizerJSON, configJSON, templateFile []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(tokenizerJSON, &f); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	t := &Tokenizer{addedIDs: map[string]int{}, ranks: map[pair]merge{}, special: map[int]bool{}, words: map[string][]int{}, unknown: -1}
	if err := t.read(f); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	if len(configJSON) > 0 {
		if err := json.Unmarshal(configJSON, &t.config); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	t.template = string(templateFile)
	if t.template == "" {
		var err error
		if t.template, err = readTemplate(t.config.Template); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	return t, nil
}

// read reads all components and refuses what is not known.
func (t *Tokenizer) read(f file) (err error) {
	if kind := f.Model.Type; kind != "BPE" && (kind != "" || len(f.Model.Merges) == 0) { // older files do not say
		return unknown("model", kind, "BPE")
	}
	if t.normalizer, err = readNormalizer(f.Normalizer); err != nil {
		return err
	}
	if t.cuts, t.bytes, err = readPreTokenizer(f.PreTokenizer); err != nil {
		return err
	}
	if t.before, t.after, err = readPostProcessor(f.PostProcessor); err != nil {
		return err
	}
	if t.decoder, t.shown, err = readDecoder(f.Decoder); err != nil {
		return err
	}
	if err := t.readModel(f.Model); err != nil {
		return err
	}
	for _, a := range f.Added {
		if a.Content == "" {
			return fmt.Errorf("added token %d has no text", a.ID)
		}
		if err := t.set(a.Content, a.ID); err != nil {
			return err
		}
		t.addedIDs[a.Content], t.special[a.ID] = a.ID, a.Special
		if !a.Normalized {
			t.added.add(a.Content, a)
			continue
		}
		text := a.Content
		for _, normalise := range t.normalizer {
			text = normalise(text)
		}
		t.addedAfter.add(text, a)
	}
	for _, id := range slices.Concat(t.before, t.after) {
		if id < 0 || id >= len(t.known) || !t.known[id] {
			return fmt.Errorf("post_processor: there is no token %d to put around texts", id)
		}
	}
	return nil
}

// most is the largest token number that is taken seriously.
const most = 1 << 24

// set notes the text of a token number.
func (t *Tokenizer) set(text string, id int) error {
	if id < 0 || id > most {
		return fmt.Errorf("token %q has number %d", text, id)
	}
	if n := id + 1 - len(t.tokens); n > 0 {
		t.tokens, t.known = append(t.tokens, make([]string, n)...), append(t.known, make([]bool, n)...)
	}
	t.tokens[id], t.known[id] = text, true
	return nil
}

// readModel reads vocabulary and merges.
func (t *Tokenizer) readModel(m model) error {
	if m.Prefix != nil && *m.Prefix != "" || m.Suffix != nil && *m.Suffix != "" || m.Dropout != nil && *m.Dropout != 0 {
		return fmt.Errorf("model: dropout and word affixes are not supported")
	}
	if err := json.Unmarshal(m.Vocab, &t.vocabulary); err != nil {
		return fmt.Errorf("vocab: %w", err)
	}
	for text, id := range t.vocabulary {
		if err := t.set(text, id); err != nil {
			return err
		}
	}
	merges, err := readMerges(m.Merges)
	if err != nil {
		return err
	}
	bytesMerge := false
	for rank, m := range merges {
		left, ok1 := t.vocabulary[m[0]]
		right, ok2 := t.vocabulary[m[1]]
		to, ok3 := t.vocabulary[m[0]+m[1]]
		if !ok1 || !ok2 || !ok3 {
			return fmt.Errorf("merge %d joins %q and %q, which are not all in the vocabulary", rank, m[0], m[1])
		}
		t.ranks[pair{left, right}] = merge{rank, to}
		_, byte1 := byteToken(m[0])
		_, byte2 := byteToken(m[1])
		bytesMerge = bytesMerge || byte1 || byte2
	}
	t.ignoreMerges, t.fuseUnknown = m.IgnoreMerges, m.FuseUnknown
	t.fallback = m.ByteFallback && !t.bytes
	for b := range t.byteIDs {
		name := string(runeOf[b])
		if !t.bytes {
			name = fmt.Sprintf("<0x%02X>", b)
		}
		id, ok := t.vocabulary[name]
		if !ok {
			id = -1
			t.fallback = false
		}
		t.byteIDs[b] = id
	}
	if m.ByteFallback && !t.fallback {
		return fmt.Errorf("model: byte_fallback needs tokens <0x00> to <0xFF>, and no ByteLevel")
	}
	if m.Unknown != nil {
		id, ok := t.vocabulary[*m.Unknown]
		if !ok && !t.fallback {
			return fmt.Errorf("unk_token %q is not in the vocabulary", *m.Unknown)
		}
		if ok {
			t.unknown = id
		}
	}
	if !t.bytes && !bytesMerge && (t.fallback || t.unknown < 0) {
		t.readJoins()
	}
	return nil
}

// readJoins finds which letters stand side by side in what merges make. Between others no merge ever joins.
func (t *Tokenizer) readJoins() {
	t.joins = map[[2]rune]bool{}
	for _, m := range t.ranks {
		text := t.tokens[m.to]
		last, size := utf8.DecodeRuneInString(text)
		for _, r := range text[size:] {
			t.joins[[2]rune{last, r}] = true
			last = r
		}
	}
}

// Size is one more than the largest token number.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// ID looks a token up, as it is spelled in the vocabulary.
func (t *Tokenizer) ID(token string) (int, bool) {
	if id, ok := t.addedIDs[token]; ok {
		return id, true
	}
	id, ok := t.vocabulary[token]
	return id, ok
}

// BOS is the token that begins a text, if the model has one.
func (t *Tokenizer) BOS() (text string, id int, ok bool) { return t.named(t.config.BOS) }

// EOS is the token that ends an answer, if the model has one.
func (t *Tokenizer) EOS() (text string, id int, ok bool) { return t.named(t.config.EOS) }

// named looks up a token of the configuration.
func (t *Tokenizer) named(raw json.RawMessage) (string, int, bool) {
	text, ok := tokenText(raw)
	if !ok {
		return "", 0, false
	}
	id, ok := t.ID(text)
	return text, id, ok
}

// tokenText reads a token of the configuration: a text, or an object with its content.
func tokenText(raw json.RawMessage) (text string, ok bool) {
	if json.Unmarshal(raw, &text) != nil {
		var o struct {
			Content string `json:"content"`
		}
		if json.Unmarshal(raw, &o) != nil {
			return "", false
		}
		text = o.Content
	}
	return text, text != ""
}

// ModelMaxLength is the longest text the model reads, in tokens; 0 when the configuration does not say.
func (t *Tokenizer) ModelMaxLength() int {
	if t.config.MaxLength > 0 && t.config.MaxLength < 1e10 {
		return int(t.config.MaxLength)
	}
	return 0
}
