package eval

import (
	"context"
	"os"
	"reflect"
	"strconv"
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
	page, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range Benchmarks() {
		if !strings.Contains(string(page), "`"+b.Name+"`") {
			t.Errorf("docs/benchmarks.md does not tell of %s", b.Name)
		}
		found, err := Find(b.Name)
		if err != nil || found.About != b.About {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
	if _, err := Find("nothing"); err == nil || !strings.Contains(err.Error(), "passkey") {
		t.Errorf("an unknown name: %v", err)
	}
}

// The benchmarks that make their texts, but RULER: see there.
func TestGenerated(t *testing.T) {
	m := reader(t)
	for _, b := range []Benchmark{haystackBenchmark, kvRetrievalBenchmark, passkeyBenchmark} {
		o := Options{Samples: 4, Seed: 7, Tokens: 2400}
		samples, err := b.Samples(context.Background(), m, o)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := b.Samples(context.Background(), m, o); !reflect.DeepEqual(samples, again) {
			t.Errorf("%s: the same seed gives other samples", b.Name)
		}
		ids := map[string]bool{}
		for _, s := range samples {
			tokens := o.Tokens
			if s.Details["tokens"] != "" {
				tokens, _ = strconv.Atoi(s.Details["tokens"])
			}
			if n := sampleTokens(m, s); n > tokens || float64(n) < 0.98*float64(tokens) {
				t.Errorf("%s has %d tokens", s.ID, n)
			}
			if ids[s.ID] || !strings.Contains(s.Context, s.Answers[0]) {
				t.Errorf("%s: there twice, or without its answer", s.ID)
			}
			ids[s.ID] = true
			if got := b.Measure(s, " "+s.Answers[0]); got[0].Got != 1 || got[0].Of != 1 {
				t.Errorf("%s: the right answer gets %v", s.ID, got)
			}
			if got := b.Measure(s, "7 of them"); got[0].Got != 0 {
				t.Errorf("%s: a wrong answer gets %v", s.ID, got)
			}
		}
		if _, err := b.Samples(context.Background(), m, Options{Tokens: 50}); err == nil || !strings.Contains(err.Error(), "shortest") {
			t.Errorf("%s: a text that cannot be so short: %v", b.Name, err)
		}
		if _, err := b.Samples(context.Background(), m, Options{Tasks: []string{"nothing"}}); err == nil {
			t.Errorf("%s: a task that is not there", b.Name)
		}
	}
}
