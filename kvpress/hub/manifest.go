package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// manifestName is the file that says that a model is whole; it is written last.
const manifestName = "kvnotes.json"

// A manifest lists the files of a pulled model.
type manifest struct {
	Source string           `json:"source"`
	Files  map[string]sized `json:"files"`
}

type sized struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func writeManifest(dir, source string) error {
	m := manifest{Source: source, Files: map[string]sized{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		s, err := measure(filepath.Join(dir, e.Name()), true)
		if err != nil {
			return err
		}
		m.Files[e.Name()] = s
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestName), append(text, '\n'), 0o600)
}

func measure(path string, hash bool) (sized, error) {
	f, err := os.Open(path)
	if err != nil {
		return sized{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sized{}, err
	}
	s := sized{Bytes: info.Size()}
	if hash {
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return sized{}, err
		}
		s.SHA256 = hex.EncodeToString(h.Sum(nil))
	}
	return s, nil
}

// Verify checks a pulled model against its manifest: sizes, and with hash the contents too.
func Verify(dir string, hash bool) error {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s: %w: remove %s and pull again", filepath.Join(dir, manifestName), err, dir)
	}
	for name, want := range m.Files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s names the file %q", filepath.Join(dir, manifestName), name)
		}
		got, err := measure(filepath.Join(dir, name), hash)
		if err != nil {
			return err
		}
		if got.Bytes != want.Bytes || hash && got.SHA256 != want.SHA256 {
			return fmt.Errorf("%s is not as it was pulled: remove %s and pull again", filepath.Join(dir, name), dir)
		}
	}
	return nil
}
