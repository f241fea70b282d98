package llm

import (
	"fmt"
	"os"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// Options say how a model is loaded. The zero value loads it as it is stored.
type Options struct {
	// Weights is how matrices are held: "bf16"; "int8", codes of 8 bits, 32 of which share a scale; "4bit", codes of 4
	// bits, 32 of which share a scale and a minimum, with the table of tokens and the output head in int8. Empty or
	// "stored" means as they are in the file: bfloat16 and float32, or the groups of a GGUF file. Quantised weights are an
	// approximation of the model, so answers may differ. They multiply with float32; on the processor a single token's
	// activations are rounded first, to a millionth of the largest of each 32. The environment variable
	// KVNOTES_WEIGHTS says what empty means on a machine with little memory; the needle model, which is small, stays as it is.
	Weights string
	// Prefills is a folder in which prefills are kept. A context of 1,024 tokens or more that is read with the record Full is
	// written there, a file for its owner only, and taken from there when the same model reads the same tokens again on the
	// same kind of device, in this process or another; PrefillSeconds is then what it took the first time. A file has as
	// many bytes as cache and record (115 kB a token of SmolLM2); whoever names the folder removes what is no longer wanted.
	// Empty means what the environment variable KVNOTES_PREFILLS says, and nothing is kept when that is empty too, or for the
	// needle model, which reads faster than a disk.
	Prefills string
}

// The ways to hold weights.
const (
	stored   = "stored"
	bfloat   = "bf16"
	int8Mode = "int8"
	fourBits = "4bit"
)

// WeightModes lists the spellings of Options.Weights.
func WeightModes() []string { return []string{stored, bfloat, int8Mode, fourBits} }

// option takes the one set of options that a caller may give.
func option(model string, options []Options) (Options, error) {
	var o Options
	if len(options) > 1 {
		return o, fmt.Errorf("%d sets of options: one is wanted", len(options))
	}
	if len(options) == 1 {
		o = options[0]
	}
	if o.Weights == "" && model != "needle" {
		o.Weights = os.Getenv("KVNOTES_WEIGHTS")
	}
	if o.Prefills == "" && model != "needle" {
		o.Prefills = os.Getenv("KVNOTES_PREFILLS")
	}
	if o.Weights == "" {
		o.Weights = stored
	}
	for _, mode := range WeightModes() {
		if o.Weights == mode {
			return o, nil
		}
	}
	return o, fmt.Errorf("weights cannot be held as %q: one of %s is wanted", o.Weights, strings.Join(WeightModes(), ", "))
}

// held packs the parts of one matrix as the options want it; table tells whether it is read token by token or makes
// the logits, where four bits would cost too much.
func (o Options) held(parts []weights.Tensor, table bool) ([]weights.Tensor, error) {
	to := map[string]weights.DType{bfloat: weights.BF16, int8Mode: weights.Q8_0, fourBits: weights.Q4_1}[o.Weights]
	if to == weights.Q4_1 && table {
		to = weights.Q8_0
	}
	if o.Weights == stored {
		to = asStored(parts)
	}
	out := make([]weights.Tensor, len(parts))
	for i, t := range parts {
		var err error
		if out[i] = t; to != "" {
			if out[i], err = t.Rounded(to); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// asStored is the type that parts of one matrix become together: empty when they stay what they are, all groups of a
// kind or no groups at all; bfloat16 for the ways of packing that cannot be multiplied as they are.
func asStored(parts []weights.Tensor) weights.DType {
	packed, types := false, map[weights.DType]bool{}
	var last weights.DType
	for _, t := range parts {
		packed = packed || t.DType.Packed()
		if last = t.DType; last == weights.Q4_0 {
			last = weights.Q4_1
		}
		types[last] = true
	}
	switch {
	case !packed:
		return ""
	case len(types) == 1 && last.Grouped():
		return last
	}
	return weights.BF16
}
