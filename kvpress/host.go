package kvpress

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Host is a Source whose numbers lie in Go memory: the CPU backend fills one from its cache, tests and cells make
// one from plain matrices. Fields that stay nil are numbers that nobody recorded.
type Host struct {
	K, V     []tensor.Mat                                          // per KV head (Lens[h], Dim); keys after RoPE
	Pages    []tensor.Pages                                        // per KV head: the same in pages, instead of K and V
	Fetch    func(head int) (keys, values tensor.Mat, err error)   // instead of K and V: reads a KV head when it is first asked for
	At       [][]int                                               // per KV head: token position of each pair; nil means 0, 1, 2, ...
	Tokens   int                                                   // tokens of which queries are known
	TokensAt []int                                                 // their positions; nil means 0, 1, 2, ...
	Dim      int                                                   // channels of a head
	Group    int                                                   // query heads per KV head
	Scale    float32                                               // factor on q·k; 0 means 1/sqrt(Dim)
	Window   int                                                   // positions that a query looks back, its own included; 0 means all
	States   func() (tensor.Mat, error)                            // hidden states (Tokens, Width)
	Query    func(head, last int) (tensor.Mat, error)              // queries before RoPE (last, Dim)
	KeyStart func(head int) (tensor.Mat, error)                    // keys before RoPE (Tokens, Dim)
	Project  func(head int, states tensor.Mat) (tensor.Mat, error) // queries before RoPE of any hidden states (n, Width)
	Output   func(head int) (tensor.Mat, error)                    // block of W_o of a query head, (Width, Dim)
	Rope     func(length int) tensor.Rope                          // the rotation used for a sequence of that length
	Moments  func(skip int) (tensor.Mat, []tensor.Mat, bool)       // query moments of a layer that this one shows, if any
	Norms    func(values bool) (tensor.Mat, error)                 // lengths of keys or values found elsewhere, (KVHeads, Len); nil finds them here
	Weigh    func(last int, rows []float32) (Coming, error)        // begins to find Attention with row weights elsewhere; nil finds it here
	Memo     *Memo                                                 // numbers found before; nil keeps none

	gather   func(head int, values bool) (tensor.Mat, error) // instead of K and V: copies keys or values of a head from elsewhere
	unpack   sync.Mutex
	unpacked [2][]tensor.Mat // keys and values per KV head, if not in K and V, once somebody read them in rows
}

// Coming waits for numbers that are on their way, such as those of a GPU that has other work before, and returns them. It
// may be called again.
type Coming func() (tensor.Mat, error)

// arrived waits for numbers, if they could be asked for.
func arrived(c Coming, err error) (tensor.Mat, error) {
	if err != nil {
		return tensor.Mat{}, err
	}
	return c()
}

// missing reports a number that the prefill did not keep.
func missing(what, option string) error {
	return fmt.Errorf("%s: %w: prefill again with %s", what, ErrNotRecorded, option)
}

// modelless reports a number that plain matrices do not have.
func modelless(what string) error {
	return fmt.Errorf("%s: %w: this layer was made without a model: give its Host what is missing", what, ErrNotRecorded)
}

// rows are the keys or the values of a head, for reading.
func (s *Host) rows(h int, values bool) (tensor.Mat, error) {
	which := 0
	if values {
		which = 1
	}
	if s.K != nil {
		return [2][]tensor.Mat{s.K, s.V}[which][h], nil
	}
	s.unpack.Lock()
	defer s.unpack.Unlock()
	for i := range s.unpacked {
		if s.unpacked[i] == nil {
			s.unpacked[i] = make([]tensor.Mat, s.kvHeads())
		}
	}
	if s.unpacked[which][h].Rows < s.pairs(h) {
		if s.Fetch == nil {
			x, err := s.copied(h, values)
			if err != nil {
				return x, err
			}
			s.unpacked[which][h] = x
		} else {
			k, v, err := s.Fetch(h)
			if err != nil {
				return k, err
			}
			s.unpacked[0][h], s.unpacked[1][h] = k, v
		}
	}
	return s.unpacked[which][h], nil
}

// copied are the keys or the values of a head, for any use.
func (s *Host) copied(h int, values bool) (tensor.Mat, error) {
	switch {
	case s.gather != nil:
		return s.gather(h, values)
	case s.Pages != nil && values:
		return s.Pages[h].Values(), nil
	case s.Pages != nil:
		return s.Pages[h].Keys(), nil
	}
	x, err := s.rows(h, values)
	return x.Clone(), err
}

func (s *Host) kvHeads() int {
	if s.Fetch != nil || s.gather != nil {
		return len(s.At)
	}
	return max(len(s.K), len(s.Pages))
}

func (s *Host) heads() int { return s.kvHeads() * s.Group }

// pairs is the number of pairs of a KV head.
func (s *Host) pairs(h int) int {
	switch {
	case s.Pages != nil:
		return s.Pages[h].Len
	case s.Fetch != nil || s.gather != nil:
		return len(s.At[h])
	}
	return s.K[h].Rows
}

// longest is the number of pairs of the longest head.
func (s *Host) longest() int {
	n := 0
	for h := range s.kvHeads() {
		n = max(n, s.pairs(h))
	}
	return n
}

// Keys returns a copy of the keys of a head.
func (s *Host) Keys(h int) (tensor.Mat, error) { return s.copied(h, false) }

// Values returns a copy of the values of a head.
func (s *Host) Values(h int) (tensor.Mat, error) { return s.copied(h, true) }

// Positions returns the token position of each pair of a head.
func (s *Host) Positions(h int) ([]int, error) {
	if s.At != nil {
		return slices.Clone(s.At[h]), nil
	}
	return span(0, s.pairs(h)), nil
}

// Hidden returns the hidden states, if they were recorded.
func (s *Host) Hidden() (tensor.Mat, error) {
	if s.States == nil {
		return tensor.Mat{}, missing("hidden states", "llm.Full, or with a Record that names it (LLM.Light makes one for a press)")
	}
	return s.States()
}

// Queries returns queries before RoPE, if they can be had.
func (s *Host) Queries(head, last int) (tensor.Mat, error) {
	if s.Query == nil {
		return tensor.Mat{}, missing("queries", "llm.Full, or with a Record that names it (LLM.Light makes one for a press)")
	}
	return s.Query(head, last)
}

// QueriesOf returns the queries of any hidden states, if there is a model.
func (s *Host) QueriesOf(head int, states tensor.Mat) (tensor.Mat, error) {
	if s.Project == nil {
		return tensor.Mat{}, modelless("query projection")
	}
	return s.Project(head, states)
}

// KeyNorms returns the L2 norms of the keys.
func (s *Host) KeyNorms() (tensor.Mat, error) {
	return s.norms(false, tensor.Pages.KeyNorms)
}

// ValueNorms returns the L2 norms of the values.
func (s *Host) ValueNorms() (tensor.Mat, error) {
	return s.norms(true, tensor.Pages.ValueNorms)
}

func (s *Host) norms(ofValues bool, ofPages func(p tensor.Pages, dst []float32)) (tensor.Mat, error) {
	if s.Norms != nil {
		return s.Norms(ofValues)
	}
	m := tensor.New(s.kvHeads(), s.longest())
	err := eachHead(m.Rows, func(h int) error {
		if s.Pages != nil {
			ofPages(s.Pages[h], m.Row(h))
			return nil
		}
		x, err := s.rows(h, ofValues)
		for i := range x.Rows {
			m.Row(h)[i] = tensor.Norm(x.Row(i))
		}
		return err
	})
	return m, err
}

// OutputNorms returns the norms of the projected values.
func (s *Host) OutputNorms(p int) (tensor.Mat, error) {
	return s.Memo.ofPairs(normsName(p), func() (tensor.Mat, error) { return s.outputNorms(p) })
}

func (s *Host) outputNorms(p int) (tensor.Mat, error) {
	if s.Output == nil {
		return tensor.Mat{}, modelless("output projection")
	}
	m := tensor.New(s.heads(), s.longest())
	err := eachHead(s.heads(), func(head int) error {
		w, err := s.Output(head)
		if err != nil {
			return err
		}
		v, err := s.rows(head/s.Group, true)
		if err != nil {
			return err
		}
		if p == 2 {
			gramNorms(m.Row(head), v, w)
			return nil
		}
		packed, err := tensor.PackF32(w.Rows, w.Cols, w.Data)
		if err != nil {
			return err
		}
		all := tensor.New(rowBlock, w.Rows)
		for from := 0; from < v.Rows; from += rowBlock {
			n := min(rowBlock, v.Rows-from)
			out := all.Slice(0, n)
			packed.MulT(out, v.Slice(from, from+n))
			for i := range n {
				m.Row(head)[from+i] = tensor.AbsSum(out.Row(i))
			}
		}
		return nil
	})
	return m, err
}

// gramNorms writes the L2 norm of w·v for every row v, as sqrt(vᵀ·(wᵀ·w)·v): wᵀ·w is far smaller than w.
func gramNorms(dst []float32, v, w tensor.Mat) {
	gram := tensor.New(w.Cols, w.Cols)
	tensor.TMul(gram, w, w)
	out := tensor.New(v.Rows, v.Cols)
	tensor.Mul(out, v, gram)
	for i := range v.Rows {
		dst[i] = float32(math.Sqrt(math.Max(0, float64(tensor.Dot(out.Row(i), v.Row(i))))))
	}
}

// Attention returns the weighted sum of the last queries' attention.
func (s *Host) Attention(last int, rowWeights []float32) (tensor.Mat, error) {
	if rowWeights != nil {
		return arrived(s.weigh(last, rowWeights))
	}
	return s.Memo.ofPairs(attentionName(last), func() (tensor.Mat, error) { return arrived(s.meanAttention(last)) })
}

// meanAttention begins to find what all of the last queries pay to each pair, in the mean.
func (s *Host) meanAttention(last int) (Coming, error) {
	rowWeights := ones(last)
	tensor.Scale(rowWeights, 1/float32(last))
	return s.weigh(last, rowWeights)
}

// weigh begins to find the weighted sum of the last queries' attention. Here it is found at once.
func (s *Host) weigh(last int, rowWeights []float32) (Coming, error) {
	if s.Weigh != nil {
		return s.Weigh(last, rowWeights)
	}
	x, err := s.attention(last, rowWeights, func(dst, row []float32, w float32) { tensor.AddScaled(dst, w, row) })
	return func() (tensor.Mat, error) { return x, nil }, err
}

// AttentionMax returns the largest weighted attention of the last queries.
func (s *Host) AttentionMax(last int, rowWeights []float32) (tensor.Mat, error) {
	if rowWeights == nil {
		rowWeights = ones(last)
	}
	return s.attention(last, rowWeights, func(dst, row []float32, w float32) {
		for j, a := range row {
			dst[j] = max(dst[j], a*w)
		}
	})
}

// AttentionSums returns the attention each pair got from all queries.
func (s *Host) AttentionSums() (tensor.Mat, error) {
	return s.Memo.ofPairs(sumsName, func() (tensor.Mat, error) { return arrived(s.weigh(s.Tokens, ones(s.Tokens))) })
}

func ones(n int) []float32 {
	w := make([]float32, n)
	for i := range w {
		w[i] = 1
	}
	return w
}

// rowBlock is the number of rows that a large product holds at a time.
const rowBlock = 64

// attentionRoom is how many scores of queries attention holds at a time: they stay in the second cache.
const attentionRoom = 1 << 17

// attentionRooms are where they lie: for heads and layers one after the other the same memory.
var attentionRooms = sync.Pool{New: func() interface{} { return new([]float32) }}

// attention runs the last queries over all pairs and folds each row of exponentials, of which w times is the query's
// weighted attention, into the head's result.
func (s *Host) attention(last int, rowWeights []float32, fold func(dst, row []float32, w float32)) (tensor.Mat, error) {
	if len(rowWeights) != last {
		return tensor.Mat{}, fmt.Errorf("%w: %d row weights for %d queries", ErrBadParameter, len(rowWeights), last)
	}
	out := tensor.New(s.heads(), s.longest())
	err := eachHead(s.heads(), func(head int) error {
		q, err := s.QueriesAfterRope(head, last)
		if err != nil {
			return err
		}
		tensor.Scale(q.Data, s.Scaling())
		h, dst := head/s.Group, out.Row(head)
		room := attentionRooms.Get().(*[]float32)
		defer attentionRooms.Put(room)
		block := min(rowBlock, max(1, attentionRoom/max(1, s.pairs(h))))
		for from := 0; from < last; from += block {
			n := min(block, last-from)
			seen := s.visible(h, s.position(s.Tokens-last+from+n-1))
			weights, err := s.dots(*room, h, q.Slice(from, from+n), seen)
			if err != nil {
				return err
			}
			*room = weights.Data
			for i := range n {
				position := s.position(s.Tokens - last + from + i)
				first, end := 0, s.visible(h, position)
				if s.Window > 0 {
					first = s.visible(h, position-s.Window)
				}
				row := weights.Row(i)[first:end]
				fold(dst[first:], row, rowWeights[from+i]/tensor.Exponentials(row))
			}
		}
		return nil
	})
	return out, err
}

// dots multiplies queries with the first n keys of a KV head, a row for each query that begins with their products.
func (s *Host) dots(room []float32, h int, q tensor.Mat, n int) (tensor.Mat, error) {
	if s.Pages != nil {
		return s.Pages[h].Dots(room, q, n), nil
	}
	keys, err := s.rows(h, false)
	if err != nil {
		return tensor.Mat{}, err
	}
	if cap(room) < q.Rows*n {
		room = make([]float32, q.Rows*n)
	}
	out := tensor.Mat{Rows: q.Rows, Cols: n, Data: room[:q.Rows*n]}
	tensor.MulT(out, q, keys.Slice(0, n))
	return out, nil
}

// position is the position of known token i.
func (s *Host) position(i int) int {
	if s.TokensAt != nil {
		return s.TokensAt[i]
	}
	return i
}

// visible is the number of pairs of a KV head that the token at a position may look at.
func (s *Host) visible(h, position int) int {
	n := s.pairs(h)
	if s.At == nil {
		return min(n, max(0, position+1))
	}
	return sort.SearchInts(s.At[h][:n], position+1)
}

// QueriesAfterRope returns rotated queries; without a rotation they stay as they are.
func (s *Host) QueriesAfterRope(head, last int) (tensor.Mat, error) {
	q, err := s.Queries(head, last)
	if err != nil || s.Rope == nil {
		return q, err
	}
	rope := s.Rope(s.position(s.Tokens-1) + 1)
	for i := 0; i < last; i++ {
		rope.Rotate(q.Row(i), s.position(s.Tokens-last+i))
	}
	return q, nil
}

// QueryMoments returns mean and covariance of the queries before RoPE.
func (s *Host) QueryMoments(skip int) (tensor.Mat, []tensor.Mat, error) {
	if s.Moments != nil {
		if mean, cov, ok := s.Moments(skip); ok {
			return mean, cov, nil
		}
	}
	return s.Memo.ofQueries(skip, func() (tensor.Mat, []tensor.Mat, error) { return s.queryMoments(skip) })
}

func (s *Host) queryMoments(skip int) (tensor.Mat, []tensor.Mat, error) {
	mean := tensor.New(s.heads(), s.Dim)
	cov := make([]tensor.Mat, s.heads())
	err := eachHead(s.heads(), func(head int) error {
		q, err := s.Queries(head, s.Tokens-skip)
		if err != nil {
			return err
		}
		cov[head] = tensor.New(s.Dim, s.Dim)
		Moments(mean.Row(head), cov[head], q)
		return nil
	})
	return mean, cov, err
}

// Moments writes mean (Dim) and biased covariance (Dim, Dim) of the rows of x, which it centres in place.
func Moments(mean []float32, cov tensor.Mat, x tensor.Mat) {
	for i := 0; i < x.Rows; i++ {
		tensor.AddScaled(mean, 1/float32(x.Rows), x.Row(i))
	}
	for i := range x.Rows {
		tensor.AddScaled(x.Row(i), -1, mean)
	}
	tensor.TMul(cov, x, x)
	tensor.Scale(cov.Data, 1/float32(x.Rows))
}

// Rotation returns the rotary embedding, if there is a model.
func (s *Host) Rotation(length int) (tensor.Rope, error) {
	if s.Rope == nil {
		return tensor.Rope{}, modelless("rotations")
	}
	return s.Rope(length), nil
}

// Scaling is the factor on q·k.
func (s *Host) Scaling() float32 {
	if s.Scale != 0 {
		return s.Scale
	}
	return float32(1 / math.Sqrt(float64(s.Dim)))
}

// KeysTurnedBack returns the keys of the pairs of a head before RoPE, (Len, Dim): their rotation is undone. For a
// KeyStart, as long as the head has the pairs of all tokens.
func (s *Host) KeysTurnedBack(head int) (tensor.Mat, error) {
	keys, err := s.Keys(head)
	if err != nil {
		return keys, err
	}
	at := s.At[head]
	rope := s.Rope(at[len(at)-1] + 1)
	rope.Scale = 1 / rope.Scale
	for i, position := range at {
		rope.Rotate(keys.Row(i), -position)
	}
	return keys, nil
}

// KeysBeforeRope returns keys before RoPE for all tokens.
func (s *Host) KeysBeforeRope(head int) (tensor.Mat, error) {
	if s.KeyStart == nil {
		return tensor.Mat{}, missing("keys before RoPE", "llm.Full, or with a Record that names it (LLM.Light makes one for a press)")
	}
	return s.KeyStart(head)
}
