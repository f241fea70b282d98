package llm

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// LoRA is a low-rank weight that is added to one of the model's: x gains Out · In · x. Hu et al., arXiv 2106.09685.
type LoRA struct {
	In  tensor.Mat // (rank, in)
	Out tensor.Mat // (out, rank), times the adapter's scale
}

// An adapter is what is added to the weights of one layer.
type adapter struct{ qkv, output, gateUp, down lowRank }

// lowRank is a LoRA, or several over the same input, on a backend, and room for its products.
type lowRank struct {
	in, out      Weight
	narrow, wide Buf
}

// adapt puts the LoRAs of a layer on the backend, for up to rows tokens at a time. They are named as in the files of
// models, such as "layers.3.self_attn.q_proj".
func (m *LLM) adapt(layer, rows int, all map[string]LoRA) (adapter, error) {
	c := m.Config
	at := fmt.Sprintf("layers.%d.", layer)
	var a adapter
	for _, part := range []struct {
		to    *lowRank
		in    int
		names []string
		outs  []int
	}{
		{&a.qkv, c.Width, []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, []int{c.Heads * c.Dim, c.KVHeads * c.Dim, c.KVHeads * c.Dim}},
		{&a.output, c.Heads * c.Dim, []string{"self_attn.o_proj"}, []int{c.Width}},
		{&a.gateUp, c.Width, []string{"mlp.gate_proj", "mlp.up_proj"}, []int{c.Inner, c.Inner}},
		{&a.down, c.Inner, []string{"mlp.down_proj"}, []int{c.Width}},
	} {
		var stack []LoRA
		for i, name := range part.names {
			x := all[at+name]
			if x.In.Rows > 0 && (x.In.Cols != part.in || x.Out.Rows != part.outs[i] || x.Out.Cols != x.In.Rows) {
				return a, fmt.Errorf("the adapter of %s%s is (%d, %d) and (%d, %d), the model's weight is (%d, %d): take the adapter of this model",
					at, name, x.In.Rows, x.In.Cols, x.Out.Rows, x.Out.Cols, part.outs[i], part.in)
			}
			stack = append(stack, x)
		}
		if err := part.to.upload(m.decoder.backend, rows, part.in, part.outs, stack); err != nil {
			return a, err
		}
	}
	return a, nil
}

// upload stacks LoRAs over the same input into one: the ranks one after the other, and each output reads its own.
func (l *lowRank) upload(b Backend, rows, in int, outs []int, stack []LoRA) error {
	rank, out := 0, 0
	for i, x := range stack {
		rank, out = rank+x.In.Rows, out+outs[i]
	}
	if rank == 0 {
		return nil
	}
	narrow, wide := tensor.New(rank, in), tensor.New(out, rank)
	at, row := 0, 0
	for i, x := range stack {
		copy(narrow.Data[at*in:], x.In.Data)
		for j := range x.Out.Rows {
			copy(wide.Row(row + j)[at:], x.Out.Row(j))
		}
		at, row = at+x.In.Rows, row+outs[i]
	}
	var err error
	if l.in, err = b.Upload(single("in", narrow)); err != nil {
		return err
	}
	if l.out, err = b.Upload(single("out", wide)); err != nil {
		return err
	}
	if l.narrow, err = b.Alloc(rows, rank); err != nil {
		return err
	}
	l.wide, err = b.Alloc(rows, out)
	return err
}

// single is a matrix as a tensor of float32.
func single(name string, m tensor.Mat) weights.Tensor {
	t := weights.Tensor{Name: name, DType: weights.F32, Shape: []int{m.Rows, m.Cols}, Data: make([]byte, 0, 4*len(m.Data))}
	for _, v := range m.Data {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(v))
	}
	return t
}
