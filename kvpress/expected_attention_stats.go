package kvpress

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// ExpectedAttentionStats is ExpectedAttention with stored statistics of the model's queries in place of those of the
// context. Devoto et al., arXiv 2510.00636.
type ExpectedAttentionStats struct {
	Mean         []tensor.Mat   // per layer (Heads, Dim): mean of the queries before RoPE
	Cov          [][]tensor.Mat // per layer and query head (Dim, Dim): their covariance
	Future       int            // next positions over which rotations are averaged; 0 means 512
	Sinks        int            // first pairs that stay; 0 means 4, negative means none
	Epsilon      float64        // added to the expected attention before values weigh it
	NoCovariance bool           // use the mean of the queries alone
	NoValueNorm  bool           // do not weigh by the norms of the values
}

func init() {
	Register(Method{Name: "expected_attention_stats", Paper: "arXiv 2510.00636", Scorer: ExpectedAttentionStats{}})
}

// Name spells the scorer.
func (s ExpectedAttentionStats) Name() string { return Spell("expected_attention_stats", s) }

// Score is the expected attention of each pair, (KVHeads, Len); the sinks are forced.
func (s ExpectedAttentionStats) Score(l *Layer) (Scores, error) {
	if l.Index >= len(s.Mean) || l.Index >= len(s.Cov) {
		return Scores{}, untrained("statistics of queries", len(s.Mean))
	}
	mean, cov := s.Mean[l.Index], s.Cov[l.Index]
	if mean.Rows != l.Heads || mean.Cols != l.Dim || len(cov) != l.Heads {
		return Scores{}, fmt.Errorf("the statistics are of %d heads of %d channels, the layer has %d of %d: take those of this model", mean.Rows, mean.Cols, l.Heads, l.Dim)
	}
	inner := ExpectedAttention{Future: s.Future, Epsilon: s.Epsilon, NoCovariance: s.NoCovariance, NoValueNorm: s.NoValueNorm}
	return inner.scoreFor(l, wholeOrNone(s.Sinks, 4), mean, cov)
}

// untrained reports a press whose trained numbers do not reach the layer.
func untrained(what string, layers int) error {
	if layers == 0 {
		return fmt.Errorf("it has no %s: load those of this model and Register the method with them", what)
	}
	return fmt.Errorf("its %s are of a model of %d layers: load those of this model", what, layers)
}
