// Package weights reads and writes files of numbers: safetensors, whole or in shards, and GGUF.
//
// Shapes and units: as they stand in the file, a matrix of weights (outputs, inputs); data is little-endian, sizes in bytes.
package weights

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"github.com/edsrzf/mmap-go"
	"github.com/nlpodyssey/safetensors"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A DType is the type of a tensor's numbers, spelled as in safetensors files, or as in GGUF files when it is theirs alone.
type DType string

// The types that are read. Others are kept as bytes.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I32  DType = "I32"
	U16  DType = "U16"
	Q4_0 DType = "Q4_0" // 32 numbers share a scale; 4 bits around 0
	Q4_1 DType = "Q4_1" // 32 numbers share a scale and a minimum; 4 bits
	Q8_0 DType = "Q8_0" // 32 numbers share a scale; 8 bits
)

// sizes are the bytes of one number.
var sizes = map[DType]int{F32: 4, F16: 2, BF16: 2, I32: 4, U16: 2, "I64": 8, "U8": 1, "I8": 1, "BOOL": 1, "F64": 8, "I16": 2, "U32": 4, "U64": 8}

// A Tensor is a named array of numbers: little endian, row after row. Data is a view into the file.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
}

// Elements is how many numbers the tensor has.
func (t Tensor) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Floats makes a tensor of float32.
func Floats(name string, x []float32, shape ...int) Tensor {
	data := make([]byte, 4*len(x))
	for i, v := range x {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
	}
	return Tensor{Name: name, DType: F32, Shape: shape, Data: data}
}

// Float32 copies the numbers as float32.
func (t Tensor) Float32() ([]float32, error) {
	p, ok := packings[t.DType]
	if !ok {
		return nil, fmt.Errorf("tensor %s is %s: numbers of type F32, BF16 or F16, or of a GGUF file, are wanted", t.Name, t.DType)
	}
	if err := t.whole(p); err != nil {
		return nil, err
	}
	x := make([]float32, t.Elements())
	const task = 1 << 14 // numbers, whole blocks of any type
	tensor.Parallel((len(x)+task-1)/task, func(i int) {
		to, from := x[i*task:min(len(x), (i+1)*task)], t.Data[i*task/p.numbers*p.bytes:]
		if p.numbers == 1 {
			p.read(to, from)
			return
		}
		for ; len(to) > 0; to, from = to[p.numbers:], from[p.bytes:] {
			p.read(to[:p.numbers], from[:p.bytes])
		}
	})
	return x, nil
}

// whole checks that the data is as long as the shape says.
func (t Tensor) whole(p packing) error {
	if n := t.Elements(); n < 0 || n%p.numbers != 0 || len(t.Data) != n/p.numbers*p.bytes {
		return fmt.Errorf("tensor %s of shape %v and type %s has %d bytes, not those of whole blocks", t.Name, t.Shape, t.DType, len(t.Data))
	}
	return nil
}

// A File is a set of named tensors, in one file or several.
type File struct {
	name     string
	tensors  map[string]Tensor
	metadata map[string]string
	mapped   []mmap.MMap
	bytes    int64
}

// FromBytes reads a safetensors file that is in memory. The name is for errors.
func FromBytes(name string, data []byte) (*File, error) {
	f := &File{name: name, tensors: map[string]Tensor{}}
	if err := f.add(name, data); err != nil {
		return nil, err
	}
	return f, nil
}

// OpenFile maps one safetensors file into memory.
func OpenFile(path string) (*File, error) {
	f := &File{name: path, tensors: map[string]Tensor{}}
	if err := f.mapFile(path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

const (
	single = "model.safetensors"
	index  = "model.safetensors.index.json"
)

// OpenFolder maps the weights of a Hugging Face folder into memory: model.safetensors, or the shards that
// model.safetensors.index.json lists.
func OpenFolder(dir string) (*File, error) {
	if _, err := os.Stat(filepath.Join(dir, single)); err == nil {
		return OpenFile(filepath.Join(dir, single))
	}
	text, err := os.ReadFile(filepath.Join(dir, index))
	if err != nil {
		return nil, fmt.Errorf("%s holds neither %s nor %s: only safetensors weights are read", dir, single, index)
	}
	var shards struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &shards); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, index), err)
	}
	var names []string
	for _, name := range shards.Map {
		if !filepath.IsLocal(name) || !strings.HasSuffix(name, ".safetensors") {
			return nil, fmt.Errorf("%s: shard %q: a safetensors file of the same folder is wanted", filepath.Join(dir, index), name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	f := &File{name: dir, tensors: map[string]Tensor{}}
	for _, name := range slices.Compact(names) {
		if err := f.mapFile(filepath.Join(dir, name)); err != nil {
			f.Close()
			return nil, err
		}
	}
	for tensorName, shard := range shards.Map {
		if _, ok := f.tensors[tensorName]; !ok {
			f.Close()
			return nil, fmt.Errorf("%s: tensor %s is not in shard %s: the download is not whole", dir, tensorName, shard)
		}
	}
	return f, nil
}

func (f *File) mapFile(path string) error {
	data, err := mapped(path)
	if err != nil {
		return err
	}
	f.mapped = append(f.mapped, data)
	return f.add(path, data)
}

// mapped maps a file into memory.
func mapped(path string) (mmap.MMap, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%s is empty: fetch it again", path)
	}
	data, err := mmap.Map(file, mmap.RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// longestHeader is the longest header that safetensors files may have.
const longestHeader = 100 << 20

// ReadHeader reads the names, types and shapes at the beginning of a safetensors file, and no numbers: Data stays nil. The
// tensors are sorted by name.
func ReadHeader(r io.Reader) ([]Tensor, error) {
	var size uint64
	if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
		return nil, fmt.Errorf("safetensors header: %w", err)
	}
	text := io.LimitReader(r, int64(min(size, longestHeader)))
	var header map[string]struct {
		DType DType `json:"dtype"`
		Shape []int `json:"shape"`
	}
	if err := json.NewDecoder(text).Decode(&header); err != nil {
		return nil, fmt.Errorf("safetensors header: %w", err)
	}
	var list []Tensor
	for _, name := range slices.Sorted(maps.Keys(header)) {
		t := header[name]
		if name == "__metadata__" {
			continue
		}
		elements := 1
		for _, d := range t.Shape {
			if d < 0 || d > math.MaxInt32 || elements > math.MaxInt64/16/max(d, 1) {
				return nil, fmt.Errorf("safetensors header: tensor %s has shape %v", name, t.Shape)
			}
			elements *= d
		}
		list = append(list, Tensor{Name: name, DType: t.DType, Shape: t.Shape})
	}
	return list, nil
}

// add reads the tensors of one safetensors file. The parser says where a file is wrong; it may panic on some that
// lie, and what it lets through is checked again.
func (f *File) add(name string, data []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: damaged header: %v", name, r)
		}
	}()
	n, meta, err := safetensors.ReadMetadata(data)
	if err != nil {
		return fmt.Errorf("%s: %w: the file is damaged or not safetensors, fetch it again", name, err)
	}
	body := data[n+8:]
	for tensorName, info := range meta.Tensors() {
		t := Tensor{Name: tensorName, DType: DType(info.DType.String())}
		elements := uint64(1)
		for _, d := range info.Shape {
			if d > math.MaxInt32 || elements > math.MaxInt64/max(d, 1) {
				return fmt.Errorf("%s: tensor %s has shape %v: the file is damaged", name, tensorName, info.Shape)
			}
			elements *= d
			t.Shape = append(t.Shape, int(d))
		}
		from, to := info.DataOffsets[0], info.DataOffsets[1]
		if from > to || to > uint64(len(body)) || sizes[t.DType] > 0 && to-from != elements*uint64(sizes[t.DType]) {
			return fmt.Errorf("%s: tensor %s of shape %v lies at bytes %d to %d of %d: the file is damaged", name, tensorName, t.Shape, from, to, len(body))
		}
		t.Data = body[from:to:to]
		if _, twice := f.tensors[tensorName]; twice {
			return fmt.Errorf("%s: tensor %s is there twice", name, tensorName)
		}
		f.tensors[tensorName] = t
	}
	f.metadata = meta.Metadata()
	f.bytes += int64(len(data))
	return nil
}

// Tensor returns a tensor by name.
func (f *File) Tensor(name string) (Tensor, error) {
	if t, ok := f.tensors[name]; ok {
		return t, nil
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	var near []string
	for _, other := range f.Names() {
		if strings.HasSuffix(other, last) && len(near) < 3 {
			near = append(near, other)
		}
	}
	hint := ""
	if len(near) > 0 {
		hint = ": there are " + strings.Join(near, ", ")
	}
	return Tensor{}, fmt.Errorf("%s holds no tensor %s%s", f.name, name, hint)
}

// Forget gives back the memory of a tensor that has been read and copied; it can be read again.
func (f *File) Forget(t Tensor) {
	for _, m := range f.mapped {
		if len(t.Data) == 0 || len(m) == 0 {
			continue
		}
		first, last, at := uintptr(unsafe.Pointer(&m[0])), uintptr(unsafe.Pointer(&m[len(m)-1])), uintptr(unsafe.Pointer(&t.Data[0]))
		if at >= first && at <= last {
			forget(t.Data)
		}
	}
}

// Names lists the tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Metadata is what the file says of itself.
func (f *File) Metadata() map[string]string { return f.metadata }

// Bytes is the size of the file, or of all shards.
func (f *File) Bytes() int64 { return f.bytes }

// Close unmaps the file. Views of its tensors must not be used any more.
func (f *File) Close() error {
	var errs []error
	for i := range f.mapped {
		errs = append(errs, f.mapped[i].Unmap())
	}
	f.mapped, f.tensors = nil, nil
	return errors.Join(errs...)
}
