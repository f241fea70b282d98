package eval

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
	"github.com/kvnotes/kvnotes/kvpress/tokenizer"
)

// reader is a model that can only count tokens: making samples needs no more.
func reader(t testing.TB) *llm.LLM {
	tok, err := tokenizer.Load(needle.Tokenizer, needle.TokenizerConfig, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &llm.LLM{Name: "needle", Tokenizer: tok}
}

func TestFind(t *testing.T) {
	for _, b := range Benchmarks() {
		found, err := Find(b.Name)
		if err != nil || found.About != b.About {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
	if _, err := Find("nothing"); err == nil || !strings.Contains(err.Error(), "passkey") {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestPasskey(t *testing.T) {
	m, b := reader(t), passkeyBenchmark
	o := Options{Samples: 4, Seed: 7, Tokens: 600}
	samples, err := b.Samples(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := b.Samples(context.Background(), m, o)
	if !reflect.DeepEqual(samples, again) {
		t.Error("the same seed gives other samples")
	}
	for _, s := range samples {
		if n := sampleTokens(m, s); n > 600 || n < 588 {
			t.Errorf("%s has %d tokens", s.ID, n)
		}
		if !strings.Contains(s.Context, s.Answers[0]) {
			t.Errorf("%s: the answer is not in the context", s.ID)
		}
		if got := b.Measure(s, " "+s.Answers[0]+". 7"); got[0].Got != 1 || got[0].Of != 1 {
			t.Errorf("right answer: %v", got)
		}
		if got := b.Measure(s, "7 "+s.Answers[0]); got[0].Got != 0 {
			t.Errorf("another number first: %v", got)
		}
	}
	if _, err := b.Samples(context.Background(), m, Options{Tokens: 50}); err == nil || !strings.Contains(err.Error(), "shortest") {
		t.Errorf("a text that cannot be so short: %v", err)
	}
	if _, err := b.Samples(context.Background(), m, Options{Tasks: []string{"vt"}}); err == nil {
		t.Error("a task that is not there")
	}
}
