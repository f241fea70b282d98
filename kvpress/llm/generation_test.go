package llm_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// TestGeneration asks the embedded model with all options.
func TestGeneration(t *testing.T) {
	m, err := llm.Load("needle", cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Prefill(context.Background(), "The access code of Lisbon is 2251. The access code of Turin is 7720.", llm.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(q llm.Question) (llm.Answer, string) {
		t.Helper()
		var said strings.Builder
		q.Text, q.Stream = "What is the access code of Turin?", func(text string) { said.WriteString(text) }
		a, err := s.AskWith(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		return a, said.String()
	}
	greedy, said := ask(llm.Question{})
	if said != greedy.Text || len(greedy.Text) < 4 {
		t.Errorf("streamed %q, answered %q", said, greedy.Text)
	}
	stop := greedy.Text[2:4]
	stopped, said := ask(llm.Question{Stop: []string{stop}})
	if want, _, _ := strings.Cut(greedy.Text, stop); stopped.Text != want || said != want {
		t.Errorf("streamed %q, answered %q; want %q", said, stopped.Text, want)
	}
	first, _ := ask(llm.Question{Sampling: llm.Sampling{Temperature: 30, Seed: 7}})
	again, _ := ask(llm.Question{Sampling: llm.Sampling{Temperature: 30, Seed: 7}})
	other, _ := ask(llm.Question{Sampling: llm.Sampling{Temperature: 30, Seed: 8}})
	if first.Text != again.Text || first.Text == other.Text || first.Text == greedy.Text {
		t.Errorf("seeds 7, 7, 8 and none answer %q, %q, %q, %q", first.Text, again.Text, other.Text, greedy.Text)
	}
	if _, err := s.AskWith(context.Background(), llm.Question{Text: "?", Sampling: llm.Sampling{TopP: 2}}); err == nil || !strings.Contains(err.Error(), "top-p") {
		t.Errorf("top-p of 2: %v", err)
	}
}
