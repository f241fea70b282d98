package kvpress

import (
	"fmt"
	"math"
	"sort"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Host is a Source whose numbers lie in Go memory: the CPU backend fills one from its cache, tests and cells make
// one from plain matrices. Fields that stay nil are numbers that nobody recorded.
type Host struct {
	K, V     []tensor.Mat                                    // per KV head (Lens[h], Dim); keys after RoPE
	At       [][]int                                         // per KV head: token position of each pair; nil means 0, 1, 2, ...
	Tokens   int                                             // tokens of which queries are known
	TokensAt []int                                           // their positions; nil means 0, 1, 2, ...
	Dim      int                                             // channels of a head
	Group    int                                             // query heads per KV head
	Scale    float32                                         // factor on q·k; 0 means 1/sqrt(Dim)
	States   func() (tensor.Mat, error)                      // hidden states (Tokens, Width)
	Query    func(head, last int) (tensor.Mat, error)        // queries before RoPE (last, Dim)
	KeyStart func(head int) (tensor.Mat, error)              // keys before RoPE (Tokens, Dim)
	Output   func(head int) (tensor.Mat, error)              // block of W_o of a query head, (Width, Dim)
	Rope     func(length int) tensor.Rope                    // the rotation used for a sequence of that length
	Moments  func(skip int) (tensor.Mat, []tensor.Mat, bool) // recorded query moments, if any
	Sums     tensor.Mat                                      // recorded attention sums (Heads, Len), if any
}

func missing(what, option string) error {
	return fmt.Errorf("%s: %w: prefill again with %s", what, ErrNotRecorded, option)
}

func (s *Host) heads() int { return len(s.K) * s.Group }

// longest is the number of pairs of the longest head.
func (s *Host) longest() int {
	n := 0
	for _, k := range s.K {
		n = max(n, k.Rows)
	}
	return n
}

// Keys returns a copy of the keys of a head.
func (s *Host) Keys(h int) (tensor.Mat, error) { return s.K[h].Clone(), nil }

// Values returns a copy of the values of a head.
func (s *Host) Values(h int) (tensor.Mat, error) { return s.V[h].Clone(), nil }

// Positions returns the token position of each pair of a head.
func (s *Host) Positions(h int) ([]int, error) {
	p := make([]int, s.K[h].Rows)
	for i := range p {
		p[i] = i
	}
	if s.At != nil {
		copy(p, s.At[h])
	}
	return p, nil
}

// Hidden returns the hidden states, if they were recorded.
func (s *Host) Hidden() (tensor.Mat, error) {
	if s.States == nil {
		return tensor.Mat{}, missing("hidden states", "Record: Full")
	}
	return s.States()
}

// Queries returns queries before RoPE, if they can be had.
func (s *Host) Queries(head, last int) (tensor.Mat, error) {
	if s.Query == nil {
		return tensor.Mat{}, missing("queries", "Record: Full, or Light with a Window")
	}
	return s.Query(head, last)
}

// KeyNorms returns the L2 norms of the keys.
func (s *Host) KeyNorms() (tensor.Mat, error) { return s.norms(s.K), nil }

// ValueNorms returns the L2 norms of the values.
func (s *Host) ValueNorms() (tensor.Mat, error) { return s.norms(s.V), nil }

func (s *Host) norms(x []tensor.Mat) tensor.Mat {
	m := tensor.New(len(x), s.longest())
	for h, rows := range x {
		for i := 0; i < rows.Rows; i++ {
			m.Row(h)[i] = tensor.Norm(rows.Row(i))
		}
	}
	return m
}

// OutputNorms returns the norms of the projected values.
func (s *Host) OutputNorms(p int) (tensor.Mat, error) {
	if s.Output == nil {
		return tensor.Mat{}, missing("output projection", "a model (this layer was made from plain matrices)")
	}
	m := tensor.New(s.heads(), s.longest())
	errs := make([]error, s.heads())
	tensor.Parallel(s.heads(), func(head int) {
		w, err := s.Output(head)
		if err != nil {
			errs[head] = err
			return
		}
		v := s.V[head/s.Group]
		row := tensor.New(1, w.Rows)
		for i := 0; i < v.Rows; i++ {
			tensor.MulT(row, tensor.Mat{Rows: 1, Cols: s.Dim, Data: v.Row(i)}, w)
			if p == 2 {
				m.Row(head)[i] = tensor.Norm(row.Data)
				continue
			}
			for _, x := range row.Data {
				m.Row(head)[i] += float32(math.Abs(float64(x)))
			}
		}
	})
	return m, firstError(errs)
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Attention returns the weighted sum of the last queries' attention.
func (s *Host) Attention(last int, rowWeights []float32) (tensor.Mat, error) {
	if rowWeights == nil {
		rowWeights = make([]float32, last)
		for i := range rowWeights {
			rowWeights[i] = 1 / float32(last)
		}
	}
	return s.attention(last, rowWeights, func(dst, row []float32, w float32) { tensor.AddScaled(dst, w, row) })
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
	if s.Sums.Rows > 0 {
		return s.Sums.Clone(), nil
	}
	return s.Attention(s.Tokens, ones(s.Tokens))
}

func ones(n int) []float32 {
	w := make([]float32, n)
	for i := range w {
		w[i] = 1
	}
	return w
}

// queryBlock is the number of queries whose attention rows are held at a time.
const queryBlock = 64

// attention runs the last queries over all pairs and folds each softmax row into the head's result.
func (s *Host) attention(last int, rowWeights []float32, fold func(dst, row []float32, w float32)) (tensor.Mat, error) {
	if len(rowWeights) != last {
		return tensor.Mat{}, fmt.Errorf("%w: %d row weights for %d queries", ErrBadParameter, len(rowWeights), last)
	}
	out := tensor.New(s.heads(), s.longest())
	errs := make([]error, s.heads())
	tensor.Parallel(s.heads(), func(head int) {
		q, err := s.rotatedQueries(head, last)
		if err != nil {
			errs[head] = err
			return
		}
		keys, dst := s.K[head/s.Group], out.Row(head)
		for from := 0; from < last; from += queryBlock {
			n := min(queryBlock, last-from)
			seen := s.visible(head/s.Group, s.position(s.Tokens-last+from+n-1))
			rows := tensor.New(n, seen)
			tensor.MulT(rows, tensor.Mat{Rows: n, Cols: s.Dim, Data: q.Data[from*s.Dim : (from+n)*s.Dim]}, tensor.Mat{Rows: seen, Cols: s.Dim, Data: keys.Data[:seen*s.Dim]})
			for i := 0; i < n; i++ {
				row := rows.Row(i)[:s.visible(head/s.Group, s.position(s.Tokens-last+from+i))]
				tensor.Scale(row, s.scale())
				tensor.Softmax(row)
				fold(dst, row, rowWeights[from+i])
			}
		}
	})
	return out, firstError(errs)
}

func (s *Host) scale() float32 {
	if s.Scale != 0 {
		return s.Scale
	}
	return float32(1 / math.Sqrt(float64(s.Dim)))
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
	n := s.K[h].Rows
	if s.At == nil {
		return min(n, position+1)
	}
	return sort.SearchInts(s.At[h][:n], position+1)
}

func (s *Host) rotatedQueries(head, last int) (tensor.Mat, error) {
	q, err := s.Queries(head, last)
	if err != nil || s.Rope == nil {
		return q, err
	}
	rope := s.Rope(s.Tokens)
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
	mean := tensor.New(s.heads(), s.Dim)
	cov := make([]tensor.Mat, s.heads())
	errs := make([]error, s.heads())
	tensor.Parallel(s.heads(), func(head int) {
		q, err := s.Queries(head, s.Tokens-skip)
		if err != nil {
			errs[head] = err
			return
		}
		cov[head] = tensor.New(s.Dim, s.Dim)
		Moments(mean.Row(head), cov[head], q)
	})
	return mean, cov, firstError(errs)
}

// Moments writes mean (Dim) and biased covariance (Dim, Dim) of the rows of x, which it centres in place.
func Moments(mean []float32, cov tensor.Mat, x tensor.Mat) {
	for i := 0; i < x.Rows; i++ {
		tensor.AddScaled(mean, 1/float32(x.Rows), x.Row(i))
	}
	columns := tensor.New(x.Cols, x.Rows)
	for i := 0; i < x.Rows; i++ {
		tensor.AddScaled(x.Row(i), -1, mean)
		for j, v := range x.Row(i) {
			columns.Data[j*x.Rows+i] = v
		}
	}
	tensor.MulT(cov, columns, columns)
	tensor.Scale(cov.Data, 1/float32(x.Rows))
}

// MeanRope returns the mean rotation matrix.
func (s *Host) MeanRope(from, n int) (tensor.Mat, error) {
	m := tensor.New(s.Dim, s.Dim)
	if s.Rope == nil {
		return m, missing("rotations", "a model (this layer was made from plain matrices)")
	}
	rope := s.Rope(from + n)
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
	for i := range m.Rows {
		m.Set(i, i, 1) // channels past the rotated ones stay
	}
	for i := range half {
		c, w := float32(sumCos[i]/float64(n)), float32(sumSin[i]/float64(n))
		m.Set(i, i, c)
		m.Set(i, i+half, -w)
		m.Set(i+half, i+half, c)
		m.Set(i+half, i, w)
	}
	return m, nil
}

// KeysBeforeRope returns keys before RoPE for all tokens.
func (s *Host) KeysBeforeRope(head int) (tensor.Mat, error) {
	if s.KeyStart == nil {
		return tensor.Mat{}, missing("keys before RoPE", "Record: Full")
	}
	return s.KeyStart(head)
}
