package llm

import (
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// table makes the rotation for a sequence of the given length. Only longrope depends on the length: past the
// positions the model was first trained for it uses its long factors.
func (r RopeConfig) table(length int) tensor.Rope {
	t := tensor.Rope{Freq: make([]float32, r.Rotated/2), Scale: 1, Turns: &tensor.Turns{}}
	if r.Scale != 0 {
		t.Scale = float32(r.Scale)
	}
	for i := range t.Freq {
		// float32 at each step, as the Python original computes it
		power := float32(math.Pow(r.Theta, float64(float32(2*i)/float32(r.Rotated))))
		freq := 1 / power
		switch r.Type {
		case "linear":
			freq /= float32(r.Factor)
		case "llama3":
			freq = r.llama3(freq)
		case "longrope":
			factors := r.Short
			if length > r.Original {
				factors = r.Long
			}
			freq = 1 / (float32(factors[i]) * power)
		}
		t.Freq[i] = freq
	}
	return t
}

// llama3 slows frequencies that turn less than once in the original context, and blends in between.
func (r RopeConfig) llama3(freq float32) float32 {
	wave := 2 * math.Pi / float64(freq)
	original := float64(r.Original)
	switch {
	case wave < original/r.High:
		return freq
	case wave > original/r.Low:
		return freq / float32(r.Factor)
	}
	smooth := (original/wave - r.Low) / (r.High - r.Low)
	return float32((1-smooth)*float64(freq)/r.Factor + smooth*float64(freq))
}
