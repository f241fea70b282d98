package kvpress

import (
	"fmt"
	"math/rand/v2"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Layer is what a press sees of one attention layer: sizes, and verbs that read numbers where they live (Go
// memory, a GPU) and copy the result to the host. Whole-head verbs keep presses fast in notebook cells too.
type Layer struct {
	Index     int     // this layer, from 0
	Layers    int     // layers of the model
	Heads     int     // query heads
	KVHeads   int     // key-value heads; each serves Heads/KVHeads query heads in a row
	Dim       int     // channels of a head
	Width     int     // channels of the model
	Len       int     // pairs of the longest KV head
	Lens      []int   // pairs of each KV head; they differ in a ragged layer
	Tokens    int     // tokens whose hidden states the layer can show; in a prefill, all of them
	Next      int     // position of the token that follows; 0 means Tokens
	PairBytes int     // bytes of one key-value pair of one head
	Window    int     // positions that a query looks back, its own included; 0 means all. PlanLayer keeps such layers whole
	Ratio     float64 // fraction that the budget rule is about to remove; 0 when nobody said

	// Draws, when not empty, is handed out by Uniform and Normal instead of fresh random numbers, first one first.
	// Reference tests feed the numbers that the Python original drew.
	Draws []tensor.Mat

	source Source
}

// A Source holds the numbers of one layer. A backend has one for its cache; Host is the one in Go memory. A number
// that the prefill did not keep is an error that wraps ErrNotRecorded.
type Source interface {
	Keys(head int) (tensor.Mat, error)                                    // (Lens[head], Dim) after RoPE
	Values(head int) (tensor.Mat, error)                                  // (Lens[head], Dim)
	Positions(head int) ([]int, error)                                    // token position of each pair, ascending
	Hidden() (tensor.Mat, error)                                          // (Tokens, Width) input of the attention block, after its norm
	Queries(head, last int) (tensor.Mat, error)                           // (last, Dim) of a query head, before RoPE
	KeyNorms() (tensor.Mat, error)                                        // (KVHeads, Len) L2 norms
	ValueNorms() (tensor.Mat, error)                                      // (KVHeads, Len) L2 norms
	OutputNorms(p int) (tensor.Mat, error)                                // (Heads, Len) p-norms of W_o v, p is 1 or 2
	Attention(last int, rowWeights []float32) (tensor.Mat, error)         // (Heads, Len) weighted sum of the last queries' attention
	AttentionMax(last int, rowWeights []float32) (tensor.Mat, error)      // (Heads, Len) largest weighted attention of the last queries
	AttentionSums() (tensor.Mat, error)                                   // (Heads, Len) attention every pair got from all queries
	QueryMoments(skip int) (mean tensor.Mat, cov []tensor.Mat, err error) // (Heads, Dim) and Heads times (Dim, Dim)
	QueriesAfterRope(head, last int) (tensor.Mat, error)                  // (last, Dim) of a query head, rotated to their positions
	QueriesOf(head int, states tensor.Mat) (tensor.Mat, error)            // queries before RoPE of any hidden states (n, Width)
	KeysBeforeRope(head int) (tensor.Mat, error)                          // (Tokens, Dim)
	Rotation(length int) (tensor.Rope, error)                             // the rotary embedding for a sequence of that length
	Scaling() float32                                                     // factor on q·k, usually 1/sqrt(Dim)
}

// NewLayer makes a layer of the given sizes over a source of numbers. Lens may be nil: every head then has Len pairs.
func NewLayer(sizes Layer, s Source) *Layer {
	l := sizes
	if l.Lens == nil {
		l.Lens = make([]int, l.KVHeads)
		for h := range l.Lens {
			l.Lens[h] = l.Len
		}
	}
	if l.Next == 0 {
		l.Next = l.Tokens
	}
	l.source = s
	return &l
}

// Group is the number of query heads that share one KV head.
func (l *Layer) Group() int { return l.Heads / l.KVHeads }

// eachHead runs f for every head at once and returns the first error.
func eachHead(heads int, f func(head int) error) error {
	errs := make([]error, heads)
	tensor.Parallel(heads, func(head int) { errs[head] = f(head) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Ragged reports whether the KV heads hold different numbers of pairs.
func (l *Layer) Ragged() bool {
	for _, n := range l.Lens {
		if n != l.Len {
			return true
		}
	}
	return false
}

// A placeError is an error with its layer in front.
type placeError struct {
	layer int
	err   error
}

func (e *placeError) Error() string { return fmt.Sprintf("layer %d: %v", e.layer, e.err) }
func (e *placeError) Unwrap() error { return e.err }

// at puts the place in front of an error; name, if any, comes after the layer, which is said once.
func (l *Layer) at(name string, err error) error {
	if err == nil {
		return nil
	}
	//nolint:errorlint // only the outermost error may say the layer: one further in belongs to another message
	if placed, ok := err.(*placeError); ok {
		err = placed.err
	}
	if name != "" {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return &placeError{l.Index, err}
}

func (l *Layer) checkHead(h, heads int, kind string) error {
	if h < 0 || h >= heads {
		return l.at("", fmt.Errorf("there is no %s head %d: heads run from 0 to %d", kind, h, heads-1))
	}
	return nil
}

func (l *Layer) checkLast(last int) error {
	if last < 1 || last > l.Tokens {
		return l.at("", fmt.Errorf("the last %d queries were asked for, the layer knows %d tokens: ask for 1 to %d", last, l.Tokens, l.Tokens))
	}
	return nil
}

// Keys returns the keys of KV head h after RoPE, (Lens[h], Dim).
func (l *Layer) Keys(h int) (tensor.Mat, error) {
	if err := l.checkHead(h, l.KVHeads, "KV"); err != nil {
		return tensor.Mat{}, err
	}
	m, err := l.source.Keys(h)
	return m, l.at("", err)
}

// Values returns the values of KV head h, (Lens[h], Dim).
func (l *Layer) Values(h int) (tensor.Mat, error) {
	if err := l.checkHead(h, l.KVHeads, "KV"); err != nil {
		return tensor.Mat{}, err
	}
	m, err := l.source.Values(h)
	return m, l.at("", err)
}

// Positions returns the token position of each pair of KV head h, ascending.
func (l *Layer) Positions(h int) ([]int, error) {
	if err := l.checkHead(h, l.KVHeads, "KV"); err != nil {
		return nil, err
	}
	p, err := l.source.Positions(h)
	return p, l.at("", err)
}

// positions is Positions for reading, which copies nothing where it need not.
func (l *Layer) positions(h int) ([]int, error) {
	if s, ok := l.source.(*Host); ok && s.At != nil {
		return s.At[h], nil
	}
	return l.Positions(h)
}

// Hidden returns the hidden states that entered the attention block, after its norm, (Tokens, Width).
func (l *Layer) Hidden() (tensor.Mat, error) {
	m, err := l.source.Hidden()
	return m, l.at("", err)
}

// Queries returns the last queries of a query head before RoPE, (last, Dim).
func (l *Layer) Queries(head, last int) (tensor.Mat, error) {
	if err := l.checkHead(head, l.Heads, "query"); err != nil {
		return tensor.Mat{}, err
	}
	if err := l.checkLast(last); err != nil {
		return tensor.Mat{}, err
	}
	m, err := l.source.Queries(head, last)
	return m, l.at("", err)
}

// KeyNorms returns the L2 norm of every key, (KVHeads, Len).
func (l *Layer) KeyNorms() (tensor.Mat, error) {
	m, err := l.source.KeyNorms()
	return m, l.at("", err)
}

// ValueNorms returns the L2 norm of every value, (KVHeads, Len).
func (l *Layer) ValueNorms() (tensor.Mat, error) {
	m, err := l.source.ValueNorms()
	return m, l.at("", err)
}

// OutputNorms returns, for each query head, the p-norm (p is 1 or 2) of each value after the head's block of the
// output projection, (Heads, Len): what a pair can add to the layer's output.
func (l *Layer) OutputNorms(p int) (tensor.Mat, error) {
	if p != 1 && p != 2 {
		return tensor.Mat{}, l.at("", fmt.Errorf("output norm %d: p is 1 or 2", p))
	}
	m, err := l.source.OutputNorms(p)
	return m, l.at("", err)
}

// Attention returns, per query head, the attention that the last queries pay to each pair: the sum over the queries
// of rowWeights[i] times the softmax row, (Heads, Len). Nil weights give the mean. The softmax runs over all pairs
// that query i may see, in float32.
func (l *Layer) Attention(last int, rowWeights []float32) (tensor.Mat, error) {
	if err := l.checkLast(last); err != nil {
		return tensor.Mat{}, err
	}
	m, err := l.source.Attention(last, rowWeights)
	return m, l.at("", err)
}

// meanAttention is Attention without weights for reading, which copies nothing where it need not.
func (l *Layer) meanAttention(last int) (tensor.Mat, error) {
	if s, ok := l.source.(*Host); ok && s.Memo != nil {
		if x := s.Memo.Get(attentionName(last)); x.Rows > 0 {
			return x, nil
		}
	}
	return l.Attention(last, nil)
}

// RecordAttention begins to find the mean attention of the last queries for who asks later, and returns what waits until
// it is there; a GPU may go on with other work before. Nobody should ask before that.
func (l *Layer) RecordAttention(last int) (wait func() error, err error) {
	there := func() error { return nil }
	host, ok := l.source.(*Host)
	if !ok || host.Memo == nil {
		_, err := l.Attention(last, nil)
		return there, err
	}
	if err := l.checkLast(last); err != nil {
		return nil, err
	}
	name := attentionName(last)
	if host.Memo.Get(name).Rows > 0 {
		return there, nil
	}
	coming, err := host.meanAttention(last)
	if err != nil {
		return nil, l.at("", err)
	}
	return func() error {
		x, err := coming()
		if err == nil {
			host.Memo.Set(name, x)
		}
		return l.at("", err)
	}, nil
}

// AttentionMax is Attention with the largest weighted entry instead of the sum; nil weights count 1 each.
func (l *Layer) AttentionMax(last int, rowWeights []float32) (tensor.Mat, error) {
	if err := l.checkLast(last); err != nil {
		return tensor.Mat{}, err
	}
	m, err := l.source.AttentionMax(last, rowWeights)
	return m, l.at("", err)
}

// AttentionSums returns the attention that every pair got from all queries of the prefill, (Heads, Len).
func (l *Layer) AttentionSums() (tensor.Mat, error) {
	m, err := l.source.AttentionSums()
	return m, l.at("", err)
}

// QueryMoments returns mean (Heads, Dim) and biased covariance (Heads times (Dim, Dim)) of the queries before RoPE,
// leaving out the first skip tokens.
func (l *Layer) QueryMoments(skip int) (tensor.Mat, []tensor.Mat, error) {
	if skip < 0 || skip >= l.Tokens {
		return tensor.Mat{}, nil, l.at("", fmt.Errorf("query moments without the first %d of %d tokens: skip fewer or use a longer context", skip, l.Tokens))
	}
	mean, cov, err := l.source.QueryMoments(skip)
	return mean, cov, l.at("", err)
}

// QueriesAfterRope returns the last queries of a query head, each rotated to its position, (last, Dim).
func (l *Layer) QueriesAfterRope(head, last int) (tensor.Mat, error) {
	if err := l.checkHead(head, l.Heads, "query"); err != nil {
		return tensor.Mat{}, err
	}
	if err := l.checkLast(last); err != nil {
		return tensor.Mat{}, err
	}
	m, err := l.source.QueriesAfterRope(head, last)
	return m, l.at("", err)
}

// QueriesOf returns the queries before RoPE that a query head makes of the given hidden states, (n, Width) to (n, Dim).
func (l *Layer) QueriesOf(head int, states tensor.Mat) (tensor.Mat, error) {
	if err := l.checkHead(head, l.Heads, "query"); err != nil {
		return tensor.Mat{}, err
	}
	m, err := l.source.QueriesOf(head, states)
	return m, l.at("", err)
}

// Rotation returns the rotary embedding that the model uses for a sequence of the given length.
func (l *Layer) Rotation(length int) (tensor.Rope, error) {
	r, err := l.source.Rotation(length)
	return r, l.at("", err)
}

// Scaling is the factor that the model puts on q·k, usually 1/sqrt(Dim).
func (l *Layer) Scaling() float32 { return l.source.Scaling() }

// MeanRope returns the mean of the rotation matrices of positions from .. from+n-1, (Dim, Dim): what rotation does
// to a query that may stand at any of these places.
func (l *Layer) MeanRope(from, n int) (tensor.Mat, error) {
	if from < 0 || n < 1 {
		return tensor.Mat{}, l.at("", fmt.Errorf("mean rotation of %d positions from %d: take at least one", n, from))
	}
	rope, err := l.Rotation(from + n)
	if err != nil {
		return tensor.Mat{}, err
	}
	half := len(rope.Freq)
	cos, sin := make([]float32, half), make([]float32, half)
	sumCos, sumSin := make([]float64, half), make([]float64, half)
	for p := from; p < from+n; p++ {
		rope.Table(cos, sin, p)
		for i := range cos {
			sumCos[i] += float64(cos[i])
			sumSin[i] += float64(sin[i])
		}
	}
	m := tensor.New(l.Dim, l.Dim)
	for i := range m.Rows {
		m.Set(i, i, 1) // channels past the rotated ones stay
	}
	for i := range half {
		c, s := float32(sumCos[i]/float64(n)), float32(sumSin[i]/float64(n))
		m.Set(i, i, c)
		m.Set(i, i+half, -s)
		m.Set(i+half, i+half, c)
		m.Set(i+half, i, s)
	}
	return m, nil
}

// KeysBeforeRope returns the keys of KV head h before RoPE for all tokens, (Tokens, Dim).
func (l *Layer) KeysBeforeRope(h int) (tensor.Mat, error) {
	if err := l.checkHead(h, l.KVHeads, "KV"); err != nil {
		return tensor.Mat{}, err
	}
	m, err := l.source.KeysBeforeRope(h)
	return m, l.at("", err)
}

// Uniform returns random numbers in [0, 1), the same for the same seed and layer.
func (l *Layer) Uniform(rows, cols int, seed uint64) (tensor.Mat, error) {
	return l.draw(rows, cols, seed, func(r *rand.Rand) float32 { return r.Float32() })
}

// Normal returns random numbers with mean 0 and deviation 1, the same for the same seed and layer.
func (l *Layer) Normal(rows, cols int, seed uint64) (tensor.Mat, error) {
	return l.draw(rows, cols, seed, func(r *rand.Rand) float32 { return float32(r.NormFloat64()) })
}

func (l *Layer) draw(rows, cols int, seed uint64, next func(*rand.Rand) float32) (tensor.Mat, error) {
	if len(l.Draws) > 0 {
		m := l.Draws[0]
		l.Draws = l.Draws[1:]
		if m.Rows != rows || m.Cols != cols {
			return tensor.Mat{}, l.at("", fmt.Errorf("fed random numbers are (%d, %d), the press draws (%d, %d)", m.Rows, m.Cols, rows, cols))
		}
		return m, nil
	}
	m := tensor.New(rows, cols)
	r := rand.New(rand.NewPCG(seed, uint64(l.Index)))
	for i := range m.Data {
		m.Data[i] = next(r)
	}
	return m, nil
}
