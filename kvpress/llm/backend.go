package llm

import (
	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// A Backend does the arithmetic of a forward pass on one device. Verbs return no error: the first failure is kept
// and reported by Read. A backend is free to fuse work behind a verb.
type Backend interface {
	Name() string  // as commands spell it: "cpu", "cuda"
	RowBlock() int // how many tokens it wants to take through a layer at a time

	PairBytes(dim int) int // what a key and a value of so many channels each take in its caches

	// Upload puts weights on the device. Several matrices (Out, In) are stacked, row after row, into one.
	Upload(parts ...weights.Tensor) (Weight, error)
	// Alloc makes room for a matrix (rows, cols).
	Alloc(rows, cols int) (Buf, error)
	// NewCache makes an empty cache.
	NewCache(c CacheShape) (Cache, error)

	Embed(dst Buf, table Weight, ids []int, scale float32) // dst row i = table row ids[i] * scale
	Norm(dst, x Buf, w Weight, epsilon float32)            // root-mean-square norm of each row, times w; dst may be x
	MatMul(dst, x Buf, w Weight)                           // dst = x · wᵀ; what Attend or Gate wrote to x is lost when another verb follows
	Attend(dst, qkv Buf, c Cache, a Attention)             // rotates, appends keys and values to the cache, attends
	AddRow(dst Buf, w Weight)                              // every row of dst += the vector w
	Gate(dst, gateUp Buf, a Activation)                    // dst = a(first half of the columns) * second half; gateUp may be lost
	Add(dst, x Buf)                                        // dst += x; if MatMul just made x, it may be lost
	Read(dst []float32, x Buf) error                       // copies x to the host, or reports what went wrong before
	Write(dst Buf, src []float32) error                    // copies src from the host
	Layer(c Cache, p Projections) (kvpress.Source, error)  // what a press sees of one layer
	Close() error
}

// RowBlock is how many tokens the CPU backend takes through a layer at a time: enough to keep the matrix products busy,
// few enough for a cancelled context to be noticed within a fraction of a second.
const RowBlock = 512

// An Activation is the curve that gates go through.
type Activation int

// The activations of the MLPs.
const (
	SiLU     Activation = iota // x / (1 + exp(-x))
	GELUTanh                   // GELU by the approximation with tanh
)

// activations are the names that config.json gives them.
var activations = map[string]Activation{"silu": SiLU, "gelu_pytorch_tanh": GELUTanh}

// A Buf is a matrix on a backend, row after row. Only the backend that made it looks into Mem.
type Buf struct {
	Rows, Cols int
	Mem        interface{}
	Offset     int // of the first element in Mem
}

// Slice is the part of a matrix from row from up to, not including, row to.
func (b Buf) Slice(from, to int) Buf {
	b.Offset += from * b.Cols
	b.Rows = to - from
	return b
}

// A Weight is a matrix (Out, In), or a vector with Out = 1, on a backend.
type Weight struct {
	Out, In int
	Bytes   int64
	Mem     interface{}
}

// An Attention says how one layer attends. Its qkv rows hold Heads queries, KVHeads keys and KVHeads values of Dim
// channels each.
type Attention struct {
	Layer     int
	Heads     int
	KVHeads   int
	Dim       int
	Positions []int // of the new tokens, ascending
	Rope      tensor.Rope
	Scale     float32 // on q·k
	Window    int     // a token sees its last Window pairs, its own included; 0 means all
	QueryNorm Weight  // norm of each query head before RoPE (Dim); Mem is nil for none
	KeyNorm   Weight  // norm of each key before RoPE (Dim); Mem is nil for none
	Epsilon   float32 // of these norms
	Unread    bool    // nobody reads what the tokens find: keys and values count alone, and dst may stay as it is
}

// Projections are what a press may need beside the cache to compute the numbers of a layer again.
type Projections struct {
	Attention        // Positions: of the rows of Hidden
	QKV       Weight // (Heads+2*KVHeads)*Dim rows
	Bias      Weight // of QKV; Mem is nil for none
	Output    Weight // W_o
	Hidden    Buf    // recorded inputs of the attention block, of the last tokens at least; no rows when they were not recorded
	Tokens    int    // tokens seen by the layer
	RopeFor   func(length int) tensor.Rope
	Memo      *kvpress.Memo // of numbers found before
}

// A CacheShape is what a cache needs to know about a model.
type CacheShape struct {
	Layers, KVHeads, Dim int
}

// A Cache holds the keys and values of one sequence. The heads of a layer may hold different numbers of pairs.
type Cache interface {
	Shape() CacheShape
	Len(layer, head int) int
	Positions(layer, head int) []int // token position of each pair; do not write to it

	// Apply compacts one layer in place to what the plan keeps and frees the rest.
	Apply(layer int, p kvpress.Plan, rope tensor.Rope) error
	// Copy makes a cache that holds what the plans keep; nil plans keep everything. The source stays as it is.
	Copy(plans []kvpress.Plan, rope tensor.Rope) (Cache, error)
	// Fork makes a cache that shares the pairs there are and appends its own.
	Fork() Cache

	Mark() Mark    // before a question
	Rewind(m Mark) // after its answer: the context is as it was. Where numbers are stored in few bits, Fork instead
	Bytes() int64  // allocated now
	Live() int64   // of it, what pairs take
	Peak() int64   // most ever allocated
	Close()

	// Pairs copies the keys and values of one head to the host, (Len, Dim) each; Append adds such pairs to a head.
	Pairs(layer, head int) (keys, values tensor.Mat, err error)
	Append(layer, head int, keys, values tensor.Mat, positions []int) error
}

// A Mark remembers the lengths of a cache, [layer][head].
type Mark [][]int
