package tokenizer

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kvnotes/kvnotes/kvpress/internal/bounded"
)

// needle is the tokenizer of the embedded model.
func needle(t testing.TB) *Tokenizer {
	t.Helper()
	return load(t, filepath.Join("..", "needle", "model"))
}

// TestReferenceNeedle compares with what the Python library makes of the same strings.
func TestReferenceNeedle(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "needle.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	compare(t, needle(t), g)
}

func TestChat(t *testing.T) {
	tok := needle(t)
	got, err := tok.Chat([]Message{{Role: "user", Content: "Hi"}}, true, nil)
	if want := "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"; err != nil || got != want {
		t.Errorf("chat %q, %v; want %q", got, err, want)
	}
	if bos, id, ok := tok.BOS(); bos != "<|im_start|>" || id != 1 || !ok {
		t.Errorf("the text begins with %q, %d, %v", bos, id, ok)
	}
	if tok.ModelMaxLength() != 4096 {
		t.Errorf("the longest text has %d tokens", tok.ModelMaxLength())
	}
}

func TestBadTemplatesAreErrors(t *testing.T) {
	for name, c := range map[string]struct{ template, want string }{
		"files":   {`{% include "/etc/passwd" %}`, "include"},
		"refuses": {`{{ raise_exception("roles must take turns") }}`, "roles must take turns"},
		"syntax":  {`{% for %}`, "line 1"},
		"endless": {`{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}`, "stopped"},
	} {
		tok := needle(t)
		tok.template = c.template
		_, err := tok.Chat([]Message{{Role: "user", Content: "x"}}, false, nil)
		if err == nil || !strings.Contains(err.Error(), "chat template") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownPartsAreRefusedByName(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "needle", "model", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	for part, value := range map[string]string{
		"model": `{"type":"WordPiece"}`, "normalizer": `{"type":"Precompiled"}`, "pre_tokenizer": `{"type":"BertPreTokenizer"}`, "decoder": `{"type":"WordPieceDecoder"}`,
		"post_processor": `{"type":"RobertaProcessing"}`,
	} {
		var f map[string]json.RawMessage
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		f[part] = json.RawMessage(value)
		changed, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var kind struct{ Type string }
		if err := json.Unmarshal([]byte(value), &kind); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(changed, nil, nil); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), kind.Type) || !strings.Contains(err.Error(), "supported") {
			t.Errorf("%s %s: %v", part, value, err)
		}
	}
}

// TestTokensAroundTextsAreThere: what stands around every text must be a token, or a prompt would be read without it.
func TestTokensAroundTextsAreThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "needle", "model", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	for special, want := range map[string]string{
		`{}`:                          "<s>",
		`{"<s>":{"ids":[123456789]}}`: "123456789",
		`{"<s>":{"ids":[-1]}}`:        "-1",
		`{"<s>":{"ids":[0]}}`:         "",
	} {
		var f map[string]json.RawMessage
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		f["post_processor"] = json.RawMessage(`{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":` + special + `}`)
		changed, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(changed, nil, nil); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("special tokens %s: %v", special, err)
		}
	}
}

func TestDatesWithoutZeros(t *testing.T) {
	at := time.Date(2024, 1, 5, 0, 7, 0, 0, time.UTC)
	if got, err := strftime(at, "%j %-j %d %-d %e %-e %-M %-H %-m"); err != nil || got != "005 5 05 5  5 5 7 0 1" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLongWordsAreNotSlow(t *testing.T) {
	tok := needle(t)
	began := time.Now()
	for _, text := range []string{strings.Repeat("a", 1<<20), strings.Repeat("ab", 1<<19), strings.Repeat(" ", 1<<20)} {
		ids := tok.Encode(text)
		if got := tok.Decode(ids, false); got != text {
			t.Errorf("a text of a million letters comes back with %d", len(got))
		}
	}
	if took := time.Since(began); took > 60*time.Second {
		t.Errorf("three texts of a megabyte took %v", took)
	}
}

func TestNumbersOutOfRangeAreLeftOut(t *testing.T) {
	tok := needle(t)
	ids := tok.Encode("Lisbon")
	if got := tok.Decode(append([]int{-1, 1 << 30}, ids...), false); got != "Lisbon" {
		t.Errorf("decoded %q", got)
	}
	if tok.Token(-1) == "" || tok.Token(1<<30) == "" {
		t.Error("a number without a token is shown as nothing")
	}
}

func FuzzEncode(f *testing.F) {
	tok := needle(f)
	for _, s := range []string{"", "Hello 12", "日本 <|im_end|>", "\xff\x00a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids := tok.Encode(text)
		if got := tok.Decode(ids, false); got != lossy([]byte(text)) {
			t.Errorf("%q becomes %q", text, got)
		}
		stream, parts := tok.Stream(false), ""
		for _, id := range ids {
			part := stream.Next(id)
			if !utf8.ValidString(part) {
				t.Errorf("%q: part %q of a letter", text, part)
			}
			parts += part
		}
		if parts += stream.Rest(); utf8.ValidString(text) && parts != text {
			t.Errorf("%q streams as %q", text, parts)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"pre_tokenizer":{"type":"ByteLevel"},"decoder":{"type":"ByteLevel"},"added_tokens":[{"id":3,"content":"<x>","special":true}]}`), "ab<x>")
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"<unk>":0,"▁":1,"a":2,"▁a":3},"merges":[["▁","a"]],"unk_token":"<unk>","fuse_unk":true},"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<unk>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<unk>":{"ids":[0]}}}}`), "a b")
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true},{"type":"Split","pattern":{"String":"b"},"behavior":"MergedWithNext"}]},"decoder":{"type":"Metaspace","replacement":"▁"},"added_tokens":[{"id":1,"content":"<y>","lstrip":true,"rstrip":true,"single_word":true,"normalized":true}]}`), "1 a<y> b")
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		bounded.Run(t, func() {
			tok, err := Load(file, nil, nil)
			if err != nil {
				return
			}
			tok.Decode(tok.EncodeSpecial(text), true)
			tok.Decode(tok.Encode(text), false)
		})
	})
}

// TestStreams decodes all families' golden strings token by token.
func TestStreams(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join("testdata", "families", "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no families: %v", err)
	}
	for _, dir := range dirs {
		tok := load(t, dir)
		for _, text := range []string{"Hello, world!", "日本語 naïve 😀 👩‍💻", "a\n\n  b", " x", "ſ ½ ①"} {
			ids := tok.Encode(text)
			stream, parts := tok.Stream(true), ""
			for _, id := range ids {
				part := stream.Next(id)
				if strings.ContainsRune(part, utf8.RuneError) {
					t.Errorf("%s: %q: a part of a letter: %q", dir, text, part)
				}
				parts += part
			}
			if parts += stream.Rest(); parts != tok.Decode(ids, true) {
				t.Errorf("%s: %q streams as %q", dir, text, parts)
			}
		}
	}
}

// varied is a megabyte in which few words come twice: invented words of several scripts, numbers, code, line breaks.
func varied() string {
	r := rand.New(rand.NewPCG(1, 2))
	letters := []string{"aaeeiioouubcdfghklmnprstvwyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "абвгдежзиклмнопрстуя", "àéîõüßçñ", "漢字仮名交文日本語中国", "0123456789", "(){}[]<>+-*/=.,;:!?'\"_#", "가나다라마바사아", "अआइकखगमनसत", "😀🎉👍"}
	var text strings.Builder
	for text.Len() < 1<<20 {
		script := []rune(letters[0])
		if r.IntN(3) == 0 {
			script = []rune(letters[r.IntN(len(letters))])
		}
		for range 1 + r.IntN(9) {
			text.WriteRune(script[r.IntN(len(script))])
		}
		text.WriteString([]string{" ", " ", " ", " ", ", ", ".\n", "\n\n", "'s ", "\t"}[r.IntN(9)])
	}
	return text.String()
}

// mostSeconds is what a megabyte may take on one core.
const mostSeconds = 1.5

// TestMegabyte reads a megabyte of varied text and one of prose, with no word remembered from before.
func TestMegabyte(t *testing.T) {
	article, err := os.ReadFile(filepath.Join("..", "hub", "article.txt"))
	if err != nil {
		t.Fatal(err)
	}
	prose := strings.Repeat(string(article), 1<<20/len(article)+1)[:1<<20]
	for _, family := range []string{"phi3", "o200k", "llama3"} {
		tok := load(t, filepath.Join("testdata", "families", family))
		for name, text := range map[string]string{"varied": varied(), "prose": prose} {
			best := math.Inf(1)
			for round := 0; round < 8 && best > mostSeconds; round++ { // others may work on this machine, too
				clear(tok.words)
				began := time.Now()
				tok.Encode(text)
				best = min(best, time.Since(began).Seconds())
			}
			t.Logf("%s: %.2f MB of %s text in %.2f s", family, float64(len(text))/1e6, name, best)
			if best > mostSeconds {
				t.Errorf("%s: %.2f s for a megabyte of %s text, %v may pass", family, best, name, mostSeconds)
			}
		}
	}
}
