package reference

import (
	"fmt"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Tolerance is how far a number may be from the reference: Absolute + Relative·|number|.
type Tolerance struct{ Absolute, Relative float64 }

// Tolerance is what the README allows for the scores of the case: scores in units of their own deviation are compared
// absolutely.
func (c *Case) Tolerance() Tolerance {
	for _, z := range []string{"Leverage", "NonCausal", "Compactor"} {
		if strings.HasPrefix(c.Label, z) {
			return Tolerance{Absolute: 1e-3}
		}
	}
	return Tolerance{Absolute: 1e-6, Relative: 1e-4}
}

// Scores are the scores that the press of the case decided by, one matrix (KV heads, pairs) per layer: its own, or
// else those of the scorer inside it; nil when the case has none that one prefill gives.
func (c *Case) Scores() ([]tensor.Mat, error) {
	for _, key := range []string{"scores", "scores.press"} {
		if name := c.Tensors[key]; name != "" {
			return c.group.Layers(name)
		}
	}
	return nil, nil
}

// Edited are the keys or values that the press left behind, [layer][KV head] (kept pairs, channels).
func (c *Case) Edited(kind string) ([][]tensor.Mat, error) {
	x, shape, err := c.group.Floats(c.Tensors[kind])
	if err != nil {
		return nil, err
	}
	if len(shape) != 4 {
		return nil, fmt.Errorf("tensor %s has shape %v, four dimensions are wanted", c.Tensors[kind], shape)
	}
	layers := make([][]tensor.Mat, shape[0])
	for i := range layers {
		for range shape[1] {
			size := shape[2] * shape[3]
			layers[i] = append(layers[i], tensor.Mat{Rows: shape[2], Cols: shape[3], Data: x[:size]})
			x = x[size:]
		}
	}
	return layers, nil
}
