package weights

import (
	"bufio"
	"fmt"
	"io"

	"github.com/nlpodyssey/safetensors"

	"github.com/kvnotes/kvnotes/internal/file"
)

// view shows a tensor to the serializer.
type view struct {
	dtype safetensors.DType
	t     Tensor
}

func (v view) DType() safetensors.DType { return v.dtype }

func (v view) Shape() []uint64 {
	s := []uint64{} // a scalar has the shape [], never null
	for _, d := range v.t.Shape {
		s = append(s, uint64(d))
	}
	return s
}

func (v view) Data() []byte { return v.t.Data }

func (v view) DataLen() uint64 { return uint64(len(v.t.Data)) }

// Write writes a safetensors file: under another name first, so that a half-written file is never found.
// It is its owner's alone: a saved session holds what was read.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	views := map[string]view{}
	for _, t := range tensors {
		d, err := safetensors.ParseDType(string(t.DType))
		if err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if _, twice := views[t.Name]; twice {
			return fmt.Errorf("tensor %s is there twice", t.Name)
		}
		if len(t.Data) != t.Elements()*sizes[t.DType] {
			return fmt.Errorf("tensor %s of shape %v and type %s has %d bytes", t.Name, t.Shape, t.DType, len(t.Data))
		}
		views[t.Name] = view{d, t}
	}
	return file.Replace(path, 0o600, func(out io.Writer) error {
		w := bufio.NewWriterSize(out, 1<<20)
		if err := safetensors.SerializeToWriter(views, metadata, w); err != nil {
			return err
		}
		return w.Flush()
	})
}
