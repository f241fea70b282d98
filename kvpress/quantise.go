package kvpress

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Quantise keeps all pairs and stores them in few bits: keys in steps of their own for every channel and every 32 pairs,
// values for every pair, as KIVI does; the newest 32 pairs of each head stay as they are. What is appended later is
// stored likewise when it has grown old. It goes with every press: put it last in composed, or press again with it.
// Liu et al., arXiv 2402.02750.
type Quantise struct {
	Bits  int  // of a number: 16 (bfloat16, no steps), 8 or 4; 0 means 8
	Float bool // 8 bits are a floating-point number (FP8, E4M3) instead of equal steps
}

func init() {
	Register(Method{Name: "quantise", Paper: "arXiv 2402.02750", Example: "quantise(bits=4)", Press: Quantise{}})
}

// Name spells the press, such as "quantise(bits=4)".
func (p Quantise) Name() string { return Spell("quantise", p) }

// Plan keeps everything, in so many bits.
func (p Quantise) Plan(l *Layer) (Plan, error) {
	plan := KeepAll(l)
	switch {
	case p.Float && (p.Bits == 0 || p.Bits == 8):
		plan.Bits = tensor.Float8
	case p.Float:
		return Plan{}, l.at("quantise", fmt.Errorf("%w: bits is %d: a floating-point number takes 8 bits", ErrBadParameter, p.Bits))
	case p.Bits == 0:
		plan.Bits = 8
	case p.Bits == 4 || p.Bits == 8 || p.Bits == 16:
		plan.Bits = p.Bits
	default:
		return Plan{}, l.at("quantise", fmt.Errorf("%w: bits is %d: keys and values are stored in 16 bits, 8 or 4", ErrBadParameter, p.Bits))
	}
	return plan, nil
}
