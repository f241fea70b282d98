package kvpress

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Memo keeps numbers of one layer that are costly to find: what a prefill recorded, and what a press asked for
// before. A second press, or a second ratio, reads them in no time. A nil Memo keeps nothing.
type Memo struct {
	mu      sync.Mutex
	moments map[int]moments       // of the queries, by the number of first tokens left out
	pairs   map[string]tensor.Mat // by name, such as "attention 64": a number for every pair, (Heads, Len)
}

type moments struct {
	mean tensor.Mat   // (Heads, Dim)
	cov  []tensor.Mat // per query head (Dim, Dim)
}

// Queries is a Memo of what does not change when pairs go: the moments of the queries there are now.
func (m *Memo) Queries() *Memo {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memo{moments: maps.Clone(m.moments)}
}

// Bytes is the memory that the numbers take.
func (m *Memo) Bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, x := range m.pairs {
		n += len(x.Data)
	}
	for _, x := range m.moments {
		n += len(x.mean.Data) + len(x.cov)*x.mean.Cols*x.mean.Cols
	}
	return int64(4 * n)
}

// ofPairs returns a copy of the numbers of a name, and finds them the first time.
func (m *Memo) ofPairs(name string, find func() (tensor.Mat, error)) (tensor.Mat, error) {
	if m == nil {
		return find()
	}
	x := m.Get(name)
	if x.Rows == 0 {
		var err error
		if x, err = find(); err != nil {
			return tensor.Mat{}, err
		}
		m.Set(name, x)
	}
	return x.Clone(), nil
}

// ofQueries returns copies of the moments without the first tokens, and finds them the first time.
func (m *Memo) ofQueries(skip int, find func() (tensor.Mat, []tensor.Mat, error)) (tensor.Mat, []tensor.Mat, error) {
	if m == nil {
		return find()
	}
	m.mu.Lock()
	x, ok := m.moments[skip]
	m.mu.Unlock()
	if !ok {
		mean, cov, err := find()
		if err != nil {
			return mean, cov, err
		}
		m.SetMoments(skip, mean, cov)
		x = moments{mean, cov}
	}
	cov := make([]tensor.Mat, len(x.cov))
	for i, c := range x.cov {
		cov[i] = c.Clone()
	}
	return x.mean.Clone(), cov, nil
}

// Names of numbers in a Memo.
func attentionName(last int) string { return "attention " + strconv.Itoa(last) }
func normsName(p int) string        { return "norms " + strconv.Itoa(p) }

const sumsName = "sums"

// Pairs lists the names of the numbers of pairs that are kept, and Get and Set read and write them; so do Skips,
// Moments and SetMoments with the moments of queries. They are for saving a Memo and reading it again.
func (m *Memo) Pairs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.pairs))
}

// Get returns numbers that are kept, in place; no rows for none.
func (m *Memo) Get(name string) tensor.Mat {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pairs[name]
}

// Set keeps numbers, (Heads, Len).
func (m *Memo) Set(name string, x tensor.Mat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pairs == nil {
		m.pairs = map[string]tensor.Mat{}
	}
	m.pairs[name] = x
}

// Skips lists the numbers of first tokens without which moments are kept.
func (m *Memo) Skips() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.moments))
}

// Moments returns moments that are kept, in place.
func (m *Memo) Moments(skip int) (mean tensor.Mat, cov []tensor.Mat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moments[skip].mean, m.moments[skip].cov
}

// SetMoments keeps moments, (Heads, Dim) and Heads times (Dim, Dim).
func (m *Memo) SetMoments(skip int, mean tensor.Mat, cov []tensor.Mat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moments == nil {
		m.moments = map[int]moments{}
	}
	m.moments[skip] = moments{mean, cov}
}
