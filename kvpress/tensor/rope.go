package tensor

import "math"

// Rope rotates pairs of channels by angles that grow with the position: channel i goes with channel i+len(Freq).
type Rope struct {
	Freq  []float32 // angle per position of each pair
	Scale float32   // factor on cosines and sines, 1 for most models
}

// Table writes cosines and sines of a position. The angle is rounded to float32 before, as in the Python original.
func (r Rope) Table(cos, sin []float32, position int) {
	for i, f := range r.Freq {
		s, c := math.Sincos(float64(float32(position) * f))
		cos[i], sin[i] = float32(c)*r.Scale, float32(s)*r.Scale
	}
}

// Rotate turns x to a position, in place; channels past the pairs stay.
func (r Rope) Rotate(x []float32, position int) {
	half := len(r.Freq)
	for i, f := range r.Freq {
		s, c := math.Sincos(float64(float32(position) * f))
		cos, sin := float32(c)*r.Scale, float32(s)*r.Scale
		a, b := x[i], x[i+half]
		x[i], x[i+half] = a*cos-b*sin, b*cos+a*sin
	}
}
