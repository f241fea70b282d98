package trained_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/trained"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// expected are the numbers that make_files.py wrote into the files.
func expected(t *testing.T, name string) []float32 {
	t.Helper()
	text, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]float32
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all[name]) == 0 {
		t.Fatalf("nothing is expected of %s", name)
	}
	return all[name]
}

func flat(list []tensor.Mat) []float32 {
	var x []float32
	for _, m := range list {
		x = append(x, m.Data...)
	}
	return x
}

func TestQFilter(t *testing.T) {
	q, err := trained.QFilter("testdata/qfilter")
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Filters) != 2 || q.Filters[0].Rows != 2 || q.Filters[0].Cols != 3 || !slices.Equal(flat(q.Filters), expected(t, "q_filters")) {
		t.Errorf("filters are %v", q.Filters)
	}
}

func TestExpectedAttentionStats(t *testing.T) {
	s, err := trained.ExpectedAttentionStats("testdata/stats")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Mean) != 2 || s.Mean[0].Rows != 4 || len(s.Cov) != 2 || len(s.Cov[1]) != 4 {
		t.Fatalf("%d means, %d covariances", len(s.Mean), len(s.Cov))
	}
	if got := append(flat(s.Cov[0]), flat(s.Cov[1])...); !slices.Equal(got, expected(t, "query_cov")) {
		t.Errorf("covariances are %v", got)
	}
}

func TestKVzap(t *testing.T) {
	for folder, maps := range map[string]int{"kvzap_linear": 1, "kvzap_mlp": 2} {
		zap, err := trained.KVzap(filepath.Join("testdata", folder))
		if err != nil {
			t.Fatal(err)
		}
		if len(zap.Nets) != 2 || len(zap.Nets[0]) != maps {
			t.Fatalf("%s: %d nets of %d maps", folder, len(zap.Nets), len(zap.Nets[0]))
		}
		last := zap.Nets[1][maps-1]
		if last.Weight.Rows != 2 || maps == 2 && !slices.Equal(last.Bias, expected(t, "kvzap_last_bias")) {
			t.Errorf("%s: the last map is %v with bias %v", folder, last.Weight, last.Bias)
		}
	}
}

func TestDuoAttention(t *testing.T) {
	p, err := trained.DuoAttention("testdata/duo")
	if err != nil {
		t.Fatal(err)
	}
	if p.Sinks != 64 || p.Recent != 256 || !slices.Equal(p.Pattern.Data, []float32{0.5, 1, 0, 0.75}) { // clipped to 0..1
		t.Errorf("pattern %v, sinks %d, recent %d", p.Pattern.Data, p.Sinks, p.Recent)
	}
}

func TestLUKV(t *testing.T) {
	p, err := trained.LUKV("testdata/curve.npy")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Curve) != 99 || p.Curve[98].At(1, 1) != 0.395 {
		t.Errorf("%d steps, the last one %v", len(p.Curve), p.Curve[98])
	}
}

func TestFastKVzip(t *testing.T) {
	p, err := trained.FastKVzip("testdata/gates.pt")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Gates) != 2 {
		t.Fatalf("%d gates", len(p.Gates))
	}
	if got := flat(p.Gates[1].Base); !slices.Equal(got, expected(t, "k_base")) {
		t.Errorf("base keys are %v", got)
	}
	if g := p.Gates[0]; !slices.Equal(g.Bias.Data, expected(t, "b")) || g.Query.Weight.Rows != 16 || len(g.Query.Bias) != 16 || g.Key.Weight.Rows != 8 {
		t.Errorf("gate 0 is %v", g)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("config.json", `{"sink_size": 4, "recent_size": 8}`)
	write("full_attention_heads.tsv", "0.1 0.2\n0.3\n")
	tests := map[string]func() error{
		"no-such-folder":      func() error { _, err := trained.QFilter("no-such-folder"); return err },
		"testdata/stats":      func() error { _, err := trained.QFilter("testdata/stats"); return err },
		"no KVzap folder":     func() error { _, err := trained.KVzap("testdata/stats"); return err },
		"line 2 has 1 number": func() error { _, err := trained.DuoAttention(dir); return err },
		"no .npy file":        func() error { _, err := trained.LUKV(write("x.npy", "hello, this is text")); return err },
		"no file of torch.save": func() error {
			_, err := trained.FastKVzip(write("x.pt", "hello"))
			return err
		},
	}
	for want, load := range tests {
		if err := load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// A press made of what was read must say so when it meets another model.
func TestOtherModelIsRefused(t *testing.T) {
	q, err := trained.QFilter("testdata/qfilter")
	if err != nil {
		t.Fatal(err)
	}
	k := []tensor.Mat{tensor.New(9, 4)}
	l := kvpress.NewLayer(kvpress.Layer{Layers: 2, Heads: 1, KVHeads: 1, Dim: 4, Len: 9, Tokens: 9}, &kvpress.Host{K: k, V: k, Dim: 4, Group: 1, Tokens: 9})
	if _, err := q.Score(l); err == nil || !strings.Contains(err.Error(), "take those of this model") {
		t.Errorf("%v does not tell the cure", err)
	}
}

func FuzzLUKV(f *testing.F) {
	good, err := os.ReadFile("testdata/curve.npy")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:20])
	path := filepath.Join(f.TempDir(), "x.npy")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := trained.LUKV(path); err == nil && len(p.Curve) != 99 {
			t.Errorf("a curve of %d steps is taken", len(p.Curve))
		}
	})
}

// TestSavedFilesAreReadAgain writes statistics and a pattern, and uses what was written.
func TestSavedFilesAreReadAgain(t *testing.T) {
	stats, err := trained.ExpectedAttentionStats("testdata/stats")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "stats")
	if err := trained.SaveExpectedAttentionStats(folder, stats); err != nil {
		t.Fatal(err)
	}
	again, err := trained.ExpectedAttentionStats(folder)
	if err != nil || !reflect.DeepEqual(again, stats) {
		t.Errorf("statistics changed on the way: %v", err)
	}
	pattern := tensor.Mat{Rows: 2, Cols: 3, Data: []float32{0, 0.25, 1, 0.1, 0.75, 0.5}}
	folder = filepath.Join(t.TempDir(), "duo")
	if err := trained.SaveDuoAttention(folder, pattern, 4, 16); err != nil {
		t.Fatal(err)
	}
	if err := trained.Use("duo_attention", folder); err != nil {
		t.Fatal(err)
	}
	m, err := kvpress.MethodNamed("duo_attention")
	if err != nil || !reflect.DeepEqual(m.Press, kvpress.DuoAttention{Pattern: pattern, Sinks: 4, Recent: 16}) || m.Paper == "" {
		t.Errorf("the method is %+v, %v", m, err)
	}
	for _, c := range [][3]string{{"snapkv", folder, "learns nothing"}, {"qfilter", "testdata/nothing here", "there is no model"}, {"qfilter", folder, "neither"}} {
		if err := trained.Use(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s from %s: %v does not say %q", c[0], c[1], err, c[2])
		}
	}
}

// TestRestoreKVOfPEFT reads what the PEFT library itself wrote.
func TestRestoreKVOfPEFT(t *testing.T) {
	p, err := trained.RestoreKV("testdata/restorekv")
	if err != nil {
		t.Fatal(err)
	}
	if e := p.Trained.Embeddings; e.Rows != 3 || e.Cols != 8 || len(p.Trained.Adapter) != 6 {
		t.Fatalf("embeddings %v, adapter %v", e, p.Trained.Adapter)
	}
	a := p.Trained.Adapter["layers.1.mlp.down_proj"]
	if a.In.Rows != 2 || a.Out.Rows != 8 || !slices.Equal(a.In.Data, expected(t, "lora_down")) || !slices.Equal(a.Out.Data, expected(t, "lora_up")) {
		t.Errorf("the adapter of down_proj is %v", a)
	}
}

// TestRestoreKV writes tokens and an adapter as their authors do, and reads them.
func TestRestoreKV(t *testing.T) {
	folder := t.TempDir()
	put := func(name string, tensors ...weights.Tensor) {
		t.Helper()
		if err := weights.Write(filepath.Join(folder, name), tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	numbers := func(name string, rows, cols int) weights.Tensor {
		x := weights.Tensor{Name: name, DType: weights.F32, Shape: []int{rows, cols}}
		for i := range rows * cols {
			x.Data = binary.LittleEndian.AppendUint32(x.Data, math.Float32bits(float32(i)))
		}
		return x
	}
	put("restore_embeddings.safetensors", numbers("restore_embeddings", 8, 6))
	const target = "base_model.model.model.layers.0.self_attn.q_proj"
	put("adapter_model.safetensors", numbers(target+".lora_A.weight", 2, 6), numbers(target+".lora_B.weight", 4, 2))
	config := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "adapter_config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config(`{"r": 2, "lora_alpha": 6}`)
	p, err := trained.RestoreKV(folder)
	if err != nil {
		t.Fatal(err)
	}
	lora := p.Trained.Adapter["layers.0.self_attn.q_proj"]
	if p.Trained.Embeddings.Rows != 8 || lora.In.Rows != 2 || lora.In.At(1, 0) != 6 || lora.Out.At(1, 1) != 9 {
		t.Errorf("read %v and %v", p.Trained.Embeddings, p.Trained.Adapter)
	}
	for text, want := range map[string]string{`{"r": 0}`: "rank 0", `{"r": 2, "use_dora": true}`: "use_dora true", `{"r": 2, "rank_pattern": {"q_proj": 4}}`: "rank_pattern"} {
		config(text)
		if _, err := trained.RestoreKV(folder); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", text, err, want)
		}
	}
}

// TestUseOfTheCache finds what was pulled, a file in a folder of a repository.
func TestUseOfTheCache(t *testing.T) {
	cache, commit := t.TempDir(), strings.Repeat("a", 40)
	t.Setenv("HF_HUB_CACHE", cache)
	dir := filepath.Join(cache, "models--org--gates")
	snapshot := filepath.Join(dir, "snapshots", commit)
	for _, folder := range []string{filepath.Join(snapshot, "folder"), filepath.Join(dir, "refs")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	gates, err := os.ReadFile(filepath.Join("testdata", "gates.pt"))
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{filepath.Join(snapshot, "folder", "gates.pt"): gates, filepath.Join(dir, "refs", "main"): []byte(commit)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := trained.Use("fastkvzip", "org/gates/folder/gates.pt"); err != nil {
		t.Error(err)
	}
	if err := trained.Use("fastkvzip", "org/gates/folder/none.pt"); err == nil || !strings.Contains(err.Error(), "none.pt") {
		t.Errorf("a file that is not there: %v", err)
	}
}
