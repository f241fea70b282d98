package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/edsrzf/mmap-go"
)

// A GGUF is a file of llama.cpp: metadata, and tensors that may be quantised. Versions 2 and 3, little endian.
type GGUF struct {
	Metadata map[string]interface{} // numbers, strings, booleans, and slices of them
	path     string
	tensors  map[string]Tensor
	order    []string
	mapped   mmap.MMap
}

// OpenGGUF maps a file into memory.
func OpenGGUF(path string) (*GGUF, error) {
	data, err := mapped(path)
	if err != nil {
		return nil, err
	}
	g, err := parseGGUF(path, data)
	if err != nil {
		return nil, errors.Join(err, data.Unmap())
	}
	g.mapped = data
	return g, nil
}

// Close unmaps the file.
func (g *GGUF) Close() error {
	if g.mapped == nil {
		return nil
	}
	return g.mapped.Unmap()
}

// Names lists the tensors, in the order of the file.
func (g *GGUF) Names() []string { return slices.Clone(g.order) }

// String returns metadata that is text.
func (g *GGUF) String(key string) (string, error) {
	s, ok := g.Metadata[key].(string)
	if !ok {
		return "", fmt.Errorf("%s: metadata %s is %T, text is wanted", g.path, key, g.Metadata[key])
	}
	return s, nil
}

// Float returns metadata that is a number.
func (g *GGUF) Float(key string) (float64, error) {
	switch v := g.Metadata[key].(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	}
	return 0, fmt.Errorf("%s: metadata %s is %T, a number is wanted", g.path, key, g.Metadata[key])
}

// Int returns metadata that is a whole number.
func (g *GGUF) Int(key string) (int, error) {
	v, ok := g.Metadata[key].(int64)
	if !ok {
		return 0, fmt.Errorf("%s: metadata %s is %T, a whole number is wanted", g.path, key, g.Metadata[key])
	}
	return int(v), nil
}

// Strings returns metadata that is a list of texts.
func (g *GGUF) Strings(key string) ([]string, error) {
	list, ok := g.Metadata[key].([]interface{})
	if !ok {
		return nil, fmt.Errorf("%s: metadata %s is %T, a list is wanted", g.path, key, g.Metadata[key])
	}
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], ok = v.(string); !ok {
			return nil, fmt.Errorf("%s: metadata %s: entry %d is %T, text is wanted", g.path, key, i, v)
		}
	}
	return out, nil
}

// A reader reads a GGUF file and remembers the first failure.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) bytes(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.data)-r.at) {
		r.err = fmt.Errorf("the file ends at byte %d, %d more are wanted at %d: it is truncated or damaged", len(r.data), n, r.at)
	}
	if r.err != nil {
		return make([]byte, min(n, 8))
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.bytes(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.bytes(8)) }
func (r *reader) text() string {
	b := r.bytes(r.u64())
	if r.err != nil {
		return ""
	}
	return string(b)
}

// value reads metadata of a kind.
func (r *reader) value(kind uint32, depth int) interface{} {
	switch kind {
	case 0:
		return int64(r.bytes(1)[0])
	case 1:
		return int64(int8(r.bytes(1)[0]))
	case 2:
		return int64(binary.LittleEndian.Uint16(r.bytes(2)))
	case 3:
		return int64(int16(binary.LittleEndian.Uint16(r.bytes(2))))
	case 4:
		return int64(r.u32())
	case 5:
		return int64(int32(r.u32()))
	case 6:
		return float64(math.Float32frombits(r.u32()))
	case 7:
		return r.bytes(1)[0] != 0
	case 8:
		return r.text()
	case 9:
		return r.list(depth)
	case 10, 11:
		return int64(r.u64())
	case 12:
		return math.Float64frombits(r.u64())
	}
	if r.err == nil {
		r.err = fmt.Errorf("metadata of kind %d at byte %d is not known", kind, r.at)
	}
	return nil
}

func (r *reader) list(depth int) []interface{} {
	kind, n := r.u32(), r.u64()
	if r.err == nil && (depth > 4 || n > uint64(len(r.data)-r.at)) { // every entry takes a byte at least
		r.err = fmt.Errorf("a list of %d entries at byte %d: the file is damaged", n, r.at)
	}
	var list []interface{}
	for i := uint64(0); i < n && r.err == nil; i++ {
		list = append(list, r.value(kind, depth+1))
	}
	return list
}

// parseGGUF reads the header of a file.
func parseGGUF(path string, data []byte) (*GGUF, error) {
	g := &GGUF{path: path, Metadata: map[string]interface{}{}, tensors: map[string]Tensor{}}
	r := &reader{data: data}
	if string(r.bytes(4)) != "GGUF" {
		return nil, fmt.Errorf("%s is not a GGUF file", path)
	}
	if v := r.u32(); v != 2 && v != 3 {
		return nil, fmt.Errorf("%s: GGUF version %d is not supported (supported: 2, 3)", path, v)
	}
	tensors, pairs := r.u64(), r.u64()
	for i := uint64(0); i < pairs && r.err == nil; i++ {
		key := r.text()
		g.Metadata[key] = r.value(r.u32(), 0)
	}
	offsets, kinds := map[string]uint64{}, map[string]uint32{}
	for i := uint64(0); i < tensors && r.err == nil; i++ {
		name := r.text()
		dims := r.u32()
		if dims > 4 && r.err == nil {
			r.err = fmt.Errorf("tensor %s has %d dimensions", name, dims)
		}
		t := Tensor{Name: name}
		for d := uint32(0); d < dims && r.err == nil; d++ {
			n := r.u64()
			if n > math.MaxInt32 {
				r.err = fmt.Errorf("tensor %s has a dimension of %d", name, n)
			}
			t.Shape = append([]int{int(n)}, t.Shape...) // slowest dimension first, as everywhere in this project
		}
		kinds[name] = r.u32()
		offsets[name] = r.u64()
		if _, twice := g.tensors[name]; twice && r.err == nil {
			r.err = fmt.Errorf("tensor %s is there twice", name)
		}
		g.tensors[name] = t
		g.order = append(g.order, name)
	}
	if r.err != nil {
		return nil, fmt.Errorf("%s: %w", path, r.err)
	}
	return g, g.place(data, r.at, kinds, offsets)
}

// place finds the bytes of every tensor behind the header.
func (g *GGUF) place(data []byte, header int, kinds map[string]uint32, offsets map[string]uint64) error {
	align := uint64(32)
	if v, ok := g.Metadata["general.alignment"].(int64); ok && v > 0 && v <= 1<<20 {
		align = uint64(v)
	}
	start := (uint64(header) + align - 1) / align * align
	for _, name := range g.order {
		t := g.tensors[name]
		var ok bool
		if t.DType, ok = ggufTypes[kinds[name]]; !ok {
			return fmt.Errorf("%s: tensor %s has type %d, which is not supported (supported: %s)", g.path, name, kinds[name], supported())
		}
		q := packings[t.DType]
		n := uint64(1)
		for _, d := range t.Shape {
			if n > math.MaxInt64/uint64(max(d, 1)) {
				return fmt.Errorf("%s: tensor %s has shape %v: the file is damaged", g.path, name, t.Shape)
			}
			n *= uint64(d)
		}
		row := 1
		if len(t.Shape) > 0 {
			row = t.Shape[len(t.Shape)-1]
		}
		if row%q.numbers != 0 {
			return fmt.Errorf("%s: tensor %s of shape %v cannot be of type %s, whose blocks have %d numbers", g.path, name, t.Shape, t.DType, q.numbers)
		}
		size, from := n/uint64(q.numbers)*uint64(q.bytes), start+offsets[name]
		if from < start || from > uint64(len(data)) || size > uint64(len(data))-from {
			return fmt.Errorf("%s: tensor %s lies at bytes %d to %d, the file has %d: it is truncated or damaged", g.path, name, from, from+size, len(data))
		}
		t.Data = data[from : from+size : from+size]
		g.tensors[name] = t
	}
	return nil
}

// Tensor returns a tensor as it is packed in the file.
func (g *GGUF) Tensor(name string) (Tensor, error) {
	t, ok := g.tensors[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%s holds no tensor %s", g.path, name)
	}
	return t, nil
}

// Dequantize returns a tensor as float32, and its shape, slowest dimension first.
func (g *GGUF) Dequantize(name string) ([]float32, []int, error) {
	t, err := g.Tensor(name)
	if err != nil {
		return nil, nil, err
	}
	numbers, err := t.Float32()
	return numbers, t.Shape, err
}

// File is a set of tensors, many of them views into this file; closing it unmaps the file.
func (g *GGUF) File(tensors []Tensor) *File {
	f := &File{name: g.path, tensors: map[string]Tensor{}}
	for _, t := range tensors {
		f.tensors[t.Name] = t
		f.bytes += int64(len(t.Data))
	}
	if g.mapped != nil {
		f.mapped = append(f.mapped, g.mapped)
	}
	return f
}
