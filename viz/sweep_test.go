package viz

import (
	"reflect"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/eval"
)

func TestTrialsOfScores(t *testing.T) {
	got := TrialsOf([]eval.Score{
		{Press: "none", Right: 9, Of: 10, KVBytes: 100},
		{Press: "snapkv:0.25", Right: 8, Of: 10, Ratio: 0.25, Others: []eval.Measure{{Metric: "log_likelihood", Got: -6, Of: 4}}},
		{Press: "snapkv:0.5", Right: 7, Of: 10}, // made by hand, without a ratio
		{Press: "knorm:512tok", Right: 4.5, Of: 10, Ratio: 0.4},
		{Press: "dms(knorm, threshold=2)", Right: 3, Of: 10, Ratio: 0.3},
		{Press: "think(ratio=0.5)", Right: 6, Of: 10},                            // nobody measured its ratio
		{Press: "tova:0.5", Right: 0, Of: 0, Failed: 10, Answers: 10},            // it never ran
		{Press: "tova:0.25", Right: 1, Of: 2, Failed: 1, Answers: 3, KVBytes: 7}, // it ran sometimes
	})
	want := []Trial{
		{Press: "none", Score: 0.9, KVBytes: 100},
		{Press: "snapkv", Ratio: 0.25, Score: 0.8, Likelihood: -1.5},
		{Press: "snapkv", Ratio: 0.5, Score: 0.7},
		{Press: "knorm", Ratio: 0.4, Score: 0.45},
		{Press: "dms(knorm, threshold=2)", Ratio: 0.3, Score: 0.3},
		{Press: "tova", Ratio: 0.25, Score: 0.5, KVBytes: 7},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("trials\n%+v\nwant\n%+v", got, want)
	}
	if text := SweepOf(got).Text(); !strings.Contains(text, "snapkv: 80 % right at 0.25, 70 % right at 0.5") {
		t.Error(text)
	}
}
