package llm_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
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

// TestAskAll answers side by side what Ask answers one by one, on a whole and on a pressed session.
func TestAskAll(t *testing.T) {
	m, err := llm.Load("needle", cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := m.Prefill(context.Background(), "The access code of Lisbon is 2251. The access code of Turin is 7720. Uma was born in Tallinn.", llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	pressed, err := whole.Press(kvpress.TopK(kvpress.Knorm{}, kvpress.Ratio(0.3)))
	if err != nil {
		t.Fatal(err)
	}
	var questions []llm.Question
	for i, text := range []string{"What is the access code of Turin?", "Where was Uma born?", "What is the access code of Lisbon?", "Who?"} {
		for _, tokens := range []int{1, 3 + i, 20} {
			questions = append(questions, llm.Question{Text: text, MaxTokens: tokens})
		}
	}
	for len(questions) < 40 { // more than go together
		questions = append(questions, questions[len(questions)-12])
	}
	for _, s := range []*llm.Session{whole, pressed} {
		before := s.Lens()
		answers, err := s.AskAll(context.Background(), questions)
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range questions[:12] {
			want, err := s.AskWith(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if answers[i].Text != want.Text {
				t.Errorf("%s: %q: %q side by side, %q alone", s.PressName(), q.Text, answers[i].Text, want.Text)
			}
		}
		if after := s.Lens(); !reflect.DeepEqual(before, after) {
			t.Errorf("%s: questions changed the session: %v, then %v pairs", s.PressName(), before, after)
		}
	}
	questions[5].MaxTokens = -1
	if _, err := whole.AskAll(context.Background(), questions); err == nil || !strings.Contains(err.Error(), "question 5") {
		t.Errorf("a bad question among good ones: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := whole.AskAll(ctx, questions[:4]); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// BenchmarkAskAll compares eight answers side by side with eight in a row.
func BenchmarkAskAll(b *testing.B) {
	m, err := llm.Load("needle", cpu.New())
	if err != nil {
		b.Fatal(err)
	}
	s, err := m.Prefill(context.Background(), strings.Repeat("The access code of Lisbon is 2251. ", 40), llm.KeysOnly())
	if err != nil {
		b.Fatal(err)
	}
	questions := make([]llm.Question, 8)
	for i := range questions {
		questions[i] = llm.Question{Text: "What is the access code of Lisbon?", MaxTokens: 30, Sampling: llm.Sampling{Temperature: 2, Seed: uint64(i)}}
	}
	b.Run("together", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.AskAll(context.Background(), questions); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("in a row", func(b *testing.B) {
		for b.Loop() {
			for _, q := range questions {
				if _, err := s.AskWith(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
