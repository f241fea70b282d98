// Package tokenizer turns text into token numbers and back, as a Hugging Face tokenizer.json says, and writes chats
// by a model's template. A component that it does not know exactly is refused by name: a tokenizer that is almost
// right gives wrong answers without an error.
package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// A Tokenizer is safe for use by several goroutines.
type Tokenizer struct {
	vocabulary map[string]int
	tokens     []string // by number; "" where there is none
	ranks      map[pair]merge
	special    map[int]bool
	added      []addedToken // longest first
	split      splitter
	config     config
	template   string

	mu    sync.Mutex
	words map[string][]int // what words became, so that a word is merged once
}

// A pair is two neighbouring tokens.
type pair struct{ left, right int }

// A merge is what a pair becomes; lower ranks come first.
type merge struct{ rank, to int }

// mostWords is how many words are remembered.
const mostWords = 1 << 16

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// file is tokenizer.json.
type file struct {
	Added         []addedToken `json:"added_tokens"`
	Normalizer    *component   `json:"normalizer"`
	PreTokenizer  *component   `json:"pre_tokenizer"`
	PostProcessor *component   `json:"post_processor"`
	Decoder       *component   `json:"decoder"`
	Model         struct {
		Type         string          `json:"type"`
		Vocab        map[string]int  `json:"vocab"`
		Merges       json.RawMessage `json:"merges"`
		Unknown      *string         `json:"unk_token"`
		Prefix       *string         `json:"continuing_subword_prefix"`
		Suffix       *string         `json:"end_of_word_suffix"`
		ByteFallback bool            `json:"byte_fallback"`
		IgnoreMerges bool            `json:"ignore_merges"`
		Dropout      *float64        `json:"dropout"`
	} `json:"model"`
}

// A component is one step of the pipeline that tokenizer.json describes.
type component struct {
	Type           string      `json:"type"`
	PreTokenizers  []component `json:"pretokenizers"`
	Individual     bool        `json:"individual_digits"`
	AddPrefixSpace bool        `json:"add_prefix_space"`
	UseRegex       *bool       `json:"use_regex"`
}

// config is what is read of tokenizer_config.json.
type config struct {
	BOS       json.RawMessage `json:"bos_token"`
	EOS       json.RawMessage `json:"eos_token"`
	MaxLength float64         `json:"model_max_length"`
	Template  json.RawMessage `json:"chat_template"`
}

// Load reads a tokenizer. The configuration and the template file may be nil.
func Load(tokenizerJSON, configJSON, templateFile []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(tokenizerJSON, &f); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	t := &Tokenizer{vocabulary: map[string]int{}, ranks: map[pair]merge{}, special: map[int]bool{}, words: map[string][]int{}}
	if err := t.check(f); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	if err := t.fill(f); err != nil {
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

// check refuses what is not known.
func (t *Tokenizer) check(f file) error {
	unknown := func(part, kind, known string) error {
		return fmt.Errorf("%s %q is not supported (supported: %s)", part, kind, known)
	}
	switch {
	case f.Model.Type != "BPE":
		return unknown("model", f.Model.Type, "BPE")
	case f.Model.ByteFallback || f.Model.Prefix != nil && *f.Model.Prefix != "" || f.Model.Suffix != nil && *f.Model.Suffix != "" || f.Model.Dropout != nil:
		return fmt.Errorf("model: byte_fallback, dropout and word affixes are not supported")
	case f.Normalizer != nil:
		return unknown("normalizer", f.Normalizer.Type, "none")
	case f.PostProcessor != nil && f.PostProcessor.Type != "ByteLevel" && f.PostProcessor.Type != "TemplateProcessing":
		return unknown("post_processor", f.PostProcessor.Type, "ByteLevel, TemplateProcessing")
	case f.Decoder == nil || f.Decoder.Type != "ByteLevel":
		kind := "none"
		if f.Decoder != nil {
			kind = f.Decoder.Type
		}
		return unknown("decoder", kind, "ByteLevel")
	case f.PreTokenizer == nil:
		return unknown("pre_tokenizer", "none", "ByteLevel, Digits, Sequence")
	}
	for _, a := range f.Added {
		if a.SingleWord || a.LStrip || a.RStrip {
			return fmt.Errorf("added token %q: single_word, lstrip and rstrip are not supported", a.Content)
		}
		if a.Content == "" || a.ID < 0 {
			return fmt.Errorf("added token %d has no text or no number", a.ID)
		}
	}
	steps := []component{*f.PreTokenizer}
	if f.PreTokenizer.Type == "Sequence" {
		steps = f.PreTokenizer.PreTokenizers
	}
	for i, s := range steps {
		switch {
		case s.Type == "Digits" && s.Individual && i == 0 && len(steps) == 2:
			t.split.digits = true
		case s.Type == "ByteLevel" && i == len(steps)-1 && !s.AddPrefixSpace:
			t.split.words = s.UseRegex == nil || *s.UseRegex
		default:
			return unknown("pre_tokenizer", s.Type, "ByteLevel without a prefix space, Digits one by one before it")
		}
	}
	return nil
}

// most is the largest token number that is taken seriously.
const most = 1 << 24

// fill reads vocabulary and merges.
func (t *Tokenizer) fill(f file) error {
	set := func(text string, id int) error {
		if id < 0 || id > most {
			return fmt.Errorf("token %q has number %d", text, id)
		}
		for len(t.tokens) <= id {
			t.tokens = append(t.tokens, make([]string, id+1-len(t.tokens))...)
		}
		t.tokens[id], t.vocabulary[text] = text, id
		return nil
	}
	for text, id := range f.Model.Vocab {
		if err := set(text, id); err != nil {
			return err
		}
	}
	merges, err := readMerges(f.Model.Merges)
	if err != nil {
		return err
	}
	for rank, m := range merges {
		left, ok1 := t.vocabulary[m[0]]
		right, ok2 := t.vocabulary[m[1]]
		to, ok3 := t.vocabulary[m[0]+m[1]]
		if !ok1 || !ok2 || !ok3 {
			return fmt.Errorf("merge %d joins %q and %q, which are not all in the vocabulary", rank, m[0], m[1])
		}
		if _, twice := t.ranks[pair{left, right}]; !twice {
			t.ranks[pair{left, right}] = merge{rank, to}
		}
	}
	for _, a := range f.Added {
		if err := set(a.Content, a.ID); err != nil {
			return err
		}
		t.special[a.ID] = a.Special
	}
	t.added = slices.Clone(f.Added)
	slices.SortStableFunc(t.added, func(a, b addedToken) int { return len(b.Content) - len(a.Content) })
	return nil
}

// readMerges reads merges as "a b" or as ["a", "b"].
func readMerges(raw json.RawMessage) ([][2]string, error) {
	var lines []string
	if json.Unmarshal(raw, &lines) == nil {
		out := make([][2]string, len(lines))
		for i, line := range lines {
			left, right, ok := strings.Cut(line, " ")
			if !ok {
				return nil, fmt.Errorf("merge %d is %q: two tokens are wanted", i, line)
			}
			out[i] = [2]string{left, right}
		}
		return out, nil
	}
	var pairs [][]string
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, fmt.Errorf("merges: %w", err)
	}
	out := make([][2]string, len(pairs))
	for i, p := range pairs {
		if len(p) != 2 {
			return nil, fmt.Errorf("merge %d has %d parts: two tokens are wanted", i, len(p))
		}
		out[i] = [2]string(p)
	}
	return out, nil
}

// Size is one more than the largest token number.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// ID looks a token up, as it is spelled in the vocabulary.
func (t *Tokenizer) ID(token string) (int, bool) {
	id, ok := t.vocabulary[token]
	return id, ok
}

// BOS is the token that begins a text, if the model has one.
func (t *Tokenizer) BOS() (text string, id int, ok bool) { return t.named(t.config.BOS) }

// EOS is the token that ends an answer, if the model has one.
func (t *Tokenizer) EOS() (text string, id int, ok bool) { return t.named(t.config.EOS) }

// named reads a token of the configuration: a text, or an object with its content.
func (t *Tokenizer) named(raw json.RawMessage) (string, int, bool) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		var o struct {
			Content string `json:"content"`
		}
		if json.Unmarshal(raw, &o) != nil {
			return "", 0, false
		}
		text = o.Content
	}
	id, ok := t.vocabulary[text]
	return text, id, ok && text != ""
}

// ModelMaxLength is the longest text the model reads, in tokens; 0 when the configuration does not say.
func (t *Tokenizer) ModelMaxLength() int {
	if t.config.MaxLength > 0 && t.config.MaxLength < 1e10 {
		return int(t.config.MaxLength)
	}
	return 0
}

// Decode turns token numbers into text; special tokens are left out if asked. Numbers without a token are left out.
func (t *Tokenizer) Decode(ids []int, skipSpecial bool) string {
	var b []byte
	for _, id := range ids {
		if id < 0 || id >= len(t.tokens) || skipSpecial && t.special[id] {
			continue
		}
		b = append(b, t.bytes(id)...)
	}
	return lossy(b)
}

// Token is one token as text, to be shown: a part of a letter becomes the replacement character.
func (t *Tokenizer) Token(id int) string {
	if id < 0 || id >= len(t.tokens) {
		return fmt.Sprintf("[%d]", id)
	}
	return lossy(t.bytes(id))
}

// bytes are the bytes that a token stands for.
func (t *Tokenizer) bytes(id int) []byte {
	text := t.tokens[id]
	if _, ok := t.special[id]; ok { // added tokens stand for themselves
		return []byte(text)
	}
	b := make([]byte, 0, len(text))
	for _, r := range text {
		v, ok := byteOf[r]
		if !ok {
			return []byte(text)
		}
		b = append(b, v)
	}
	return b
}

// lossy is text in which each broken sequence becomes one replacement character per maximal broken part, as Rust and
// Python write it.
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r != utf8.RuneError || n > 1 {
			s.Write(b[:n])
			b = b[n:]
			continue
		}
		s.WriteRune(utf8.RuneError)
		b = b[brokenPart(b):]
	}
	return s.String()
}

// brokenPart is the length of the longest beginning of a letter at the start of b that is not finished; at least 1.
func brokenPart(b []byte) int {
	need, low, high := 0, byte(0x80), byte(0xbf)
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		need = 1
	case c == 0xe0:
		need, low = 2, 0xa0
	case c == 0xed:
		need, high = 2, 0x9f
	case c >= 0xe1 && c <= 0xef:
		need = 2
	case c == 0xf0:
		need, low = 3, 0x90
	case c == 0xf4:
		need, high = 3, 0x8f
	case c >= 0xf1 && c <= 0xf3:
		need = 3
	}
	n := 1
	for n <= need && n < len(b) && b[n] >= low && b[n] <= high {
		n, low, high = n+1, 0x80, 0xbf
	}
	return n
}
