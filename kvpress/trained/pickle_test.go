package trained

import (
	"archive/zip"
	"testing"
)

// FuzzPickle: whatever the bytes, an answer or an error.
func FuzzPickle(f *testing.F) {
	archive, err := zip.OpenReader("testdata/gates.pt")
	if err != nil {
		f.Fatal(err)
	}
	defer archive.Close()
	p := &pickle{files: map[string]*zip.File{}}
	for _, file := range archive.File {
		p.files[file.Name] = file
		if file.FileInfo().Name() == "data.pkl" {
			p.folder = file.Name[:len(file.Name)-len("/data.pkl")]
		}
	}
	good, err := p.read("data.pkl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("."))
	f.Add([]byte("(((tq\xffh\x01."))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := (&pickle{files: p.files, folder: p.folder, data: data}).run(); err != nil && v != nil {
			t.Errorf("both %v and %v", v, err)
		}
	})
}

func TestLong(t *testing.T) {
	for want, b := range map[int][]byte{0: {}, 255: {0xff, 0}, -1: {0xff}, -256: {0, 0xff}, 1 << 40: {0, 0, 0, 0, 0, 1}} {
		if got := long(b); got != want {
			t.Errorf("long(%v) = %d, want %d", b, got, want)
		}
	}
}
