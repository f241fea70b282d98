package reference

import (
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
	if strings.HasPrefix(c.Label, "QFilter") {
		return Tolerance{Absolute: EditedPairs, Relative: 1e-4} // products with keys, which are compared like this
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
	return c.group.matrices(c.Tensors[kind])
}
