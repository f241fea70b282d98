package tensor

import "math"

// PageRows is how many pairs a page of keys and values holds.
const PageRows = 32

// A Page holds up to PageRows keys and values of one KV head. Keys are stored transposed, K is (channels, PageRows), so
// that scores and values alike are products with rows that lie together; V is (PageRows, Dim).
type Page struct {
	K, V     []float32
	Channels []int // the channels that K has, ascending; nil for all. The others count as 0.

	packed *packed // instead of K and V
}

// NewPage makes an empty page.
func NewPage(dim int) *Page { return &NewPages(1, dim)[0] }

// NewPages makes empty pages in one piece of memory, which is free again when the last of them is.
func NewPages(n, dim int) []Page {
	pages, size := make([]Page, n), dim*PageRows
	data := make([]float32, 2*n*size)
	for i := range pages {
		k, v := data[2*i*size:(2*i+1)*size], data[(2*i+1)*size:(2*i+2)*size]
		pages[i] = Page{K: k[:size:size], V: v[:size:size]}
	}
	return pages
}

// Bytes is the memory that a page takes.
func (p *Page) Bytes() int64 {
	if p.packed != nil {
		return p.packed.bytes()
	}
	return int64(4 * (len(p.K) + len(p.V)))
}

// Pages are the keys and values of one KV head. All pages but the last one are full.
type Pages struct {
	Len, Dim int
	List     []*Page
}

// A PageReader reads pairs of pages in ascending order, unpacking a page once.
type PageReader struct {
	pages  Pages
	at     int // page that k and v are of
	k, v   []float32
	unpack []float32
}

// Reader starts to read.
func (p Pages) Reader() *PageReader { return &PageReader{pages: p, at: -1} }

// Pair copies the key of pair i, and returns its value in place, for reading until the next call.
func (r *PageReader) Pair(key []float32, i int) (value []float32) {
	page, row := r.pages.List[i/PageRows], i%PageRows
	if i/PageRows != r.at {
		r.at = i / PageRows
		r.unpack = grown(r.unpack, 2*r.pages.Dim*PageRows)
		r.k, r.v = page.read(r.unpack, r.pages.Dim)
	}
	if page.Channels == nil {
		for d := range key {
			key[d] = r.k[d*PageRows+row]
		}
	} else {
		clear(key)
		for at, d := range page.Channels {
			key[d] = r.k[at*PageRows+row]
		}
	}
	return r.v[row*r.pages.Dim : (row+1)*r.pages.Dim]
}

// read returns the keys and values of a page, which lie in room if they were packed.
func (p *Page) read(room []float32, dim int) (k, v []float32) {
	if p.packed == nil {
		return p.K, p.V
	}
	k, v = room[:p.packed.keys.numbers()], room[dim*PageRows:2*dim*PageRows]
	p.packed.keys.unpack(k)
	p.packed.values.unpack(v)
	return k, v
}

// Keys copies the keys, (Len, Dim); channels that are not stored are 0.
func (p Pages) Keys() Mat {
	keys := New(p.Len, p.Dim)
	p.each(func(first int, k, _ []float32, page *Page) {
		rows, n := keys.Data[first*p.Dim:], min(PageRows, p.Len-first)
		if page.Channels == nil {
			transpose(rows, p.Dim, k, PageRows, p.Dim, n)
			return
		}
		for i, d := range page.Channels {
			transposeGo(rows[d:], p.Dim, k[i*PageRows:], PageRows, 1, n)
		}
	})
	return keys
}

// Values copies the values, (Len, Dim).
func (p Pages) Values() Mat {
	values := New(p.Len, p.Dim)
	p.each(func(first int, _, v []float32, _ *Page) { copy(values.Data[first*p.Dim:], v) })
	return values
}

// each shows the keys and values of every page, and the number of its first pair.
func (p Pages) each(show func(first int, k, v []float32, page *Page)) {
	room := []float32{}
	for i, page := range p.List {
		if page.packed != nil {
			room = grown(room, 2*p.Dim*PageRows)
		}
		k, v := page.read(room, p.Dim)
		show(i*PageRows, k, v, page)
	}
}

// KeyNorms writes the Euclidean length of every key.
func (p Pages) KeyNorms(dst []float32) {
	p.each(func(first int, k, _ []float32, _ *Page) {
		var sum [PageRows]float32
		addSquares(&sum, k)
		for j, v := range sum[:min(PageRows, p.Len-first)] {
			dst[first+j] = float32(math.Sqrt(float64(v)))
		}
	})
}

// ValueNorms writes the Euclidean length of every value.
func (p Pages) ValueNorms(dst []float32) {
	p.each(func(first int, _, v []float32, _ *Page) {
		for j := range min(PageRows, p.Len-first) {
			dst[first+j] = Norm(v[j*p.Dim : (j+1)*p.Dim])
		}
	})
}

// Dots multiplies rows of queries (rows, Dim) with the first n keys. Its result has a row of at least n numbers for
// every query, of which the first n count; it lies in room if that is large enough.
func (p Pages) Dots(room []float32, q Mat, n int) Mat {
	s := attentions.Get().(*attention)
	defer attentions.Put(s)
	s.begin(q, 1, p, 1, 0)
	cols := (n + PageRows - 1) / PageRows * PageRows
	out := Mat{Rows: q.Rows, Cols: cols, Data: grown(room, q.Rows*cols)}
	for from := 0; from < cols; from += blockPairs {
		s.open(from)
		for i := range min(len(s.keys), (cols-from)/PageRows) {
			at := from + i*PageRows
			for r := 0; r < q.Rows; r += tileRows() {
				s.score(out.Data[r*cols+at:], cols, r, min(tileRows(), q.Rows-r), i)
			}
		}
	}
	return out
}
