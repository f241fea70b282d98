// Package eval measures what compression costs in answers.
package eval

import (
	"context"
	"fmt"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// Needles says which texts with hidden facts are asked about. The zero value is a sensible small run.
type Needles struct {
	Texts     int   // generated texts; 0 means 10
	Sentences int   // sentences of a text; 0 means 110, about 1,000 tokens of the needle model
	Facts     int   // facts hidden in a text; 0 means a quarter of the sentences
	Questions int   // questions about each text, from all over it; 0 means 6
	Seed      int64 // of the first text; text i has Seed+i
}

// A Score is how one press did.
type Score struct {
	Press       string  // as spelled
	Right, Of   int     // questions answered exactly
	KVBytes     int64   // of the compressed caches, mean over the texts
	PressMillis float64 // mean over the texts
}

// Accuracy is the share of questions answered exactly, from 0 to 1.
func (s Score) Accuracy() float64 {
	if s.Of == 0 {
		return 0
	}
	return float64(s.Right) / float64(s.Of)
}

// String says how the press did.
func (s Score) String() string { return fmt.Sprintf("%s: %d of %d right", s.Press, s.Right, s.Of) }

// Needle asks a model about facts hidden in generated texts, for every press, and for no press first. Each text is
// prefilled once and pressed many times. An answer counts when it equals the fact's answer, blanks around it aside.
func Needle(ctx context.Context, m *llm.LLM, n Needles, presses []kvpress.Press) ([]Score, error) {
	n = n.withDefaults()
	scores := make([]Score, len(presses)+1)
	scores[0].Press = "none"
	for i, p := range presses {
		scores[i+1].Press = p.Name()
	}
	world := needle.NewWorld()
	for i := range n.Texts {
		text := world.Text(n.Seed+int64(i), n.Sentences, n.Facts)
		whole, err := m.Prefill(ctx, text.String(), llm.Full())
		if err != nil {
			return nil, fmt.Errorf("text %d: %w", i, err)
		}
		for j := range scores {
			s := whole
			if j > 0 {
				if s, err = whole.Press(presses[j-1]); err != nil {
					return nil, fmt.Errorf("text %d: %w", i, err)
				}
			}
			if err := scores[j].ask(ctx, s, spread(text.Facts, n.Questions), n.Texts); err != nil {
				return nil, fmt.Errorf("text %d: %w", i, err)
			}
			if s != whole {
				s.Close()
			}
			progress.Report(ctx, "questions", int64(i*len(scores)+j+1), int64(n.Texts*len(scores)))
		}
		whole.Close()
	}
	return scores, nil
}

// spread picks n facts from all over a text.
func spread(facts []needle.Fact, n int) []needle.Fact {
	if n >= len(facts) {
		return facts
	}
	picked := make([]needle.Fact, n)
	for i := range picked {
		picked[i] = facts[i*len(facts)/n]
	}
	return picked
}

func (n Needles) withDefaults() Needles {
	for _, d := range []struct {
		field *int
		value int
	}{{&n.Texts, 10}, {&n.Sentences, 110}, {&n.Questions, 6}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if n.Facts == 0 {
		n.Facts = n.Sentences / 4
	}
	return n
}

// longest answer to a question of this world, in tokens.
const answerTokens = 10

// ask adds the answers of one session to the score.
func (s *Score) ask(ctx context.Context, session *llm.Session, facts []needle.Fact, texts int) error {
	for _, f := range facts {
		a, err := session.Ask(ctx, "\n"+f.Question, answerTokens)
		if err != nil {
			return err
		}
		s.Of++
		if strings.TrimSpace(a.Text) == f.Answer {
			s.Right++
		}
	}
	s.KVBytes += session.Bytes().KV / int64(texts)
	s.PressMillis += 1e3 * session.PressSeconds() / float64(texts)
	return nil
}
