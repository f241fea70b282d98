package tensor

import (
	"math"
	"sync"
)

// attendPages is how many pages of keys are scored before the values are taken: 256 pairs.
const attendPages = 8

// attention is scratch memory of Attend.
type attention struct {
	room
	scores []float32
	picked []int     // channels that short has
	short  Mat       // the queries, in the channels of short keys
	keys   []float32 // of a packed page; likewise values
	values []float32
	top    []float32 // largest score of each row so far
	sum    []float32 // of the row's weights so far
}

var attentions = sync.Pool{New: func() interface{} { return new(attention) }}

// Attend lets rows of queries attend to the pairs of one KV head: dst and q are (n*group, Dim), and row r belongs to
// new token r/group of n, which sees the first p.Len - n + r/group + 1 pairs, or of these the last window if window
// is not 0. Scores are q·k times scale. It works on the calling goroutine alone and goes through the pages once; no
// matrix of all scores is ever held.
func Attend(dst, q Mat, group int, p Pages, scale float32, window int) {
	s := attentions.Get().(*attention)
	defer attentions.Put(s)
	rows, tokens := q.Rows, q.Rows/group
	s.top, s.sum = grown(s.top, rows), grown(s.sum, rows)
	for i := range rows {
		s.top[i], s.sum[i] = float32(math.Inf(-1)), 0
	}
	clear(dst.Data[:rows*dst.Cols])
	s.begin(p)
	before := p.Len - tokens // pairs that every row may see
	first := 0
	if window > 0 {
		first = max(0, before+1-window)
	}
	block := attendPages * PageRows
	s.scores = grown(s.scores, rows*block)
	// Blocks begin at multiples of their size wherever the window does: the same token finds the same bits, whatever
	// other tokens it comes with.
	for from := first / block * block; from < p.Len; from += block {
		n := min(block, p.Len-from)
		unseen := max(0, first-from) / PageRows * PageRows // pages before the windows of all rows
		// Rows of tokens before the block see nothing of it.
		skip := 0
		if from > before {
			skip = (from - before) * group
		}
		for at := unseen; at < n; at += PageRows {
			s.score(s.scores, q, skip, p, (from+at)/PageRows, at, block)
		}
		for r := skip; r < rows; r++ {
			seen := min(n, before+r/group+1-from)
			hidden := 0
			if window > 0 {
				hidden = min(seen, max(0, before+r/group+1-window-from))
			}
			row := s.scores[r*block : (r+1)*block]
			s.weigh(row[hidden:seen], dst.Row(r), r, scale)
			clear(row[:hidden])
			clear(row[seen : (n+PageRows-1)/PageRows*PageRows])
		}
		for at := unseen; at < n; at += PageRows {
			s.take(dst, skip, p, (from+at)/PageRows, at, min(PageRows, n-at), block)
		}
	}
	for r := range rows {
		Scale(dst.Row(r), 1/s.sum[r])
	}
}

// begin makes room for packed pages, and forgets the queries that came before.
func (s *attention) begin(p Pages) {
	s.picked = nil
	for _, page := range p.List {
		if page.packed != nil {
			s.keys, s.values = grown(s.keys, p.Dim*PageRows), grown(s.values, p.Dim*PageRows)
			return
		}
	}
}

// pick copies some channels of the queries.
func (s *attention) pick(q Mat, channels []int) Mat {
	if s.picked != nil && len(s.picked) == len(channels) && (len(channels) == 0 || &s.picked[0] == &channels[0]) {
		return s.short
	}
	s.picked = channels
	s.short = Mat{Rows: q.Rows, Cols: len(channels), Data: grown(s.short.Data, q.Rows*len(channels))}
	for r := range q.Rows {
		from, to := q.Row(r), s.short.Row(r)
		for i, c := range channels {
			to[i] = from[c]
		}
	}
	return s.short
}

// score writes the products of the queries with the keys of one page.
func (s *attention) score(dst []float32, q Mat, skip int, p Pages, number, at, block int) {
	page := p.List[number]
	keys := page.K
	if page.Channels != nil {
		q = s.pick(q, page.Channels)
	}
	if q.Cols == 0 { // keys without a channel score 0
		for r := skip; r < q.Rows; r++ {
			clear(dst[r*block+at : r*block+at+PageRows])
		}
		return
	}
	if page.packed != nil {
		keys = s.keys[:q.Cols*PageRows]
		page.packed.keys.unpack(keys)
	}
	for r := skip; r < q.Rows; r += kernelRows {
		for c := 0; c < PageRows; c += panelCols {
			product(&s.room, min(kernelRows, q.Rows-r), panelCols, q.Cols, q.Data[r*q.Cols:], q.Cols, keys[c:], PageRows, dst[r*block+at+c:], block, false)
		}
	}
}

// weigh turns the scores of a row into weights relative to the largest score so far, and scales down what the row
// has gathered if that has grown.
func (s *attention) weigh(row, gathered []float32, r int, scale float32) {
	if len(row) == 0 {
		return
	}
	Scale(row, scale)
	if top := Max(row); !(top <= s.top[r]) { // also when it is not a number
		if s.sum[r] != 0 {
			shrink := exp32(s.top[r] - top)
			s.sum[r] *= shrink
			Scale(gathered, shrink)
		}
		s.top[r] = top
	}
	s.sum[r] += expSum(row, s.top[r])
}

// take adds the values of one page, times their weights.
func (s *attention) take(dst Mat, skip int, p Pages, number, at, n, block int) {
	page := p.List[number]
	all := page.V
	if page.packed != nil {
		all = s.values
		page.packed.values.unpack(all)
	}
	for c := 0; c < p.Dim; c += panelCols {
		values, stride, cols := all[c:], p.Dim, min(panelCols, p.Dim-c)
		if cols < panelCols { // the kernel reads 16 numbers of each row: the last ones are not there
			s.panel = grown(s.panel, PageRows*panelCols)
			clear(s.panel)
			for i := range n {
				copy(s.panel[i*panelCols:], values[i*stride:i*stride+cols])
			}
			values, stride = s.panel, panelCols
		}
		for r := skip; r < dst.Rows; r += kernelRows {
			product(&s.room, min(kernelRows, dst.Rows-r), cols, n, s.scores[r*block+at:], block, values, stride, dst.Data[r*dst.Cols+c:], dst.Cols, true)
		}
	}
}
