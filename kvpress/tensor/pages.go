package tensor

import "math"

// PageRows is how many pairs a page of keys and values holds.
const PageRows = 32

// Pages are the keys and values of one KV head. The keys of a page are stored transposed, K[p] is (Dim, PageRows), so
// that scores and values alike are products with rows that lie together; V[p] is (PageRows, Dim). Pages before
// number Short hold the listed channels of the keys only, K[p] is (len(Channels), PageRows); the others count as 0.
type Pages struct {
	Len, Dim int
	K, V     [][]float32
	Short    int
	Channels []int
}

// page tells of a page how many pairs it holds, and which channels of keys its rows are; nil stands for all.
func (p Pages) page(i int) (pairs int, channels []int) {
	if i < p.Short {
		channels = p.Channels
	}
	return min(PageRows, p.Len-i*PageRows), channels
}

// count is the number of pages that hold pairs.
func (p Pages) count() int { return (p.Len + PageRows - 1) / PageRows }

// Keys copies the keys, (Len, Dim); channels that are not stored are 0.
func (p Pages) Keys() Mat {
	keys := New(p.Len, p.Dim)
	for i := range p.count() {
		n, channels := p.page(i)
		rows := keys.Slice(i*PageRows, i*PageRows+n)
		for at := range len(p.K[i]) / PageRows {
			channel := at
			if channels != nil {
				channel = channels[at]
			}
			for j, v := range p.K[i][at*PageRows : at*PageRows+n] {
				rows.Data[j*p.Dim+channel] = v
			}
		}
	}
	return keys
}

// Values copies the values, (Len, Dim).
func (p Pages) Values() Mat {
	values := New(p.Len, p.Dim)
	for i := range p.count() {
		copy(values.Data[i*PageRows*p.Dim:], p.V[i])
	}
	return values
}

// KeyNorms writes the Euclidean length of every key.
func (p Pages) KeyNorms(dst []float32) {
	for i := range p.count() {
		var sum [PageRows]float32
		for page := p.K[i]; len(page) > 0; page = page[PageRows:] {
			for j, v := range page[:PageRows] {
				sum[j] += v * v
			}
		}
		n, _ := p.page(i)
		for j, v := range sum[:n] {
			dst[i*PageRows+j] = float32(math.Sqrt(float64(v)))
		}
	}
}

// ValueNorms writes the Euclidean length of every value.
func (p Pages) ValueNorms(dst []float32) {
	for i := range p.Len {
		at := i % PageRows * p.Dim
		dst[i] = Norm(p.V[i/PageRows][at : at+p.Dim])
	}
}

// Dots multiplies rows of queries (rows, Dim) with the first n keys. Its result has a row of at least n numbers for
// every query, of which the first n count; it lies in room if that is large enough.
func (p Pages) Dots(room []float32, q Mat, n int) Mat {
	s := attentions.Get().(*attention)
	defer attentions.Put(s)
	cols := (n + PageRows - 1) / PageRows * PageRows
	out := Mat{Rows: q.Rows, Cols: cols, Data: grown(room, q.Rows*cols)}
	if p.Short > 0 {
		s.pick(q, p.Channels)
	}
	for at := 0; at < cols; at += PageRows {
		s.score(out.Data, q, 0, p, at/PageRows, at, cols)
	}
	return out
}
