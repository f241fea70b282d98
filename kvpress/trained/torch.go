package trained

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// An array is a tensor of a PyTorch file.
type array struct {
	shape []int
	data  []float32
}

// storage is the flat memory that tensors of a file share.
type storage struct {
	kind string // such as BFloat16Storage
	key  string // file inside the archive
}

// largest is the most memory that a file may take: gates are small.
const largest = 1 << 29

// readTorch reads what torch.save wrote: a zip archive with a pickle of the structure and a file for each storage. The
// pickle is only read: it may name tensors and dictionaries, and is refused if it names anything else. The reader is our
// own because a file of a stranger must not take more memory than it has, which libraries ask for before they look.
func readTorch(name string) (any, error) {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return nil, fmt.Errorf("this is no file of torch.save: %w", err)
	}
	defer archive.Close()
	p := &pickle{files: map[string]*zip.File{}, left: largest}
	for _, f := range archive.File {
		if path.Base(f.Name) == "data.pkl" {
			p.folder = path.Dir(f.Name)
		}
		p.files[f.Name] = f
	}
	if p.data, err = p.read("data.pkl"); err != nil {
		return nil, err
	}
	return p.run()
}

// read reads a file of the archive whole.
func (p *pickle) read(name string) ([]byte, error) {
	f := p.files[path.Join(p.folder, name)]
	if f == nil {
		return nil, fmt.Errorf("%s is missing in the archive", name)
	}
	if err := p.spend(f.UncompressedSize64); err != nil {
		return nil, err
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, int64(f.UncompressedSize64)))
}

// spend takes memory from what the file may have.
func (p *pickle) spend(bytes uint64) error {
	if bytes > uint64(p.left) {
		return fmt.Errorf("the file wants more than %d MB: what methods learn is smaller", largest>>20)
	}
	p.left -= int64(bytes)
	return nil
}

// build makes a value of a class and its arguments.
func (p *pickle) build(class string, args []any) (any, error) {
	switch class {
	case "collections.OrderedDict":
		return map[string]any{}, nil
	case "torch._utils._rebuild_tensor_v2":
		return p.tensor(args)
	case "torch._utils._rebuild_parameter":
		if len(args) == 0 {
			return nil, errors.New("a parameter has no tensor")
		}
		return args[0], nil
	}
	return nil, nil // of no use here
}

// tensor reads the numbers of (storage, offset, shape, strides, ...).
func (p *pickle) tensor(args []any) (any, error) {
	if len(args) < 4 {
		return nil, errors.New("a tensor has too few arguments")
	}
	s, ok1 := args[0].(storage)
	offset, ok2 := args[1].(int)
	shape, ok3 := whole(args[2])
	strides, ok4 := whole(args[3])
	if !ok1 || !ok2 || !ok3 || !ok4 || offset < 0 || len(shape) != len(strides) {
		return nil, errors.New("a tensor has arguments of unknown kinds")
	}
	elements := 1
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] < 1 || shape[i] > largest/elements || strides[i] != elements && shape[i] > 1 {
			return nil, fmt.Errorf("a tensor of shape %v and strides %v is not stored row after row", shape, strides)
		}
		elements *= shape[i]
	}
	data, err := p.read("data/" + s.key)
	if err != nil {
		return nil, err
	}
	size := map[string]int{"FloatStorage": 4, "DoubleStorage": 8, "BFloat16Storage": 2, "HalfStorage": 2}[s.kind]
	if size == 0 {
		return nil, nil // whole numbers and the like are of no use here
	}
	if (offset+elements)*size > len(data) {
		return nil, fmt.Errorf("a tensor of shape %v ends behind its storage of %d bytes", shape, len(data))
	}
	if err := p.spend(uint64(4 * elements)); err != nil {
		return nil, err
	}
	data = data[offset*size : (offset+elements)*size]
	x := make([]float32, elements)
	switch s.kind {
	case "BFloat16Storage":
		tensor.FromBF16(x, data)
	case "HalfStorage":
		tensor.FromF16(x, data)
	case "FloatStorage":
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case "DoubleStorage":
		for i := range x {
			x[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:])))
		}
	}
	return array{shape, x}, nil
}

// persistent reads ("storage", class, key, device, elements).
func persistent(v any) (any, error) {
	t, ok := v.([]any)
	if !ok || len(t) < 3 {
		return nil, errors.New("a storage is not told as expected")
	}
	class, ok1 := t[1].(global)
	key, ok2 := t[2].(string)
	if !ok1 || !ok2 || path.Base(key) != key {
		return nil, errors.New("a storage is not told as expected")
	}
	return storage{kind: string(class)[strings.LastIndex(string(class), ".")+1:], key: key}, nil
}

// whole reads a tuple of whole numbers.
func whole(v any) ([]int, bool) {
	t, ok := v.([]any)
	var list []int
	for _, x := range t {
		n, isInt := x.(int)
		ok = ok && isInt
		list = append(list, n)
	}
	return list, ok
}
