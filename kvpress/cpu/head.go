package cpu

import (
	"slices"
	"sort"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A head holds the pairs of one KV head.
type head struct {
	pages tensor.Pages
	at    []int  // token position of each pair
	lent  []bool // pages of another cache, which counts them; those past the end of the list are own
	bits  int    // older pages are stored in so many bits a number; 0 keeps all as they are
}

// own tells whether a page is this head's.
func (h *head) own(page int) bool { return page >= len(h.lent) || !h.lent[page] }

// live is what the pairs take, without the room for more in the last page.
func (h *head) live() int64 {
	var bytes int64
	for i, page := range h.pages.List {
		pairs := int64(min(tensor.PageRows, h.pages.Len-i*tensor.PageRows))
		bytes += page.Bytes() * pairs / tensor.PageRows
	}
	return bytes
}

// append adds one pair.
func (h *head) append(l *ledger, key, value []float32, position int) {
	if h.pages.Len%tensor.PageRows == 0 {
		h.add(l, tensor.NewPage(h.pages.Dim))
	}
	h.at = append(h.at, position)
	h.pages.Len++
	h.put(h.pages.Len-1, key, value)
	h.pack(l)
}

// add adds an empty page.
func (h *head) add(l *ledger, page *tensor.Page) {
	h.pages.List = append(h.pages.List, page)
	l.add(page.Bytes())
}

// put writes pair i, which has its place in the pages.
func (h *head) put(i int, key, value []float32) {
	page, row := h.pages.List[i/tensor.PageRows], i%tensor.PageRows
	for d, v := range key {
		page.K[d*tensor.PageRows+row] = v
	}
	copy(page.V[row*h.pages.Dim:], value)
}

// pack stores pages in few bits, but for those of the newest 32 pairs.
func (h *head) pack(l *ledger) {
	if h.bits == 0 {
		return
	}
	for i := h.pages.Len/tensor.PageRows - 2; i >= 0 && !h.pages.List[i].Packed(); i-- {
		h.replace(l, i, h.pages.List[i].Pack(h.pages.Dim, h.bits))
	}
}

// replace puts another page in the place of one.
func (h *head) replace(l *ledger, i int, page *tensor.Page) {
	if h.own(i) {
		l.add(-h.pages.List[i].Bytes())
	} else {
		h.lent[i] = false
	}
	h.pages.List[i] = page
	l.add(page.Bytes())
}

// seen are the pages as they are now: what the head appends or drops later does not show.
func (h *head) seen() tensor.Pages {
	p := h.pages
	p.List = slices.Clone(p.List)
	if last := len(p.List) - 1; p.Len%tensor.PageRows != 0 {
		page := *p.List[last]
		page.K, page.V = slices.Clone(page.K), slices.Clone(page.V)
		p.List[last] = &page
	}
	return p
}

// truncate drops all pairs from n on and frees pages without pairs.
func (h *head) truncate(l *ledger, n int) {
	pages := (n + tensor.PageRows - 1) / tensor.PageRows
	h.free(l, pages)
	h.pages.List = h.pages.List[:pages]
	h.pages.Len, h.at = n, h.at[:n]
	h.lent = h.lent[:min(len(h.lent), pages)]
	if n%tensor.PageRows != 0 && h.pages.List[pages-1].Packed() { // there is room in it now
		h.replace(l, pages-1, h.pages.List[pages-1].Unpack(h.pages.Dim))
	}
}

// free lets go of the pages from number from on.
func (h *head) free(l *ledger, from int) {
	for i := from; i < len(h.pages.List); i++ {
		if h.own(i) {
			l.add(-h.pages.List[i].Bytes())
		}
		h.pages.List[i] = nil
	}
}

// untouched is the number of first pages that a plan leaves as they are.
func (h *head) untouched(p kvpress.Plan, number int) int {
	if p.Rerotate || p.Merge != nil || p.Channels != nil || p.Bits != 0 && p.Bits != h.bits {
		return 0
	}
	keep := p.Keep[number]
	same := sort.Search(len(keep), func(i int) bool { return keep[i] != i })
	return same / tensor.PageRows
}

// kept makes a head of what a plan keeps of this one, behind its first pages, which it takes over; number is the number
// of the KV head.
func (h *head) kept(l *ledger, p kvpress.Plan, number, pages int, rope tensor.Rope) head {
	keep := span(h.pages.Len)
	if p.Keep != nil {
		keep = p.Keep[number]
	}
	out := h.first(pages, len(keep))
	rest := keep[out.pages.Len:]
	for _, page := range h.pages.Gather(rest).List {
		out.add(l, page)
	}
	out.pages.Len = len(keep)
	for _, i := range rest {
		out.at = append(out.at, h.at[i])
	}
	if p.Rerotate {
		out.rerotate(rope)
	}
	if p.Merge != nil {
		out.merge(p.Merge[number], p.MergeSum, keep, h.pages.Values())
	}
	channels, pairs := h.channels(p, number, keep)
	out.shorten(l, channels, pairs)
	if out.bits = h.bits; p.Bits != 0 {
		out.bits = p.Bits
	}
	out.pack(l)
	return out
}

// rerotate turns the keys to the places 0, 1, 2, ...; they carry the model's own factor already.
func (h *head) rerotate(rope tensor.Rope) {
	rope.Scale = 1
	key, read := make([]float32, h.pages.Dim), h.pages.Reader()
	for i, at := range h.at {
		value := read.Pair(key, i)
		rope.Rotate(key, i-at)
		h.put(i, key, value)
	}
}

// first is a head that takes over the first pages, with room for n pairs.
func (h *head) first(pages, n int) head {
	out := head{at: make([]int, 0, n), lent: slices.Clone(h.lent[:min(len(h.lent), pages)])}
	out.pages = tensor.Pages{Dim: h.pages.Dim, Len: pages * tensor.PageRows}
	out.pages.List = append(out.pages.List, h.pages.List[:pages]...)
	out.at = append(out.at, h.at[:out.pages.Len]...)
	return out
}

// channels tells which channels of keys stay after a plan, and of how many of the first pairs that stay.
func (h *head) channels(p kvpress.Plan, number int, keep []int) (channels []int, pairs int) {
	short := 0
	for short < len(h.pages.List) && h.pages.List[short].Channels != nil {
		channels = h.pages.List[short].Channels
		short++
	}
	if p.Channels != nil && len(p.Channels[number]) < h.pages.Dim {
		return both(channels, p.Channels[number]), len(keep)
	}
	return channels, sort.SearchInts(keep, short*tensor.PageRows)
}

// shorten stores the first keys, so many, without the channels that are not listed; nil lists all. A last page of them
// that is not full keeps its shape, with zeros, for whole keys are appended to it later.
func (h *head) shorten(l *ledger, channels []int, pairs int) {
	if channels == nil {
		return
	}
	for i := 0; i*tensor.PageRows < pairs; i++ {
		page := h.pages.List[i]
		if page.Channels != nil {
			continue
		}
		short := make([]float32, 0, len(channels)*tensor.PageRows)
		for _, c := range channels {
			short = append(short, page.K[c*tensor.PageRows:(c+1)*tensor.PageRows]...)
		}
		if (i+1)*tensor.PageRows <= pairs {
			// The copy of the values lets go of the memory that they shared with the whole keys.
			h.replace(l, i, &tensor.Page{K: short, V: slices.Clone(page.V), Channels: channels})
			continue
		}
		rest := pairs - i*tensor.PageRows
		for c := range h.pages.Dim {
			if _, stays := slices.BinarySearch(channels, c); !stays {
				clear(page.K[c*tensor.PageRows : c*tensor.PageRows+rest])
			}
		}
	}
}

// merge adds values of another head, which this one keeps the listed pairs of, to values of its own.
func (h *head) merge(merges []kvpress.Merge, sum bool, keep []int, values tensor.Mat) {
	place, total := make([]int, values.Rows), make([]float32, len(keep))
	for i, pair := range keep {
		place[pair] = i
	}
	value := func(i int) []float32 {
		return h.pages.List[i/tensor.PageRows].V[i%tensor.PageRows*h.pages.Dim:][:h.pages.Dim]
	}
	for _, m := range merges {
		i := place[m.To]
		tensor.AddScaled(value(i), m.Weight, values.Row(m.From))
		total[i] += m.Weight
	}
	for i, w := range total {
		if w != 0 && !sum {
			tensor.Scale(value(i), 1/(1+w))
		}
	}
}

// both is what two ascending lists share; nil stands for everything.
func both(a, b []int) []int {
	if a == nil {
		return b
	}
	shared := []int{}
	for _, x := range a {
		if _, ok := slices.BinarySearch(b, x); ok {
			shared = append(shared, x)
		}
	}
	return shared
}
