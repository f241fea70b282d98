package llm

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/progress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// A decoder is a stack of attention and MLP blocks on a backend: the shape that Llama gave to its whole family.
type decoder struct {
	config     Config
	backend    Backend
	activation Activation
	embedScale float32 // on the rows of embed
	embed      Weight
	layers     []block
	norm       Weight
	head       Weight
	bytes      int64
	short      tensor.Rope // the rotation of sequences within the positions the model was first trained for
	long       tensor.Rope // and past them; only longrope tells them apart
	window     tensor.Rope // the rotation of layers with a window
}

type block struct {
	attentionNorm  Weight
	qkv            Weight // queries, keys, values, stacked
	bias           Weight // of qkv; Mem is nil for none
	queryNorm      Weight // of each query head; Mem is nil for none
	keyNorm        Weight // of each key; Mem is nil for none
	output         Weight
	afterAttention Weight // norm of what the attention adds; Mem is nil for none
	mlpNorm        Weight
	gateUp         Weight // gate and up, stacked
	down           Weight
	afterMLP       Weight // norm of what the MLP adds; Mem is nil for none
}

// An architecture builds a decoder from named tensors. One file each registers itself here under the name that
// config.json gives in "architectures".
var architectures = map[string]func(c Config, l *loader) (*decoder, error){}

// loader uploads weights by name, remembers the first failure and counts bytes.
type loader struct {
	file    *weights.File
	backend Backend
	options Options
	prefix  string // of all names
	plusOne bool   // norms multiply by 1 more than what is stored
	bytes   int64
	err     error
}

// load stacks the named tensors, whose columns must number in, into a matrix of out rows.
func (l *loader) load(out, in int, names ...string) Weight { return l.stack(out, in, false, names) }

// table loads a matrix with a row for every token of the vocabulary.
func (l *loader) table(out, in int, name string) Weight {
	return l.stack(out, in, true, []string{name})
}

func (l *loader) stack(out, in int, table bool, names []string) Weight {
	parts := l.tensors(names)
	defer func(read []weights.Tensor) {
		for _, t := range read {
			l.file.Forget(t)
		}
	}(parts)
	rows := 0
	for _, t := range parts {
		r, c := 1, 0
		switch len(t.Shape) {
		case 1:
			c = t.Shape[0]
		case 2:
			r, c = t.Shape[0], t.Shape[1]
		}
		if c != in {
			l.fail(fmt.Errorf("tensor %s has shape %v, config.json asks for %d columns", t.Name, t.Shape, in))
		}
		rows += r
	}
	if l.err == nil && rows == out {
		var err error
		if parts, err = l.options.held(parts, table); err != nil {
			l.fail(err)
		}
	}
	return l.upload(rows, out, parts, names)
}

// vector strings the named vectors together into one of n numbers.
func (l *loader) vector(n int, names ...string) Weight {
	joined := weights.Tensor{Name: strings.Join(names, ", ")}
	for _, t := range l.tensors(names) {
		if len(t.Shape) != 1 || joined.Data != nil && t.DType != joined.DType {
			l.fail(fmt.Errorf("tensor %s has shape %v and type %v: a vector like its neighbours is wanted", t.Name, t.Shape, t.DType))
			break
		}
		joined.DType = t.DType
		joined.Data = append(joined.Data, t.Data...)
		joined.Shape = []int{t.Shape[0] + sum(joined.Shape)}
	}
	return l.upload(sum(joined.Shape), n, []weights.Tensor{joined}, names)
}

// norm loads the weight of a norm of n numbers.
func (l *loader) norm(n int, name string) Weight {
	if !l.plusOne {
		return l.vector(n, name)
	}
	parts := l.tensors([]string{name})
	if l.err != nil {
		return Weight{}
	}
	x, err := parts[0].Float32()
	if err != nil {
		l.fail(err)
		return Weight{}
	}
	for i := range x {
		x[i]++
	}
	return l.upload(len(x), n, []weights.Tensor{weights.Floats(name, x, 1, len(x))}, []string{name})
}

func sum(x []int) int {
	s := 0
	for _, v := range x {
		s += v
	}
	return s
}

func (l *loader) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// tensors looks the named tensors up.
func (l *loader) tensors(names []string) []weights.Tensor {
	var parts []weights.Tensor
	for _, name := range names {
		t, err := l.file.Tensor(l.prefix + name)
		if err == nil {
			err = finite(t)
		}
		if err != nil {
			l.fail(err)
			return nil
		}
		parts = append(parts, t)
	}
	return parts
}

// upload checks the number of rows (or of a vector's numbers) and puts the parts on the backend.
func (l *loader) upload(got, want int, parts []weights.Tensor, names []string) Weight {
	if l.err == nil && got != want {
		l.err = fmt.Errorf("tensors %s have %d rows together, config.json asks for %d", strings.Join(names, ", "), got, want)
	}
	if l.err != nil {
		return Weight{}
	}
	w, err := l.backend.Upload(parts...)
	if err != nil {
		l.err = fmt.Errorf("tensors %s: %w", strings.Join(names, ", "), err)
	}
	l.bytes += w.Bytes
	return w
}

// A batch is a run of new tokens of one sequence.
type batch struct {
	ids       []int
	positions []int
	cache     Cache
	record    []Buf                 // per layer: where to keep the inputs of the attention block, of the last tokens from a row block on; nil keeps none
	after     func(layer int) error // called when a layer is done with all tokens; nil does nothing
	stage     string                // name of the progress bar; empty for none

	stream     bool      // the residual stream of all tokens is wanted behind the last layer
	embeddings []float32 // (tokens, Width) instead of those of the ids; nil for none
	adapters   []adapter // of each layer, added to its weights; nil for none
}

// A workspace holds the activations of a forward pass, for up to a row block at a time. It is reused from token
// to token, so that decoding allocates nothing.
type workspace struct {
	x                                          Buf // (tokens, Width) the residual stream of all tokens
	h, qkv, attended, projected, gateUp, gated Buf // (row block, ...) inside a layer
	last, logits                               Buf // (1, ...) of the last token
	result                                     []float32
}

func (d *decoder) workspace(tokens int) (*workspace, error) {
	c := d.config
	rows := min(tokens, d.backend.RowBlock())
	w := &workspace{result: make([]float32, c.Vocabulary)}
	for _, b := range []struct {
		buf        *Buf
		rows, cols int
	}{
		{&w.x, tokens, c.Width},
		{&w.h, rows, c.Width},
		{&w.qkv, rows, (c.Heads + 2*c.KVHeads) * c.Dim},
		{&w.attended, rows, c.Heads * c.Dim},
		{&w.projected, rows, c.Width},
		{&w.gateUp, rows, 2 * c.Inner},
		{&w.gated, rows, c.Inner},
		{&w.last, 1, c.Width},
		{&w.logits, 1, c.Vocabulary},
	} {
		var err error
		if *b.buf, err = d.backend.Alloc(b.rows, b.cols); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// forward runs new tokens through the model, appends their keys and values to the cache, and leaves the logits of
// the last token in the workspace if asked. All tokens pass one layer, block of rows after block of rows, before
// the next layer begins; so a press can compress a layer as soon as it is done.
func (d *decoder) forward(ctx context.Context, w *workspace, b batch, wantLogits bool) error {
	n := len(b.positions)
	for i, id := range b.ids {
		if id < 0 || id >= d.config.Vocabulary {
			return fmt.Errorf("token %d is number %d: the model knows 0 to %d", i, id, d.config.Vocabulary-1)
		}
	}
	x := w.x.Slice(0, n)
	if b.embeddings != nil {
		if err := d.backend.Write(x, b.embeddings); err != nil {
			return err
		}
	} else {
		d.backend.Embed(x, d.embed, b.ids, d.embedScale)
	}
	rowBlock := d.backend.RowBlock()
	for layer := range d.layers {
		attention := d.attention(layer, b.positions[n-1]+1)
		for from := 0; from < n; from += rowBlock {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("layer %d of %d: %w", layer, d.config.Layers, err)
			}
			to := min(n, from+rowBlock)
			attention.Positions = b.positions[from:to]
			h := w.h.Slice(0, to-from)
			if b.record != nil {
				if first := n - b.record[layer].Rows; from >= first {
					h = b.record[layer].Slice(from-first, to-first)
				}
			}
			var extra adapter
			if b.adapters != nil {
				extra = b.adapters[layer]
			}
			rows, attended := x.Slice(from, to), w.attended.Slice(0, to-from)
			d.project(w, rows, h, layer, extra)
			last := layer == len(d.layers)-1 && !b.stream // behind it the last token counts, if any
			attention.Unread = last && (!wantLogits || to < n)
			d.backend.Attend(attended, w.qkv.Slice(0, to-from), b.cache, attention)
			if attention.Unread {
				continue
			}
			if last {
				rows, attended = rows.Slice(rows.Rows-1, rows.Rows), attended.Slice(attended.Rows-1, attended.Rows)
			}
			d.finish(w, rows, attended, layer, extra)
		}
		if b.after != nil {
			if err := b.after(layer); err != nil {
				return err
			}
		}
		if b.stage != "" {
			progress.Report(ctx, b.stage, int64(layer+1), int64(d.config.Layers))
		}
	}
	if !wantLogits {
		return d.wait(w.x)
	}
	d.backend.Norm(w.last, x.Slice(n-1, n), d.norm, d.config.Epsilon)
	d.backend.MatMul(w.logits, w.last, d.head)
	if err := d.backend.Read(w.result, w.logits); err != nil {
		return err
	}
	d.bend(w.result)
	return nil
}

// wait ends when the device has done all that it was told, with any matrix of it.
func (d *decoder) wait(x Buf) error { return d.backend.Read(nil, x.Slice(0, 0)) }

// bend keeps logits below the model's cap, if it has one.
func (d *decoder) bend(logits []float32) {
	most := d.config.LogitCap
	if most == 0 {
		return
	}
	for i, v := range logits {
		logits[i] = float32(most * math.Tanh(float64(v)/most))
	}
}

// project finds queries, keys and values of some rows; h receives the input of the attention block.
func (d *decoder) project(w *workspace, x, h Buf, layer int, extra adapter) {
	l, n := d.layers[layer], x.Rows
	d.backend.Norm(h, x, l.attentionNorm, d.config.Epsilon)
	d.product(w.qkv.Slice(0, n), h, l.qkv, extra.qkv)
	if l.bias.Mem != nil {
		d.backend.AddRow(w.qkv.Slice(0, n), l.bias)
	}
}

// finish adds what some rows attended to, and what the MLP makes of it, to the residual stream x.
func (d *decoder) finish(w *workspace, x, attended Buf, layer int, extra adapter) {
	l, n := d.layers[layer], x.Rows
	d.product(w.projected.Slice(0, n), attended, l.output, extra.output)
	d.add(x, w.projected.Slice(0, n), l.afterAttention)

	d.backend.Norm(w.h.Slice(0, n), x, l.mlpNorm, d.config.Epsilon)
	d.product(w.gateUp.Slice(0, n), w.h.Slice(0, n), l.gateUp, extra.gateUp)
	d.backend.Gate(w.gated.Slice(0, n), w.gateUp.Slice(0, n), d.activation)
	d.product(w.projected.Slice(0, n), w.gated.Slice(0, n), l.down, extra.down)
	d.add(x, w.projected.Slice(0, n), l.afterMLP)
}

// add adds what a block found to the residual stream, after the block's last norm if it has one.
func (d *decoder) add(x, found Buf, norm Weight) {
	if norm.Mem != nil {
		d.backend.Norm(found, found, norm, d.config.Epsilon)
	}
	d.backend.Add(x, found)
}

// product is dst = x · wᵀ, and what a low-rank weight adds to it.
func (d *decoder) product(dst, x Buf, w Weight, extra lowRank) {
	d.backend.MatMul(dst, x, w)
	if extra.in.Mem != nil {
		narrow, wide := extra.narrow.Slice(0, x.Rows), extra.wide.Slice(0, x.Rows)
		d.backend.MatMul(narrow, x, extra.in)
		d.backend.MatMul(wide, narrow, extra.out)
		d.backend.Add(dst, wide)
	}
}

// attention describes the attention of a layer for a sequence of the given length.
func (d *decoder) attention(layer, length int) Attention {
	c, l := d.config, d.layers[layer]
	return Attention{
		Layer: layer, Heads: c.Heads, KVHeads: c.KVHeads, Dim: c.Dim, Rope: d.ropeOf(layer)(length), Scale: c.scale(),
		Window: c.Windows[layer], QueryNorm: l.queryNorm, KeyNorm: l.keyNorm, Epsilon: c.Epsilon,
	}
}

// ropeOf is the rotation of a layer for sequences of any length.
func (d *decoder) ropeOf(layer int) func(length int) tensor.Rope {
	if d.config.Windows[layer] > 0 && d.config.WindowRope.Type != "" {
		return func(int) tensor.Rope { return d.window }
	}
	return d.rope
}

// rope is the rotation of layers that see all, for a sequence of the given length.
func (d *decoder) rope(length int) tensor.Rope {
	if length > d.config.Rope.Original {
		return d.long
	}
	return d.short
}
