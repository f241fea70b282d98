package kvpress

import (
	"math"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// CriticalKV refines another scorer by what a pair can do to the layer's output: part of the budget goes to the
// scorer's own best pairs, the rest by score times the L1 norm of the value after the output projection. Around
// ExpectedAttention, switch off its value norm. Feng et al., arXiv 2502.03805.
type CriticalKV struct {
	Scorer     Scorer
	Epsilon    float64 // added to scores before norms weigh them; 0 means 1e-4, negative means none
	FirstStage float64 // share of the budget that the scorer decides alone; 0 means 0.5, negative means none
}

func init() { Register(Method{Name: "criticalkv", Paper: "arXiv 2502.03805", Scorer: CriticalKV{}}) }

// Name spells the scorer, such as "criticalkv(snapkv)".
func (s CriticalKV) Name() string { return Spell("criticalkv", s) }

// Score is the inner score times the norm of the projected value, (KVHeads, Len), and the largest float for pairs of
// the first stage. What the inner scorer forces stays forced.
func (s CriticalKV) Score(l *Layer) (Scores, error) {
	epsilon, first, err := stages(s.Epsilon, s.FirstStage)
	if err != nil {
		return Scores{}, err
	}
	inner, force, err := score(s.Scorer, l, l.Ratio)
	if err != nil {
		return Scores{}, err
	}
	values, err := criticalScores(l, inner.Values, epsilon)
	if err != nil {
		return Scores{}, err
	}
	for h, n := range l.Lens {
		for _, i := range best(inner.Values.Row(h)[:n], force[h], atLeastOne((1-l.Ratio)*float64(n)*first)) {
			values.Row(h)[i] = math.MaxFloat32
		}
	}
	return Scores{Values: values, Force: inner.Force}, nil
}

func stages(epsilon, firstStage float64) (float32, float64, error) {
	e, err := number("epsilon", epsilon, 1e-4)
	if err != nil {
		return 0, 0, err
	}
	first, err := share("first_stage", firstStage, 0.5)
	return float32(e), first, err
}

// criticalScores are scores times the mean norm, over the query heads of the group, of the projected values.
func criticalScores(l *Layer, scores tensor.Mat, epsilon float32) (tensor.Mat, error) {
	norms, err := l.OutputNorms(1)
	if err != nil {
		return tensor.Mat{}, err
	}
	values := l.GroupMean(norms)
	for i, s := range scores.Data {
		values.Data[i] *= s + epsilon
	}
	return values, nil
}
