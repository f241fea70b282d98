package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kvnotes/kvnotes/internal/file"
)

// A repository is a model of the Hugging Face hub at a revision: a branch, a tag or a commit.
type repository struct{ name, revision string }

var (
	repositoryName = regexp.MustCompile(`^\w[\w.-]*/\w[\w.-]*$`)
	commitName     = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// parseRepository reads ORG/NAME or ORG/NAME@REVISION.
func parseRepository(name string) (repository, bool) {
	r := repository{revision: "main"}
	var revision string
	var at bool
	if r.name, revision, at = strings.Cut(name, "@"); at {
		r.revision = revision
	}
	return r, repositoryName.MatchString(r.name) && filepath.IsLocal(r.revision)
}

func (r repository) String() string {
	if r.revision == "main" {
		return r.name
	}
	return r.name + "@" + r.revision
}

// cached is the cache that Hugging Face's own tools use, and its folder for this model. There lie blobs/HASH, which
// are contents; snapshots/COMMIT/FILE, which are links to them; and refs/REVISION, which hold the name of a commit.
func (r repository) cached() (cache, dir string, err error) {
	cache = os.Getenv("HF_HUB_CACHE")
	if cache == "" {
		home, err := huggingFaceHome()
		if err != nil {
			return "", "", err
		}
		cache = filepath.Join(home, "hub")
	}
	return cache, filepath.Join(cache, "models--"+strings.ReplaceAll(r.name, "/", "--")), nil
}

func huggingFaceHome() (string, error) {
	if home := os.Getenv("HF_HOME"); home != "" {
		return home, nil
	}
	if caches := os.Getenv("XDG_CACHE_HOME"); caches != "" {
		return filepath.Join(caches, "huggingface"), nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home folder: %w: set HF_HOME", err)
	}
	return filepath.Join(user, ".cache", "huggingface"), nil
}

// ErrNotHere is what names of the hub give that were not pulled.
var ErrNotHere = errors.New("not in the Hugging Face cache")

// find returns the folder of a model in the cache.
func (r repository) find() (string, error) {
	cache, dir, err := r.cached()
	if err != nil {
		return "", err
	}
	commit := r.revision
	if !commitName.MatchString(commit) {
		text, err := os.ReadFile(filepath.Join(dir, "refs", filepath.FromSlash(r.revision)))
		if err != nil {
			return "", fmt.Errorf("model %s is %w (%s): kvnotes pull %s, or give the path of a folder", r, ErrNotHere, cache, r)
		}
		commit = strings.TrimSpace(string(text))
	}
	if !commitName.MatchString(commit) {
		return "", fmt.Errorf("model %s: the cache names the commit %q: remove %s and pull again", r, commit, dir)
	}
	dir = filepath.Join(dir, "snapshots", commit)
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("model %s is not whole: %w: kvnotes pull %s", r, err, r)
	}
	return dir, nil
}

// link makes a file of a snapshot from a blob.
func link(blob, file string) error {
	relative, err := filepath.Rel(filepath.Dir(file), blob)
	if err != nil {
		return err
	}
	if target, err := os.Readlink(file); err == nil && target == relative {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Symlink(relative, file) == nil {
		return nil
	}
	return os.Link(blob, file) // Windows lets few users make symbolic links
}

// replace writes a small file under another name first.
func replace(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return file.Replace(path, 0o600, file.Bytes(text))
}
