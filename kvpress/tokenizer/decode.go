package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readDecoder makes what turns tokens into text. Steps that work on the beginning of a text are left out of shown, with
// which single tokens are shown.
func readDecoder(c *component) (steps, shown []func(parts []string) []string, err error) {
	const supported = "ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence, Strip"
	if c == nil {
		return nil, nil, unknown("decoder", "none", supported)
	}
	for _, s := range flat(c, func(c component) []component { return c.Decoders }) {
		switch s.Type {
		case "ByteLevel":
			steps, shown = append(steps, fromBytes), append(shown, fromBytes)
		case "ByteFallback":
			steps, shown = append(steps, byteFallback), append(shown, byteFallback)
		case "Fuse":
			steps = append(steps, func(parts []string) []string { return []string{strings.Join(parts, "")} })
		case "Replace":
			old, err := s.literal("decoder")
			if err != nil {
				return nil, nil, err
			}
			replace := each(func(_ int, part string) string { return strings.ReplaceAll(part, old, s.Content) })
			steps, shown = append(steps, replace), append(shown, replace)
		case "Strip":
			if utf8.RuneCountInString(s.Content) != 1 {
				return nil, nil, fmt.Errorf("decoder %q: content %q: one letter is wanted", s.Type, s.Content)
			}
			steps = append(steps, each(func(_ int, part string) string {
				for i := 0; i < s.Start && strings.HasPrefix(part, s.Content); i++ {
					part = part[len(s.Content):]
				}
				for i := 0; i < s.Stop && strings.HasSuffix(part, s.Content); i++ {
					part = part[:len(part)-len(s.Content)]
				}
				return part
			}))
		case "Metaspace":
			prepends := s.PrependScheme != "never" && (s.PrependScheme != "" || isSet(s.AddPrefixSpace))
			steps = append(steps, each(func(i int, part string) string {
				if i == 0 && prepends {
					return strings.ReplaceAll(part, s.Replacement, "")
				}
				return strings.ReplaceAll(part, s.Replacement, " ")
			}))
			shown = append(shown, each(func(_ int, part string) string { return strings.ReplaceAll(part, s.Replacement, " ") }))
		default:
			return nil, nil, unknown("decoder", s.Type, supported)
		}
	}
	return steps, shown, nil
}

// each changes every part by itself.
func each(change func(i int, part string) string) func(parts []string) []string {
	return func(parts []string) []string {
		for i, part := range parts {
			parts[i] = change(i, part)
		}
		return parts
	}
}

// fromBytes reads letters that stand for bytes. A token with another letter stands for itself.
func fromBytes(parts []string) []string {
	var all []byte
	for _, part := range parts {
		start := len(all)
		for _, r := range part {
			v, ok := byteOf[r]
			if !ok {
				all = append(all[:start], part...)
				break
			}
			all = append(all, v)
		}
	}
	return []string{lossy(all)}
}

// byteFallback reads tokens such as <0xE4>: a run of them is a text if it is valid, else each is a broken letter.
func byteFallback(parts []string) []string {
	var out []string
	var bytes []byte
	flush := func() {
		if utf8.Valid(bytes) {
			out = append(out, string(bytes))
		} else {
			out = append(out, strings.Repeat(string(utf8.RuneError), len(bytes)))
		}
		bytes = bytes[:0]
	}
	for _, part := range parts {
		if b, ok := byteToken(part); ok {
			bytes = append(bytes, b)
			continue
		}
		if len(bytes) > 0 {
			flush()
		}
		out = append(out, part)
	}
	if len(bytes) > 0 {
		flush()
	}
	return out
}

// byteToken reads <0xE4>.
func byteToken(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	v, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(v), err == nil
}

// Decode turns token numbers into text; special tokens are left out if asked. Numbers without a token are left out.
func (t *Tokenizer) Decode(ids []int, skipSpecial bool) string {
	parts := make([]string, 0, len(ids))
	for _, id := range ids {
		if id >= 0 && id < len(t.known) && t.known[id] && !(skipSpecial && t.special[id]) {
			parts = append(parts, t.tokens[id])
		}
	}
	return decoded(parts, t.decoder)
}

func decoded(parts []string, steps []func(parts []string) []string) string {
	for _, step := range steps {
		parts = step(parts)
	}
	return strings.Join(parts, "")
}

// Answer is Decode without special tokens, tidied as transformers does where tokenizer_config.json asks for that:
// blanks before punctuation and inside contractions go.
func (t *Tokenizer) Answer(ids []int) string {
	text := t.Decode(ids, true)
	if t.config.CleanUp {
		for _, r := range tidy { // one after the other, as strings.Replacer does not
			text = strings.ReplaceAll(text, r[0], r[1])
		}
	}
	return text
}

// tidy is transformers' clean_up_tokenization.
var tidy = [][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}}

// Token is one token as text, to be shown: a part of a letter becomes the replacement character.
func (t *Tokenizer) Token(id int) string {
	if id < 0 || id >= len(t.known) || !t.known[id] {
		return fmt.Sprintf("[%d]", id)
	}
	return decoded([]string{t.tokens[id]}, t.shown)
}

// A Stream decodes token by token and never gives a part of a letter. It is for one goroutine.
type Stream struct {
	tokenizer   *Tokenizer
	skipSpecial bool
	ids         []int  // the last tokens, from where a text began
	given       string // what was given of their text
	fresh       int    // how many of ids that text is of
}

// Stream begins to decode; special tokens are left out if asked.
func (t *Tokenizer) Stream(skipSpecial bool) *Stream {
	return &Stream{tokenizer: t, skipSpecial: skipSpecial}
}

// Next takes a token and returns the text that is certain now, often empty in the middle of a letter.
func (s *Stream) Next(id int) string {
	s.ids = append(s.ids, id)
	text := s.tokenizer.Decode(s.ids, s.skipSpecial)
	if strings.HasSuffix(text, string(utf8.RuneError)) {
		return ""
	}
	more := s.after(text)
	if more == "" {
		return ""
	}
	// Tokens whose text was given are only needed as what stands before the next ones.
	s.given = text
	if rest := s.tokenizer.Decode(s.ids[s.fresh:], s.skipSpecial); rest != "" {
		s.ids, s.given = s.ids[s.fresh:], rest
	}
	s.fresh = len(s.ids)
	return more
}

// Rest is what is left at the end: letters that never became whole.
func (s *Stream) Rest() string {
	rest := s.after(s.tokenizer.Decode(s.ids, s.skipSpecial))
	s.ids, s.given, s.fresh = nil, "", 0
	return rest
}

// after is what a text has behind what was given. Bytes that break a letter which was given already stand alone.
func (s *Stream) after(text string) string {
	if more, ok := strings.CutPrefix(text, s.given); ok {
		return more
	}
	return s.tokenizer.Decode(s.ids[s.fresh:], s.skipSpecial)
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
