package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/internal/bounded"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// safetensorsFile writes a file by hand: a header and a body.
func safetensorsFile(header string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), body...)
}

func someTensors() []Tensor {
	bf := make([]byte, 12)
	tensor.ToBF16(bf, []float32{1, 2, 3, 4, 5, 6})
	return []Tensor{
		{Name: "a", DType: F32, Shape: []int{2}, Data: []byte{0, 0, 128, 63, 0, 0, 0, 64}},
		{Name: "layer.b", DType: BF16, Shape: []int{2, 3}, Data: bf},
		{Name: "empty", DType: I32, Shape: []int{0}, Data: nil},
	}
}

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := Write(path, someTensors(), map[string]string{"made": "here"}); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, want := range someTensors() {
		got, err := f.Tensor(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got.DType != want.DType || !reflect.DeepEqual(got.Shape, want.Shape) || string(got.Data) != string(want.Data) {
			t.Errorf("%s came back as %+v", want.Name, got)
		}
	}
	b, err := f.Tensor("layer.b")
	if err != nil {
		t.Fatal(err)
	}
	if x, err := b.Float32(); err != nil || !reflect.DeepEqual(x, []float32{1, 2, 3, 4, 5, 6}) {
		t.Errorf("numbers are %v, %v", x, err)
	}
	if f.Metadata()["made"] != "here" || !reflect.DeepEqual(f.Names(), []string{"a", "empty", "layer.b"}) {
		t.Errorf("metadata %v, names %v", f.Metadata(), f.Names())
	}
	if _, err := f.Tensor("other.b"); err == nil || !strings.Contains(err.Error(), "layer.b") || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing tensor: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("writing left %v behind", left)
	}
}

func TestBadTensorsAreNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for name, list := range map[string][]Tensor{
		"length": {{Name: "a", DType: F32, Shape: []int{2}, Data: make([]byte, 4)}},
		"type":   {{Name: "a", DType: "F99", Shape: []int{1}, Data: make([]byte, 4)}},
		"twice":  {someTensors()[0], someTensors()[0]},
	} {
		if err := Write(path, list, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was left", name)
		}
	}
}

func TestDamagedFilesAreErrors(t *testing.T) {
	good := `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	for name, data := range map[string][]byte{
		"nothing":    nil,
		"short":      {1, 2, 3},
		"huge":       {255, 255, 255, 255, 255, 255, 255, 255},
		"no json":    safetensorsFile("{", nil),
		"a list":     safetensorsFile("[]", nil),
		"truncated":  safetensorsFile(good, make([]byte, 4)),
		"too long":   safetensorsFile(good, make([]byte, 12)),
		"wrong size": safetensorsFile(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, make([]byte, 8)),
		"overflow":   safetensorsFile(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}`, make([]byte, 8)),
		"backwards":  safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, make([]byte, 8)),
		"types":      safetensorsFile(`{"a":{"dtype":7,"shape":"x","data_offsets":null}}`, nil),
		"twice":      safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8)),
		"overlap":    safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, make([]byte, 12)),
	} {
		if _, err := FromBytes("bad.safetensors", data); err == nil || !strings.Contains(err.Error(), "bad.safetensors") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShards(t *testing.T) {
	write := func(t *testing.T, weightMap map[string]string) string {
		dir := t.TempDir()
		for i, x := range someTensors()[:2] {
			if err := Write(filepath.Join(dir, fmt.Sprintf("model-%d.safetensors", i)), []Tensor{x}, nil); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.Marshal(map[string]interface{}{"weight_map": weightMap})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, index), text, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	f, err := OpenFolder(write(t, map[string]string{"a": "model-0.safetensors", "layer.b": "model-1.safetensors"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Names()) != 2 {
		t.Errorf("two shards hold %v", f.Names())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for want, m := range map[string]map[string]string{
		"same folder": {"a": "../model-0.safetensors"}, "not whole": {"a": "model-1.safetensors"}, "model-9": {"a": "model-9.safetensors"},
	} {
		if _, err := OpenFolder(write(t, m)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", m, err, want)
		}
	}
	if _, err := OpenFolder(t.TempDir()); err == nil || !strings.Contains(err.Error(), "model.safetensors") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestReferenceGGUF compares every way of packing with the numbers of the Python gguf package.
func TestReferenceGGUF(t *testing.T) {
	g, err := OpenGGUF(filepath.Join("testdata", "small.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	want, err := OpenFile(filepath.Join("testdata", "small.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	for _, name := range want.Names() {
		got, shape, err := g.Dequantize(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w, err := want.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		numbers, err := w.Float32()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(shape, w.Shape) {
			t.Errorf("%s has shape %v, want %v", name, shape, w.Shape)
		}
		for i := range numbers {
			if got[i] != numbers[i] {
				t.Errorf("%s: number %d is %g, want %g", name, i, got[i], numbers[i])
				break
			}
		}
	}
	if text, err := g.String("general.architecture"); err != nil || text != "test" {
		t.Errorf("metadata: %q, %v", text, err)
	}
	if list, err := g.Strings("a.list"); err != nil || !reflect.DeepEqual(list, []string{"x", "y"}) {
		t.Errorf("list: %v, %v", list, err)
	}
	if _, err := g.Int("general.architecture"); err == nil {
		t.Error("text is taken for a number")
	}
	t.Logf("%d ways of packing equal bit for bit", len(want.Names()))
}

func smallGGUF(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "small.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDamagedGGUF(t *testing.T) {
	data := smallGGUF(t)
	for n := range len(data) - 32 { // what lies behind the last tensor is filling
		if n%7 != 0 && n > 64 {
			continue
		}
		if _, err := parseGGUF("bad.gguf", data[:n]); err == nil || !strings.Contains(err.Error(), "bad.gguf") {
			t.Fatalf("a file cut at byte %d of %d: %v", n, len(data), err)
		}
	}
}

// seedGGUF is a short file with a list and a packed tensor: long seeds make the fuzzer spend its time on shortening.
func seedGGUF() []byte {
	number := binary.LittleEndian.AppendUint64
	text := func(b []byte, s string) []byte { return append(number(b, uint64(len(s))), s...) }
	kind := binary.LittleEndian.AppendUint32
	b := number(number(kind([]byte("GGUF"), 3), 1), 1) // version, tensors, metadata
	b = text(number(kind(kind(text(b, "list"), 9), 8), 1), "x")
	b = number(kind(number(kind(text(b, "t"), 1), 32), 2), 0) // one dimension of 32 numbers, as Q4_0, at the beginning
	return append(b, make([]byte, -len(b)&31+18)...)
}

func FuzzGGUF(f *testing.F) {
	if _, err := parseGGUF("seed", seedGGUF()); err != nil {
		f.Fatal(err)
	}
	f.Add(seedGGUF())
	f.Fuzz(func(t *testing.T, data []byte) {
		bounded.Run(t, func() {
			g, err := parseGGUF("fuzz", data)
			if err != nil {
				return
			}
			for _, name := range g.Names() {
				if _, _, err := g.Dequantize(name); err != nil {
					t.Errorf("a tensor of a file that was accepted cannot be read: %v", err)
				}
			}
		})
	})
}

func FuzzSafetensors(f *testing.F) {
	f.Add(safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 8)))
	f.Fuzz(func(t *testing.T, data []byte) {
		bounded.Run(t, func() {
			header, wrong := ReadHeader(bytes.NewReader(data))
			file, err := FromBytes("fuzz", data)
			if err != nil {
				return
			}
			if wrong != nil || len(header) != len(file.Names()) {
				t.Errorf("the header alone has %d tensors, %v; the file %d", len(header), wrong, len(file.Names()))
			}
			for _, name := range file.Names() {
				x, err := file.Tensor(name)
				if err != nil {
					t.Fatal(err)
				}
				if x.DType == F32 || x.DType == BF16 || x.DType == F16 {
					if _, err := x.Float32(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	})
}

// FuzzIndex reads any list of shards beside one shard: an error or the tensors, and no file of another folder.
func FuzzIndex(f *testing.F) {
	shard := safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 8))
	f.Add([]byte(`{"weight_map":{"a":"model-00001-of-00001.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x.safetensors","b":"/etc/passwd"}}`))
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model-00001-of-00001.safetensors"), shard, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		if err := os.WriteFile(filepath.Join(dir, index), list, 0o600); err != nil {
			t.Fatal(err)
		}
		bounded.Run(t, func() {
			file, err := OpenFolder(dir)
			if err != nil {
				return
			}
			if names := file.Names(); len(names) > 1 || file.Bytes() > int64(len(shard)) {
				t.Errorf("%q gives %v with %d bytes", list, names, file.Bytes())
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestTensorsThatLie(t *testing.T) {
	for _, to := range []DType{BF16, Q4_1, Q8_0} {
		for _, lie := range []Tensor{
			{Name: "short", DType: Q4_0, Shape: []int{1, 32}, Data: make([]byte, 5)},
			{Name: "negative", DType: F32, Shape: []int{-1, 4}},
		} {
			if _, err := lie.Rounded(to); err == nil || !strings.Contains(err.Error(), lie.Name) {
				t.Errorf("%s as %s: %v", lie.Name, to, err)
			}
		}
	}
}
