package eval

import (
	"context"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A Sample is one question about one context. Samples of the same context are asked of one prefill. In JSON its fields
// have the names that kvpress's data sets have.
type Sample struct {
	ID        string            `json:"id"`   // unique in its benchmark: the same seed or file gives the same
	Task      string            `json:"task"` // such as niah_single_1
	Context   string            `json:"context"`
	Question  string            `json:"question"`
	Prefix    string            `json:"answer_prefix"`  // given to the model
	Answers   []string          `json:"answer"`         // references; what they mean is the metric's business
	MaxTokens int               `json:"max_new_tokens"` // of the answer
	Details   map[string]string `json:"details"`        // what a metric or a table needs besides: length, difficulty, classes
}

// A Measure is what one metric gives for one answer. Over many answers the metric is the sum of Got over the sum of
// Of, so that metrics which count parts of answers add up as they should.
type Measure struct {
	Metric string  `json:"metric"` // such as string_match
	Got    float64 `json:"got"`
	Of     float64 `json:"of"`
}

// A Benchmark makes samples and measures answers to them.
type Benchmark struct {
	Name    string // as commands spell it
	About   string // one line: what it asks, what it needs
	Samples func(ctx context.Context, m *llm.LLM, o Options) ([]Sample, error)
	Measure func(s Sample, answer string) []Measure // the first is the one that charts show
}

// Options say which samples of a benchmark are wanted. The zero value is a sensible small run of each.
type Options struct {
	Tasks    []string // of the benchmark; none means all
	Tokens   int      // of the model, for benchmarks that make their texts: context, question, prefix and the longest answer together, as RULER counts; 0 means 1,000
	Samples  int      // of each task; 0 means 10, or all that a file has
	Seed     int64    // of the first sample
	Files    []string // JSONL or parquet, in the layout of the benchmark's authors or of kvpress's data set
	Facts    int      // hidden in a text of the needle world; 0 means a fact for every four sentences
	Haystack string   // file with the text to hide things in; none means a generated one
}
