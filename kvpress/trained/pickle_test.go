package trained

import (
	"archive/zip"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/internal/bounded"
)

// gates is the structure of the gates' file, to be read in the same archive.
func gates(tb testing.TB) (good []byte, read func(data []byte) (any, error)) {
	tb.Helper()
	archive, err := zip.OpenReader("testdata/gates.pt")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { archive.Close() })
	p := &pickle{files: map[string]*zip.File{}, left: largest}
	for _, file := range archive.File {
		p.files[file.Name] = file
		if file.FileInfo().Name() == "data.pkl" {
			p.folder = file.Name[:len(file.Name)-len("/data.pkl")]
		}
	}
	if good, err = p.read("data.pkl"); err != nil {
		tb.Fatal(err)
	}
	return good, func(data []byte) (any, error) {
		return (&pickle{files: p.files, folder: p.folder, data: data, left: largest}).run()
	}
}

// FuzzPickle: whatever the bytes, an answer or an error.
func FuzzPickle(f *testing.F) {
	good, read := gates(f)
	f.Add(good)
	f.Add([]byte("."))
	f.Add([]byte("(((tq\xffh\x01."))
	f.Fuzz(func(t *testing.T, data []byte) {
		bounded.Run(t, func() {
			if v, err := read(data); err != nil && v != nil {
				t.Errorf("both %v and %v", v, err)
			}
		})
	})
}

// TestPicklesRunNothing: what names anything but tensors is refused, with the name.
func TestPicklesRunNothing(t *testing.T) {
	good, read := gates(t)
	for want, data := range map[string]string{
		"posix.system":      "\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.",
		"builtins.eval":     "\x80\x02cbuiltins\neval\n(tR.",
		"torch.load":        "\x80\x02ctorch\nload\n(tR.",
		"instruction 0x93":  "\x80\x04\x8c\x02os\x8c\x06system\x93.",
		"cut off":           string(good[:len(good)/2]),
		"cut off or broken": "X\xff\xff\xff\xff.",
		"kinds":             "ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR.",
	} {
		if _, err := read([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestOneStorageManyTimes: tensors that share a storage cannot fill the memory.
func TestOneStorageManyTimes(t *testing.T) {
	p := &pickle{left: 100}
	if err := p.spend(60); err != nil {
		t.Fatal(err)
	}
	if err := p.spend(60); err == nil || !strings.Contains(err.Error(), "512 MB") {
		t.Errorf("%v", err)
	}
}

func TestLong(t *testing.T) {
	for want, b := range map[int][]byte{0: {}, 255: {0xff, 0}, -1: {0xff}, -256: {0, 0xff}, 1 << 40: {0, 0, 0, 0, 0, 1}} {
		if got := long(b); got != want {
			t.Errorf("long(%v) = %d, want %d", b, got, want)
		}
	}
}
