package kvpress

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// DuoAttention keeps heads that retrieve from afar whole, and of all other heads the first and the recent pairs.
// Which heads are which was trained. Xiao et al., arXiv 2410.10819.
type DuoAttention struct {
	Pattern tensor.Mat // (Layers, KVHeads): how much each head retrieves
	Ratio   float64    // fraction of the heads that only stream, 0 to 1
	Sinks   int        // first pairs of a streaming head; the pattern's files say how many
	Recent  int        // recent pairs of a streaming head
}

func init() {
	Register(Method{Name: "duo_attention", Paper: "arXiv 2410.10819", Example: "duo_attention(ratio=0.5)", Press: DuoAttention{}})
}

// Name spells the press, such as "duo_attention(ratio=0.5)".
func (p DuoAttention) Name() string { return Spell("duo_attention", p) }

// Plan keeps sinks and recent pairs of streaming heads and everything of the others. It has no budget.
func (p DuoAttention) Plan(l *Layer) (Plan, error) {
	streaming, err := p.streaming(l)
	if err != nil {
		return Plan{}, l.at("duo_attention", err)
	}
	plan := KeepAll(l)
	for h, n := range l.Lens {
		if start := min(n, p.Sinks); streaming[h] {
			plan.Keep[h] = append(span(0, start), span(max(start, n-p.Recent), n)...)
		}
	}
	return plan, nil
}

// streaming tells which heads of the layer only stream: those of the lowest scores of all layers.
func (p DuoAttention) streaming(l *Layer) ([]bool, error) {
	if err := Ratio(p.Ratio).Check(); err != nil {
		return nil, err
	}
	if p.Pattern.Rows == 0 || l.Index >= p.Pattern.Rows {
		return nil, untrained("pattern of heads", p.Pattern.Rows)
	}
	if p.Pattern.Cols != l.KVHeads {
		return nil, fmt.Errorf("the pattern is of %d heads, the layer has %d: take that of this model", p.Pattern.Cols, l.KVHeads)
	}
	if p.Sinks < 0 || p.Recent < 0 {
		return nil, fmt.Errorf("%w: sinks are %d, recent pairs %d: neither is negative", ErrBadParameter, p.Sinks, p.Recent)
	}
	order := span(0, len(p.Pattern.Data))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.Pattern.Data[a], p.Pattern.Data[b]) })
	streaming := make([]bool, l.KVHeads)
	for _, i := range order[:int(math.RoundToEven(float64(len(order))*p.Ratio))] {
		if i/l.KVHeads == l.Index {
			streaming[i%l.KVHeads] = true
		}
	}
	return streaming, nil
}
