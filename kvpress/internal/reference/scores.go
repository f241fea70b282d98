package reference

import (
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A Tolerance is how far a number may be from the reference: Absolute + Relative·|number|.
type Tolerance struct{ Absolute, Relative float64 }

// Tolerance is what the README allows for the scores of the case: scores in units of their own deviation are compared
// absolutely.
func (c *Case) Tolerance() Tolerance {
	switch {
	case c.has("Leverage", "NonCausal", "Compactor"):
		return Tolerance{Absolute: 1e-3}
	case c.has("QFilter", "KVzap"): // sums of products with keys or hidden states: large terms cancel
		return Tolerance{Absolute: EditedPairs, Relative: 1e-4}
	}
	return Tolerance{Absolute: 1e-6, Relative: 1e-4}
}

// LogitTolerance is how far logits may differ. The original marks pairs that head-wise presses evict in answers with
// keys that leak a little attention.
func (c *Case) LogitTolerance() float64 {
	if c.Tensors["final_kept"] != "" && c.has("DMS(", "AdaKV(") {
		return 0.05
	}
	return tinyLogits
}

// has reports whether one of the names is in the label.
func (c *Case) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(c.Label, name) })
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
