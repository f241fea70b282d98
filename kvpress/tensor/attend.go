package tensor

import (
	"math"
	"sync"
	"sync/atomic"
)

// blockPages is how many pages of pairs are weighed together, against the largest score among them: 512 pairs.
const blockPages = 16

const blockPairs = blockPages * PageRows

// Attend lets rows of queries attend to the pairs of one KV head: dst and q are (n*group, Dim), and row r belongs to
// new token r/group of n, which sees the first p.Len - n + r/group + 1 pairs, or of these the last window if window
// is not 0. Scores are q·k times scale, which is above 0. It works on the calling goroutine alone and goes through the
// pages once, a block of 512 pairs at a time; no matrix of all scores is ever held.
//
// A block is weighed alone and then merged with those before it, and blocks begin at multiples of their size: a token
// finds the same bits whatever other tokens it comes with, and wherever the blocks were weighed.
func Attend(dst, q Mat, group int, p Pages, scale float32, window int) {
	s := attentions.Get().(*attention)
	defer attentions.Put(s)
	s.begin(q, group, p, scale, window)
	s.total.reset(q.Rows)
	for from := s.first() / blockPairs * blockPairs; from < p.Len; from += blockPairs {
		s.open(from)
		for r := s.skip(from); r < q.Rows; r += tileRows() {
			rows := min(tileRows(), q.Rows-r)
			s.weigh(r, rows)
			for i := range rows {
				s.total.merge(dst.Row(r+i), r+i, s.sums[i*s.width:], s.part, i)
			}
		}
	}
	s.total.finish(dst)
}

// A gathered says what rows have gathered from the pairs so far.
type gathered struct {
	top []float32 // the largest score, as a power of two; minus infinity when a row has seen nothing
	sum []float32 // of the weights, relative to the largest
}

func (g *gathered) reset(rows int) {
	g.top, g.sum = grown(g.top, rows), grown(g.sum, rows)
	for i := range rows {
		g.top[i], g.sum[i] = float32(math.Inf(-1)), 0
	}
}

// merge adds what row i of another gathered, sums, to dst, what row r did.
func (g *gathered) merge(dst []float32, r int, sums []float32, other gathered, i int) {
	sums = sums[:len(dst)]
	switch {
	case other.sum[i] == 0: // it saw nothing
	case g.sum[r] == 0:
		copy(dst, sums)
		g.top[r], g.sum[r] = other.top[i], other.sum[i]
	default:
		old, added := float32(1), float32(1) // at least one of them is, for it has the largest score
		if g.top[r] >= other.top[i] {
			added = exp2(other.top[i] - g.top[r])
		} else {
			old = exp2(g.top[r] - other.top[i])
			g.top[r] = other.top[i]
			Scale(dst, old)
		}
		AddScaled(dst, added, sums)
		g.sum[r] = g.sum[r]*old + other.sum[i]*added
	}
}

// finish divides what was gathered by the sums of the weights.
func (g *gathered) finish(dst Mat) {
	for r := range dst.Rows {
		Scale(dst.Row(r), 1/g.sum[r])
	}
}

// attention is scratch memory for the rows of one KV head.
type attention struct {
	room
	q      Mat
	group  int
	pages  Pages
	scale  float32 // of scores, for weights that are powers of two
	window int
	before int  // pairs that every row may see
	few    bool // rows, so that pairs are read from memory for them alone

	from         int // the block at hand begins with this pair
	until        int // no block after the one that ends here is wanted
	keys, values [][]float32
	brief        bool      // some of the keys have not all channels
	unpacked     []float32 // keys and values of its packed pages
	width        int       // numbers from one row of values, or of sums, to the next: Dim, filled up to whole tiles
	scores       []float32 // of the rows at hand, blockPairs each
	sums         []float32 // of their values, width each
	part, total  gathered
	picked       []int // channels that short has
	short        Mat   // the queries, in the channels of short keys
}

var attentions = sync.Pool{New: func() interface{} { return new(attention) }}

// begin says what the rows are and what they may see.
func (s *attention) begin(q Mat, group int, p Pages, scale float32, window int) {
	s.q, s.group, s.pages, s.scale, s.window = q, group, p, scale*log2e, window
	s.before = p.Len - q.Rows/group
	s.few, s.until = q.Rows <= tileRows(), p.Len
	s.width = (p.Dim + tileCols - 1) / tileCols * tileCols
	s.scores, s.sums = grown(s.scores, tileRows()*blockPairs), grown(s.sums, tileRows()*s.width)
	s.picked = nil
}

// first is the first pair that any row sees.
func (s *attention) first() int {
	if s.window == 0 {
		return 0
	}
	return max(0, s.before+1-s.window)
}

// skip is the number of rows whose tokens come before a block and see nothing of it.
func (s *attention) skip(from int) int { return max(0, from-s.before) * s.group }

// open finds keys and values of the block that begins with a pair.
func (s *attention) open(from int) {
	s.from, s.keys, s.values, s.brief = from, s.keys[:0], s.values[:0], false
	dim, n := s.pages.Dim, min(blockPairs, s.pages.Len-from)
	pages := s.pages.List[from/PageRows : (from+n+PageRows-1)/PageRows]
	for i, page := range pages {
		k, v := page.K, page.V
		if page.packed != nil {
			s.unpacked = grown(s.unpacked, blockPages*2*dim*PageRows)
			k, v = page.read(s.unpacked[i*2*dim*PageRows:(i+1)*2*dim*PageRows], dim)
		}
		s.keys, s.values, s.brief = append(s.keys, k), append(s.values, v), s.brief || page.Channels != nil
	}
	if dim == s.width {
		return
	}
	// Tiles read whole steps: the values move apart.
	s.panel = grown(s.panel, blockPairs*s.width)
	for i := range n {
		row := s.panel[i*s.width : (i+1)*s.width]
		copy(row, s.values[i/PageRows][i%PageRows*dim:][:dim])
		clear(row[dim:])
	}
	for i := range s.values {
		s.values[i] = s.panel[i*PageRows*s.width : (i+1)*PageRows*s.width]
	}
}

// weigh leaves in sums and part what some rows gather from the block at hand.
func (s *attention) weigh(r, rows int) {
	sees := func(row int) (hidden, seen int) { // the pairs of the block that a row sees
		n := s.before + row/s.group + 1
		if s.window > 0 {
			hidden = max(0, n-s.window-s.from)
		}
		seen = min(n-s.from, len(s.keys)*PageRows)
		return min(hidden, seen), seen
	}
	_, end := sees(r + rows - 1)
	start, _ := sees(r)
	start = start / PageRows * PageRows // with whole pages of pairs that no row sees left out
	end = min(end, s.pages.Len-s.from)
	whole := (end + PageRows - 1) / PageRows * PageRows
	if s.few || s.brief {
		for at := start; at < whole; at += PageRows {
			s.score(s.scores[at:], blockPairs, r, rows, at/PageRows)
		}
	} else {
		keys := &strip{s.keys[start/PageRows : whole/PageRows], PageRows, PageRows / 2}
		tiles(rows, s.q.Cols, s.q.Data[r*s.q.Cols:], s.q.Cols, keys, s.scores[start:], blockPairs)
	}
	s.part.reset(rows)
	for i := range rows {
		row := s.scores[i*blockPairs : (i+1)*blockPairs]
		hidden, seen := sees(r + i)
		clear(row[start:hidden])
		clear(row[seen:whole])
		if hidden == seen {
			continue
		}
		s.part.top[i] = Max(row[hidden:seen]) * s.scale
		s.part.sum[i] = exp2Sum(row[hidden:seen], s.scale, s.part.top[i])
	}
	if s.few {
		s.takeFew(rows, start, end)
		return
	}
	pages, rest := end/PageRows, end%PageRows
	for c := 0; c < s.width; c += tileCols {
		s.take(c, rows, start, s.values[start/PageRows:pages], PageRows, false)
		if rest > 0 { // what lies past the last pair may be anything
			s.take(c, rows, pages*PageRows, s.values[pages:pages+1], rest, pages > start/PageRows)
		}
	}
}

// later are keys of the next block, which are fetched while the values of a page of this one are at hand.
func (s *attention) later(page int) []float32 {
	if at := s.from/PageRows + blockPages + page; at < min(len(s.pages.List), s.until/PageRows) {
		return s.pages.List[at].K
	}
	return nil
}

// take multiplies weights, from a pair of the block on, with 32 columns of values.
func (s *attention) take(c, rows, from int, values [][]float32, k int, add bool) {
	if len(values) == 0 {
		return
	}
	var pieces [blockPages][]float32
	for i, v := range values {
		pieces[i] = v[c:]
	}
	tile(rows, k, s.scores[from:], blockPairs, 1, &strip{pieces[:len(values)], s.width, tileCols / 2}, s.sums[c:], s.width, add)
}

// takeFew multiplies the weights of pairs start to end-1 of the block with their values, page after page, each of which
// is read once.
func (s *attention) takeFew(rows, start, end int) {
	for at := start; at < end; at += PageRows {
		page, pairs := at/PageRows, min(PageRows, end-at)
		c := 0
		for ; c+2*tileCols <= s.width; c += 2 * tileCols {
			ahead := s.later(page)
			valuesAhead(s.sums[c:], s.width, s.scores[at:], blockPairs, pairs, rows, s.values[page][c:], s.width, ahead[min(c, len(ahead)):], at > start)
		}
		if c < s.width {
			s.take(c, rows, at, s.values[page:page+1], pairs, at > start)
		}
	}
}

// keysGo and valuesGo are the twins of the loops that fetch what lies ahead: tiles.
func keysGo(dst []float32, dstRow int, q []float32, dim, rows int, k []float32) {
	pieces := [1][]float32{k}
	tile(rows, dim, q, dim, 1, &strip{pieces[:], PageRows, PageRows / 2}, dst, dstRow, false)
}

func valuesGo(dst []float32, dstRow int, weights []float32, weightsRow, pairs, rows int, v []float32, vRow int, add bool) {
	for c := 0; c < 2*tileCols; c += tileCols {
		pieces := [1][]float32{v[c:]}
		tile(rows, pairs, weights, weightsRow, 1, &strip{pieces[:], vRow, tileCols / 2}, dst[c:], dstRow, add)
	}
}

// score writes the products of some queries with the keys of a page of the block.
func (s *attention) score(dst []float32, dstRow, r, rows, page int) {
	q, keys := s.q, s.keys[page]
	if channels := s.pages.List[s.from/PageRows+page].Channels; channels != nil {
		q = s.pick(channels)
	}
	switch {
	case q.Cols == 0: // keys without a channel score 0
		for i := range rows {
			clear(dst[i*dstRow : i*dstRow+PageRows])
		}
	case s.few: // the values come next in memory, and after them the keys of the next page
		keysAhead(dst, dstRow, q.Data[r*q.Cols:], q.Cols, rows, keys, s.values[page], s.keys[min(page+1, len(s.keys)-1)])
	default:
		keysGo(dst, dstRow, q.Data[r*q.Cols:], q.Cols, rows, keys)
	}
}

// pick copies some channels of the queries.
func (s *attention) pick(channels []int) Mat {
	if s.picked != nil && len(s.picked) == len(channels) && (len(channels) == 0 || &s.picked[0] == &channels[0]) {
		return s.short
	}
	s.picked = channels
	s.short = Mat{Rows: s.q.Rows, Cols: len(channels), Data: grown(s.short.Data, s.q.Rows*len(channels))}
	for r := range s.q.Rows {
		from, to := s.q.Row(r), s.short.Row(r)
		for i, c := range channels {
			to[i] = from[c]
		}
	}
	return s.short
}

// A Head is the share of one KV head in an attention: Dst and Q are (n*group, Dim), as for Attend.
type Head struct {
	Dst, Q Mat
	Pages  Pages
}

// AttendHeads is Attend for several KV heads, on all threads. It is meant for few rows and many pairs: the pairs of long
// heads are shared out, and a head's last task to end merges what the others found, in the order of the blocks.
func AttendHeads(heads []Head, group int, scale float32, window int) {
	c := calls.Get().(*call)
	defer calls.Put(c)
	c.heads, c.group, c.scale, c.window = heads, group, scale, window
	c.tasks, c.found = c.tasks[:0], grownTo(c.found, len(heads))
	blocks := 0
	for _, head := range heads {
		blocks += head.Pages.Len / blockPairs
	}
	c.blocks = max(1, min(2, blocks/12)) // enough tasks to share them out, and long enough to read on from one to the next block
	for h, head := range heads {
		f := &c.found[h]
		f.first, f.end = 0, (head.Pages.Len+blockPairs-1)/blockPairs
		if window > 0 {
			f.first = max(0, head.Pages.Len-head.Q.Rows/group+1-window) / blockPairs
		}
		rows := (f.end - f.first) * head.Q.Rows
		f.sums, f.top, f.sum = grown(f.sums, rows*head.Pages.Dim), grown(f.top, rows), grown(f.sum, rows)
		f.left.Store(0)
		for b := f.first; b < f.end; b += c.blocks {
			c.tasks = append(c.tasks, task{h, b})
			f.left.Add(1)
		}
	}
	Parallel(len(c.tasks), c.run)
	c.heads = nil
}

// A call is an AttendHeads at work.
type call struct {
	heads  []Head
	group  int
	scale  float32
	window int
	tasks  []task
	blocks int // of a task
	found  []found
	run    func(i int)
}

type task struct{ head, block int }

// A found is what the blocks of one head gave: rows of the first block, of the second, and so on.
type found struct {
	first, end int // blocks
	left       atomic.Int64
	sums       []float32 // Dim each
	gathered
	total gathered
}

var calls = sync.Pool{New: func() interface{} {
	c := new(call)
	c.run = c.task // once, for every method value is an allocation
	return c
}}

func grownTo(x []found, n int) []found {
	for len(x) < n {
		x = append(x, found{})
	}
	return x
}

// task weighs some blocks of a head.
func (c *call) task(i int) {
	t := c.tasks[i]
	head, f := &c.heads[t.head], &c.found[t.head]
	rows, dim := head.Q.Rows, head.Pages.Dim
	s := attentions.Get().(*attention)
	defer attentions.Put(s)
	s.begin(head.Q, c.group, head.Pages, c.scale, c.window)
	end := min(f.end, t.block+c.blocks)
	s.until = end * blockPairs
	for b := t.block; b < end; b++ {
		s.open(b * blockPairs)
		place := (b - f.first) * rows
		skip := min(rows, s.skip(s.from))
		clear(f.sum[place : place+skip])
		for r := skip; r < rows; r += tileRows() {
			n := min(tileRows(), rows-r)
			s.weigh(r, n)
			for i := range n {
				copy(f.sums[(place+r+i)*dim:][:dim], s.sums[i*s.width:])
				f.top[place+r+i], f.sum[place+r+i] = s.part.top[i], s.part.sum[i]
			}
		}
	}
	if f.left.Add(-1) > 0 {
		return
	}
	f.total.reset(rows)
	for place := 0; place < (f.end-f.first)*rows; place += rows {
		for r := range rows {
			f.total.merge(head.Dst.Row(r), r, f.sums[(place+r)*dim:], f.gathered, place+r)
		}
	}
	f.total.finish(head.Dst)
}
