package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A component is one step of the pipeline that tokenizer.json describes.
type component struct {
	Type string `json:"type"`

	// Sequences of components
	Normalizers   []component `json:"normalizers"`
	PreTokenizers []component `json:"pretokenizers"`
	Processors    []component `json:"processors"`
	Decoders      []component `json:"decoders"`

	Individual     bool     `json:"individual_digits"`
	AddPrefixSpace *bool    `json:"add_prefix_space"`
	UseRegex       *bool    `json:"use_regex"`
	Prepend        string   `json:"prepend"`
	Pattern        *pattern `json:"pattern"`
	Content        string   `json:"content"`
	Start          int      `json:"start"`
	Stop           int      `json:"stop"`
	Replacement    string   `json:"replacement"`
	PrependScheme  string   `json:"prepend_scheme"`
	Split          *bool    `json:"split"`
	Behavior       string   `json:"behavior"`
	Invert         bool     `json:"invert"`

	Single  []templatePart `json:"single"`
	Special map[string]struct {
		IDs []int `json:"ids"`
	} `json:"special_tokens"`
}

// A pattern is a text to look for, as it is or as a regular expression.
type pattern struct {
	String *string
	Regex  *string
}

// A templatePart is a special token, or the place of the text.
type templatePart struct {
	SpecialToken *struct {
		ID string `json:"id"`
	}
	Sequence *struct {
		ID string `json:"id"`
	}
}

// unknown refuses a component by name.
func unknown(part, kind, known string) error {
	return fmt.Errorf("%s %q is not supported (supported: %s)", part, kind, known)
}

// isSet tells whether a switch that is on unless said otherwise is on.
func isSet(b *bool) bool { return b == nil || *b }

// literal is the text that a component looks for.
func (c component) literal(part string) (string, error) {
	if c.Pattern == nil || c.Pattern.String == nil || *c.Pattern.String == "" {
		return "", fmt.Errorf("%s %q: only patterns that are texts are supported", part, c.Type)
	}
	return *c.Pattern.String, nil
}

// flat lists the steps of a component: those of a sequence, of sequences in it, or itself.
func flat(c *component, inside func(c component) []component) []component {
	if c == nil {
		return nil
	}
	if c.Type != "Sequence" {
		return []component{*c}
	}
	var steps []component
	for _, s := range inside(*c) {
		steps = append(steps, flat(&s, inside)...)
	}
	return steps
}

// readNormalizer makes what changes a text before it is cut.
func readNormalizer(c *component) ([]func(text string) string, error) {
	var steps []func(text string) string
	forms := map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}
	for _, s := range flat(c, func(c component) []component { return c.Normalizers }) {
		if form, ok := forms[s.Type]; ok {
			steps = append(steps, form.String)
			continue
		}
		switch s.Type {
		case "Prepend":
			steps = append(steps, func(text string) string {
				if text == "" {
					return ""
				}
				return s.Prepend + text
			})
		case "Replace":
			old, err := s.literal("normalizer")
			if err != nil {
				return nil, err
			}
			steps = append(steps, func(text string) string { return strings.ReplaceAll(text, old, s.Content) })
		default:
			return nil, unknown("normalizer", s.Type, "NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence")
		}
	}
	return steps, nil
}

// readPreTokenizer makes what cuts a text into words; bytes tells whether these are spelled in bytes.
func readPreTokenizer(c *component) (cuts []cut, bytes bool, err error) {
	const known = "ByteLevel, Digits, Metaspace, Sequence, Split"
	for _, s := range flat(c, func(c component) []component { return c.PreTokenizers }) {
		if bytes {
			return nil, false, fmt.Errorf("pre_tokenizer %q stands behind ByteLevel: it should be the last one", s.Type)
		}
		switch s.Type {
		case "Digits":
			if !s.Individual {
				return nil, false, fmt.Errorf("pre_tokenizer %q: only individual_digits is supported", s.Type)
			}
			cuts = append(cuts, cutDigits)
		case "Metaspace":
			step, err := metaspace(s)
			if err != nil {
				return nil, false, err
			}
			cuts = append(cuts, step)
		case "Split":
			step, err := splitting(s)
			if err != nil {
				return nil, false, err
			}
			cuts = append(cuts, step)
		case "ByteLevel":
			bytes = true
			if s.AddPrefixSpace != nil && *s.AddPrefixSpace {
				cuts = append(cuts, prefixSpace)
			}
			if isSet(s.UseRegex) {
				cuts = append(cuts, everyPiece(gpt2Piece))
			}
		default:
			return nil, false, unknown("pre_tokenizer", s.Type, known)
		}
	}
	return cuts, bytes, nil
}

// splitting makes a cut at the matches of a pattern.
func splitting(c component) (cut, error) {
	if c.Pattern == nil || c.Pattern.Regex == nil {
		at, err := c.literal("pre_tokenizer")
		if err != nil {
			return nil, err
		}
		if c.Invert || !slices.Contains([]string{"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext"}, c.Behavior) {
			return nil, fmt.Errorf("pre_tokenizer %q: behavior %q, invert %v is not supported with a text as pattern", c.Type, c.Behavior, c.Invert)
		}
		return cutAt(at, c.Behavior), nil
	}
	next, ok := patterns[*c.Pattern.Regex]
	if !ok {
		return nil, fmt.Errorf("pre_tokenizer %q: the pattern %q is not supported (supported: those of GPT-2, cl100k and Llama-3, Qwen2, o200k)", c.Type, *c.Pattern.Regex)
	}
	// The known patterns match every letter: what lies between their matches is nothing.
	if c.Behavior == "Isolated" && !c.Invert || c.Behavior == "Removed" && c.Invert {
		return everyPiece(next), nil
	}
	return nil, fmt.Errorf("pre_tokenizer %q: behavior %q, invert %v is not supported", c.Type, c.Behavior, c.Invert)
}

// metaspace makes the cut of SentencePiece: blanks become visible, and stand at the beginning of words.
func metaspace(c component) (cut, error) {
	scheme := c.PrependScheme
	if scheme == "" { // the older spelling
		scheme = "always"
		if c.AddPrefixSpace != nil && !*c.AddPrefixSpace {
			scheme = "never"
		}
	}
	if c.Replacement == "" || !slices.Contains([]string{"always", "first", "never"}, scheme) {
		return nil, fmt.Errorf("pre_tokenizer %q: replacement %q, prepend_scheme %q is not supported", c.Type, c.Replacement, scheme)
	}
	words := cutAt(c.Replacement, "MergedWithNext")
	return func(text string, first bool, f func(piece string, first bool)) {
		text = strings.ReplaceAll(text, " ", c.Replacement)
		if (scheme == "always" || scheme == "first" && first) && !strings.HasPrefix(text, c.Replacement) {
			text = c.Replacement + text
		}
		if isSet(c.Split) {
			words(text, first, f)
		} else {
			f(text, first)
		}
	}, nil
}

// readPostProcessor finds the tokens that stand before and after every text.
func readPostProcessor(c *component) (before, after []int, err error) {
	for _, s := range flat(c, func(c component) []component { return c.Processors }) {
		switch s.Type {
		case "ByteLevel": // changes offsets only
		case "TemplateProcessing":
			seen := false
			for _, p := range s.Single {
				switch {
				case p.Sequence != nil && !seen:
					seen = true
				case p.SpecialToken != nil:
					special, ok := s.Special[p.SpecialToken.ID]
					if !ok {
						return nil, nil, fmt.Errorf("post_processor %q: the template names %q, which is not among its special_tokens", s.Type, p.SpecialToken.ID)
					}
					if seen {
						after = append(after, special.IDs...)
					} else {
						before = append(before, special.IDs...)
					}
				default:
					return nil, nil, fmt.Errorf("post_processor %q: a part of the template is neither a special token nor the text, once", s.Type)
				}
			}
		default:
			return nil, nil, unknown("post_processor", s.Type, "ByteLevel, Sequence, TemplateProcessing")
		}
	}
	return before, after, nil
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
