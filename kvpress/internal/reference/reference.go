// Package reference reads what the Python kvpress computed: groups of cases with scores, kept sets, logits and
// tokens, recorded by make_reference.py. Tests compare this project with it.
package reference

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// Tolerances that the reference's README states.
const (
	tinyLogits  = 2e-3 // absolute, logits of the tiny models
	TinyGap     = 5e-3 // tokens may differ after a best-minus-second logit below this
	TinyTie     = 1e-5 // relative distance of scores at the cut below which kept sets may differ
	SmolLM2Gap  = 0.01
	SmolLM2Tie  = 1e-4
	EditedPairs = 1e-4 // absolute, keys and values that a press edited
)

// A Group is one folder: index.json beside tensors.safetensors, which may be packed with gzip (.gz).
type Group struct {
	Dir    string
	Model  string  `json:"model"`
	Cases  []*Case `json:"cases"`
	Header map[string]json.RawMessage
	file   *weights.File
}

// A Case is one press at one ratio.
type Case struct {
	ID        string            `json:"id"`
	Label     string            `json:"label"`
	Ratio     float64           `json:"ratio"`
	Spec      *Spec             `json:"press"`
	Position  int               `json:"question_position"`
	N         int               `json:"n"`          // tokens of the context
	Rows      []int             `json:"cache_rows"` // pairs of each layer after the prefill
	Tokens    []int             `json:"tokens"`
	Tensors   map[string]string `json:"tensors"`
	Context   string            `json:"context_tensor"`
	Ambiguous bool              `json:"ambiguous"`
	Error     string            `json:"error"`
	Answers   []Answer          `json:"answers"`
	Exact     []Answer          `json:"answers_exact"`
	group     *Group
}

// An Answer is what a real model said.
type Answer struct {
	Text string    `json:"text"`
	IDs  []int     `json:"ids"`
	Gaps []float64 `json:"gaps"`
}

// Root finds the reference folder: $KVNOTES_REFERENCE, else ../shared/reference beside the repository, else "".
func Root() string {
	if dir := os.Getenv("KVNOTES_REFERENCE"); dir != "" {
		return dir
	}
	repo, err := Repository()
	if err != nil {
		return ""
	}
	dir := filepath.Join(repo, "..", "shared", "reference")
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// Roots are the folders of reference data: the small one of this repository always, the full one if it is there.
func Roots(t testing.TB) []string {
	t.Helper()
	repo, err := Repository()
	if err != nil {
		t.Fatal(err)
	}
	roots := []string{filepath.Join(repo, "kvpress", "testdata", "reference")}
	if full := Root(); full != "" {
		return append(roots, full)
	}
	t.Log("the full reference data is not here (KVNOTES_REFERENCE is not set): the repository's own subset is compared")
	return roots
}

// Repository is the folder of this project: the first one upwards with a go.mod.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod in this folder or above")
		}
		dir = up
	}
}

// Load reads a group.
func Load(dir string) (*Group, error) {
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, err
	}
	g := &Group{Dir: dir}
	if err := json.Unmarshal(text, &g.Header); err != nil {
		return nil, fmt.Errorf("%s: index.json: %w", dir, err)
	}
	if err := json.Unmarshal(text, g); err != nil {
		return nil, fmt.Errorf("%s: index.json: %w", dir, err)
	}
	for _, c := range g.Cases {
		c.group = g
	}
	path := filepath.Join(dir, "tensors.safetensors")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = unpacked(path + ".gz")
	}
	if err != nil {
		return nil, err
	}
	g.file, err = weights.FromBytes(path, data)
	return g, err
}

// unpacked reads a gzip file: a large group is kept so in the repository.
func unpacked(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(z)
}

// Ints reads a tensor of whole numbers.
func (g *Group) Ints(name string) ([]int, error) {
	t, err := g.file.Tensor(name)
	if err != nil {
		return nil, err
	}
	size := 4
	if t.DType != weights.I32 {
		size = 2 // U16
	}
	x := make([]int, len(t.Data)/size)
	for i := range x {
		if size == 2 {
			x[i] = int(binary.LittleEndian.Uint16(t.Data[2*i:]))
		} else {
			x[i] = int(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		}
	}
	return x, nil
}

// Floats reads a tensor of numbers and its shape.
func (g *Group) Floats(name string) ([]float32, []int, error) {
	t, err := g.file.Tensor(name)
	if err != nil {
		return nil, nil, err
	}
	x, err := t.Float32()
	return x, t.Shape, err
}

// Names lists the tensors.
func (g *Group) Names() []string { return g.file.Names() }

// Layers reads a tensor (layers, rows, cols) as one matrix per layer.
func (g *Group) Layers(name string) ([]tensor.Mat, error) {
	x, shape, err := g.Floats(name)
	if err != nil {
		return nil, err
	}
	if len(shape) != 3 {
		return nil, fmt.Errorf("tensor %s has shape %v, three dimensions are wanted", name, shape)
	}
	var all []tensor.Mat
	for size := shape[1] * shape[2]; len(x) > 0; x = x[size:] {
		all = append(all, tensor.Mat{Rows: shape[1], Cols: shape[2], Data: x[:size]})
	}
	return all, nil
}

// header reads a field of the index.
func (g *Group) header(name string, v any) error {
	if err := json.Unmarshal(g.Header[name], v); err != nil {
		return fmt.Errorf("%s: index.json: %s: %w", g.Dir, name, err)
	}
	return nil
}

// matrices reads a tensor (a, b, rows, cols) as a times b matrices.
func (g *Group) matrices(name string) ([][]tensor.Mat, error) {
	x, shape, err := g.Floats(name)
	if err != nil {
		return nil, err
	}
	if len(shape) != 4 {
		return nil, fmt.Errorf("tensor %s has shape %v, four dimensions are wanted", name, shape)
	}
	all := make([][]tensor.Mat, shape[0])
	size := shape[2] * shape[3]
	for i := range all {
		for range shape[1] {
			all[i] = append(all[i], tensor.Mat{Rows: shape[2], Cols: shape[3], Data: x[:size]})
			x = x[size:]
		}
	}
	return all, nil
}

// Group is the group that the case is part of.
func (c *Case) Group() *Group { return c.group }

// ContextIDs are the tokens of the case's context that the model sees: the delimiter of Finch is left out.
func (c *Case) ContextIDs() ([]int, error) {
	name := c.Context
	if name == "" {
		if err := c.group.header("context", &name); err != nil {
			return nil, err
		}
		return c.group.Ints(name)
	}
	ids, at, err := c.delimiter()
	if err != nil {
		return nil, err
	}
	return slices.Delete(ids, at, at+1), nil
}

// window is the number of context tokens after the delimiter of Finch.
func (c *Case) window() (int, error) {
	ids, at, err := c.delimiter()
	return len(ids) - at - 1, err
}

// delimiter finds the delimiter of Finch in the case's context.
func (c *Case) delimiter() (ids []int, at int, err error) {
	if ids, err = c.group.Ints(c.Context); err != nil {
		return nil, 0, err
	}
	var delimiter int
	if err := c.group.header("finch_delimiter", &delimiter); err != nil {
		return nil, 0, err
	}
	if at = slices.Index(ids, delimiter); at < 0 {
		return nil, 0, fmt.Errorf("%s: %s: there is no delimiter %d in the context", c.group.Dir, c.ID, delimiter)
	}
	return ids, at, nil
}

// QuestionIDs are the tokens of the question.
func (c *Case) QuestionIDs() ([]int, error) {
	var name string
	if err := c.group.header("question", &name); err != nil {
		return nil, err
	}
	return c.group.Ints(name)
}

// Kept is what stayed after the prefill, [layer][KV head]; nil when the case does not say.
// Positions behind the context are left out: the original's KVCompose forgets to drop a second copy of it.
func (c *Case) Kept(heads int) ([][][]int, error) {
	layers, err := c.sets("kept", heads)
	for _, kept := range layers {
		for h, positions := range kept {
			if c.N > 0 {
				end, _ := slices.BinarySearch(positions, c.N)
				kept[h] = positions[:end]
			}
		}
	}
	return layers, err
}

// SecondCopy tells of a case whose logits come from a cache with a second copy of the context in it.
func (c *Case) SecondCopy() bool { return c.N > 0 && len(c.Rows) > 0 && c.Rows[0] == 2*c.N }

// KeptOf is what stayed of the context of one of a real model's questions, where each has its own.
func (c *Case) KeptOf(question, heads int) ([][][]int, error) {
	return c.sets("kept."+strconv.Itoa(question), heads)
}

// FinalKept are the token positions that are left at the end of an answer, [layer][KV head]; nil where the press does
// not act in answers. Number tells questions of a real model apart, as in ".0".
func (c *Case) FinalKept(number string, heads int) ([][][]int, error) {
	return c.sets("final_kept"+number, heads)
}

func (c *Case) sets(name string, heads int) ([][][]int, error) {
	if c.Tensors[name] == "" {
		return nil, nil
	}
	flat, err := c.group.Ints(c.Tensors[name])
	if err != nil {
		return nil, err
	}
	lens, err := c.group.Ints(c.Tensors[name+"_len"])
	if err != nil {
		return nil, err
	}
	var layers [][][]int
	for i, n := range lens {
		if i%heads == 0 {
			layers = append(layers, nil)
		}
		last := len(layers) - 1
		layers[last] = append(layers[last], flat[:n])
		flat = flat[n:]
	}
	return layers, nil
}

// Logits are the rows (steps, vocabulary) of the answer's steps.
func (c *Case) Logits() ([][]float32, error) {
	x, shape, err := c.group.Floats(c.Tensors["logits"])
	if err != nil {
		return nil, err
	}
	var rows [][]float32
	for range shape[0] {
		rows = append(rows, x[:shape[1]])
		x = x[shape[1]:]
	}
	return rows, nil
}
