package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// huggingFace is the default of HF_ENDPOINT.
const huggingFace = "https://huggingface.co"

// A client fetches models from the Hugging Face hub.
type client struct {
	endpoint, token string
	stall           time.Duration // a connection on which nothing arrives for so long is given up
	pause           time.Duration // before the second attempt; doubles after each
	attempts        int
}

// connect makes the client of a pull; tests make less patient ones.
var connect = newClient

// newClient reads the environment variables that Hugging Face's own tools read.
func newClient() *client {
	c := &client{endpoint: os.Getenv("HF_ENDPOINT"), token: os.Getenv("HF_TOKEN"), stall: time.Minute, pause: time.Second, attempts: 6}
	if c.endpoint == "" {
		c.endpoint = huggingFace
	}
	c.endpoint = strings.TrimSuffix(c.endpoint, "/")
	if home, err := huggingFaceHome(); err == nil && c.token == "" {
		text, _ := os.ReadFile(filepath.Join(home, "token")) // most people have none
		c.token = strings.TrimSpace(string(text))
	}
	return c
}

// offline says whether the user forbids the network.
func offline() bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(os.Getenv("HF_HUB_OFFLINE")))
}

// A remoteFile is a file of a model on the hub.
type remoteFile struct {
	name string
	hash string // sha256 of a large file, git's name of a small one
	size int64
}

// parallel is how many files are fetched at once.
const parallel = 4

// pull brings the files of a model, or those that are named, into the cache and returns their folder. What is there
// already stays. The commit gets its name last, so that a pull that was killed is not found.
func (r repository) pull(ctx context.Context, named []string, p Progress) (string, error) {
	if offline() {
		dir, err := r.find()
		if err != nil {
			return "", fmt.Errorf("HF_HUB_OFFLINE forbids the network: %w", err)
		}
		return dir, nil
	}
	c := connect()
	cache, dir, err := r.cached()
	if err != nil {
		return "", err
	}
	commit, files, err := c.list(ctx, r, named)
	if err != nil {
		return "", err
	}
	if err := c.fetchAll(ctx, r.name, commit, filepath.Join(cache, ".locks", filepath.Base(dir)), filepath.Join(dir, "blobs"), files, p); err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			return "", fmt.Errorf("%w: make room, or set HF_HUB_CACHE to a folder on another disk; what was fetched is kept", err)
		}
		return "", err
	}
	snapshot := filepath.Join(dir, "snapshots", commit)
	for _, f := range files {
		if err := link(filepath.Join(dir, "blobs", f.hash), filepath.Join(snapshot, f.name)); err != nil {
			return "", err
		}
	}
	if r.revision == commit {
		return snapshot, nil
	}
	return snapshot, replace(filepath.Join(dir, "refs", filepath.FromSlash(r.revision)), []byte(commit))
}

// A Survey is what can be known of a model without its weights.
type Survey struct {
	Config, GenerationConfig []byte           // GenerationConfig is nil where there is none
	Weights                  []weights.Tensor // without numbers
}

// longestConfig is how many bytes of a configuration are read.
const longestConfig = 16 << 20

// Look asks the Hugging Face hub for the configuration of ORG/NAME or ORG/NAME@REVISION and the headers of its weights,
// some kilobytes in all, and stores nothing.
func Look(ctx context.Context, name string) (Survey, error) {
	var s Survey
	r, ok := parseRepository(name)
	if !ok {
		return s, fmt.Errorf("there is no model %q to ask the hub for: name ORG/NAME[@REVISION]", name)
	}
	if offline() {
		return s, fmt.Errorf("HF_HUB_OFFLINE forbids to ask the hub for %s", r)
	}
	c := connect()
	commit, files, err := c.list(ctx, r, nil)
	if err != nil {
		return s, fmt.Errorf("looking at %s: %w", r, err)
	}
	for _, f := range files {
		var take func(body io.Reader) error
		text := func(to *[]byte) func(body io.Reader) error {
			return func(body io.Reader) (err error) {
				if *to, err = io.ReadAll(io.LimitReader(body, longestConfig)); err != nil {
					return temporary{err}
				}
				return nil
			}
		}
		switch {
		case f.name == "config.json":
			take = text(&s.Config)
		case f.name == "generation_config.json":
			take = text(&s.GenerationConfig)
		case strings.HasSuffix(f.name, ".safetensors"):
			take = func(body io.Reader) error {
				list, err := weights.ReadHeader(body)
				if err != nil {
					return temporary{err}
				}
				s.Weights = append(s.Weights, list...)
				return nil
			}
		default:
			continue
		}
		if err := c.begin(ctx, c.address(r.name, "resolve", commit, f.name), take); err != nil {
			return s, fmt.Errorf("looking at %s: %s: %w", r, f.name, err)
		}
	}
	return s, nil
}

// begin reads the beginning of a file, as much as take wants.
func (c *client) begin(ctx context.Context, address string, take func(body io.Reader) error) error {
	return c.try(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, c.stall)
		defer cancel()
		response, err := c.get(ctx, address, 0)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		return take(response.Body)
	})
}

// fetchAll fetches files, several at once, and stops at the first failure.
func (c *client) fetchAll(ctx context.Context, name, commit, locks, blobs string, files []remoteFile, p Progress) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		return err
	}
	var (
		total, done int64
		counting    sync.Mutex
		all         sync.WaitGroup
	)
	for _, f := range files {
		total += f.size
	}
	count := func(n int64) { // negative where bytes must be fetched again
		counting.Lock()
		defer counting.Unlock()
		done += n
		p.tell("download", done, total)
	}
	slots := make(chan struct{}, parallel)
	for _, f := range files {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			unlock, err := lock(ctx, filepath.Join(locks, f.hash+".lock"))
			if err == nil {
				err = c.fetch(ctx, c.address(name, "resolve", commit, f.name), filepath.Join(blobs, f.hash), f, count)
				unlock()
			}
			if err != nil {
				cancel(fmt.Errorf("%s: %w", f.name, err))
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (c *client) address(parts ...string) string {
	for i, p := range parts {
		if i > 0 && i != 3 { // the first is ORG/NAME; a file may lie in a folder, and its name has no letters to escape
			parts[i] = url.PathEscape(p)
		}
	}
	return c.endpoint + "/" + strings.Join(parts, "/")
}

// longestList is how many bytes of a list of files are read.
const longestList = 32 << 20

// list asks which commit a revision is, and which of its files make up a model; or for the files that are named.
func (c *client) list(ctx context.Context, r repository, named []string) (commit string, files []remoteFile, err error) {
	var answer struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
			Blob string `json:"blobId"`
			Size int64  `json:"size"`
			LFS  *struct {
				SHA256 string `json:"sha256"`
				Size   int64  `json:"size"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	err = c.begin(ctx, c.address("api/models/"+r.name, "revision", r.revision)+"?blobs=true", func(body io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(body, longestList))
		if err != nil {
			return temporary{err}
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return fmt.Errorf("%s does not answer as the hub does: %w: check HF_ENDPOINT", c.endpoint, err)
		}
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	if !commitName.MatchString(answer.SHA) {
		return "", nil, fmt.Errorf("%s names the commit %q: check HF_ENDPOINT", c.endpoint, answer.SHA)
	}
	for _, s := range answer.Siblings {
		f := remoteFile{name: s.Name, hash: s.Blob, size: s.Size}
		if s.LFS != nil {
			f.hash, f.size = s.LFS.SHA256, s.LFS.Size
		}
		files = append(files, f)
	}
	if len(named) > 0 {
		files, err = pick(files, named)
	} else {
		files, err = choose(files)
	}
	for _, f := range files {
		if err == nil && (!hashName.MatchString(f.hash) || f.size < 0) {
			err = fmt.Errorf("the hub says that %s has %d bytes and the hash %q, which cannot be", f.name, f.size, f.hash)
		}
	}
	return answer.SHA, files, err
}

// pick finds the named files.
func pick(all []remoteFile, named []string) (picked []remoteFile, err error) {
	for _, name := range named {
		i := slices.IndexFunc(all, func(f remoteFile) bool { return f.name == name })
		if i < 0 || !anyFile.MatchString(name) {
			return nil, fmt.Errorf("it has no file %q", name)
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

var (
	smallFile = regexp.MustCompile(`^\w[\w.-]*\.(json|jinja|txt|model)$`)
	shardFile = regexp.MustCompile(`^model-\d{5}-of-\d{5}\.safetensors$`)
	anyFile   = regexp.MustCompile(`^\w[\w.-]*(/\w[\w.-]*)*$`)
	pickle    = regexp.MustCompile(`\.(bin|pt|pth|pkl|ckpt)$`)
	hashName  = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// choose picks the files of a model: the weights as safetensors, whole or in shards, and the small files beside them.
func choose(all []remoteFile) ([]remoteFile, error) {
	var small, shards, whole []remoteFile
	pickles := false
	for _, f := range all {
		switch {
		case f.name == "model.safetensors":
			whole = append(whole, f)
		case shardFile.MatchString(f.name):
			shards = append(shards, f)
		case smallFile.MatchString(f.name):
			small = append(small, f)
		default:
			pickles = pickles || pickle.MatchString(f.name)
		}
	}
	if len(whole) == 0 {
		whole = shards
	}
	if len(whole) == 0 && pickles {
		return nil, errors.New("its weights are Python pickles only, which may run any code when they are read: find a copy with safetensors, or convert it in Python with save_pretrained")
	}
	if len(whole) == 0 {
		return nil, errors.New("it has no model.safetensors: only models with safetensors weights are pulled")
	}
	return append(small, whole...), nil
}
