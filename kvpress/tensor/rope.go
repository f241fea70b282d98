package tensor

import (
	"math"
	"sync"
	"sync/atomic"
)

// Rope rotates pairs of channels by angles that grow with the position: channel i goes with channel i+len(Freq).
type Rope struct {
	Freq  []float32 // angle per position of each pair
	Scale float32   // factor on cosines and sines, 1 for most models
	Turns *Turns    // remembers cosines and sines for all copies of this Rope; nil finds them anew every time
}

// Table writes cosines and sines of a position. The angle is rounded to float32 before, as in the Python original.
func (r Rope) Table(cos, sin []float32, position int) {
	c, s := r.turns(position)
	for i := range c {
		cos[i], sin[i] = c[i]*r.Scale, s[i]*r.Scale
	}
}

// turns returns the cosines and sines of a position from 0 on, for reading.
func (r Rope) turns(position int) (cos, sin []float32) {
	if r.Turns != nil {
		return r.Turns.at(r.Freq, position)
	}
	cos, sin = make([]float32, len(r.Freq)), make([]float32, len(r.Freq))
	turns(cos, sin, r.Freq, position)
	return cos, sin
}

// turns writes the cosines and sines of a position.
func turns(cos, sin, freq []float32, position int) {
	for i, f := range freq {
		s, c := math.Sincos(float64(float32(position) * f))
		cos[i], sin[i] = float32(c), float32(s)
	}
}

// Rotate turns x to a position, in place; channels past the pairs stay. A negative position turns back.
func (r Rope) Rotate(x []float32, position int) {
	half := len(r.Freq)
	place, scale := position, r.Scale
	if position < 0 {
		place, scale = -position, -scale
	}
	cos, sin := r.turns(place)
	rotate(x[:half], x[half:2*half], cos, sin, r.Scale, scale)
}

// Turns are the cosines and sines of the positions from 0 on, as far as somebody asked.
type Turns struct {
	mu    sync.Mutex // held while the table grows
	table atomic.Pointer[table]
}

type table struct{ cos, sin Mat } // (positions, rotated channels / 2)

// at returns cosines and sines of a position, in place.
func (t *Turns) at(freq []float32, position int) (cos, sin []float32) {
	known := t.table.Load()
	if known == nil || position >= known.cos.Rows {
		known = t.grow(freq, position+1)
	}
	return known.cos.Row(position), known.sin.Row(position)
}

func (t *Turns) grow(freq []float32, length int) *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, rows := t.table.Load(), 512
	if old != nil && old.cos.Rows >= length {
		return old
	}
	for rows < length {
		rows *= 2
	}
	grown, done := &table{New(rows, len(freq)), New(rows, len(freq))}, 0
	if old != nil {
		done = old.cos.Rows
		copy(grown.cos.Data, old.cos.Data)
		copy(grown.sin.Data, old.sin.Data)
	}
	for p := done; p < rows; p++ {
		turns(grown.cos.Row(p), grown.sin.Row(p), freq, p)
	}
	t.table.Store(grown)
	return grown
}
