package eval

import (
	"context"
	"reflect"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
)

func TestNeedle(t *testing.T) {
	m, err := llm.Load("needle", cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	presses, err := kvpress.ParseList("knorm:0.5, expected_attention:0.5")
	if err != nil {
		t.Fatal(err)
	}
	n := Needles{Texts: 3, Sentences: 60, Facts: 15, Questions: 4, Seed: 5}
	scores, err := Needle(context.Background(), m, n, presses)
	if err != nil {
		t.Fatal(err)
	}
	if len(scores) != 3 || scores[0].Press != "none" || scores[1].Press != "knorm:0.5" {
		t.Fatalf("scores %v", scores)
	}
	for _, s := range scores {
		if s.Of != 12 || s.Right < 0 || s.Right > s.Of {
			t.Errorf("%v: 12 questions were to be asked", s)
		}
	}
	// What this model is known for: norms of keys say nothing about it, expected queries say a lot.
	if scores[0].Accuracy() < 0.75 || scores[1].Accuracy() > 0.3 || scores[2].Accuracy() < 0.6 {
		t.Errorf("accuracies %v, %v, %v", scores[0], scores[1], scores[2])
	}
	if scores[2].KVBytes*18 > scores[0].KVBytes*10 {
		t.Errorf("half of the pairs take %d bytes of %d", scores[2].KVBytes, scores[0].KVBytes)
	}
	again, err := Needle(context.Background(), m, n, presses)
	if err != nil {
		t.Fatal(err)
	}
	for i := range again {
		again[i].PressMillis, again[i].AnswerMillis = scores[i].PressMillis, scores[i].AnswerMillis
	}
	if !reflect.DeepEqual(again, scores) {
		t.Errorf("the same run gives %v, then %v", scores, again)
	}
}

func TestQuestionsComeFromAllOverTheText(t *testing.T) {
	facts := needle.NewWorld().Text(1, 100, 25).Facts
	picked := spread(facts, 5)
	if len(picked) != 5 || picked[0].Index > 30 || picked[4].Index < 60 {
		t.Errorf("picked %v", picked)
	}
	if len(spread(facts, 1000)) != len(facts) {
		t.Error("more questions than facts: all are asked")
	}
}
