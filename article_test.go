package kvnotes_test

import (
	"os"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// TestArticleDecides checks that the article of this project is what its questions need: with it the whole cache
// answers at least eight of ten, without it at most one.
func TestArticleDecides(t *testing.T) {
	name := os.Getenv("KVNOTES_SMOLLM2")
	if name == "" {
		name = "smollm2"
	}
	if _, err := hub.Find(name); err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	m, err := llm.Load(name, cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	questions := hub.FallbackQuestions()
	if len(questions) != 10 {
		t.Fatalf("there are %d questions, ten are wanted", len(questions))
	}
	for _, c := range []struct {
		text        string
		least, most int
	}{{hub.FallbackArticle().Text, 8, 10}, {"", 0, 1}} {
		s, err := m.Prefill(t.Context(), c.text+"\n", llm.KeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		if c.text != "" && (s.Len() < 2000 || s.Len() > 4000) {
			t.Errorf("the article has %d tokens, 2,000 to 4,000 are wanted", s.Len())
		}
		right := 0
		for _, q := range questions {
			a, err := s.Ask(t.Context(), q.Question, 32)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(a.Text, q.Answer) {
				right++
			}
		}
		if right < c.least || right > c.most {
			t.Errorf("after %d characters of context %d of 10 answers are right, %d to %d are wanted", len(c.text), right, c.least, c.most)
		}
		t.Logf("%d characters: %d of 10 right", len(c.text), right)
		s.Close()
	}
}
