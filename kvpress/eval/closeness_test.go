package eval

import (
	"context"
	"math"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/needle"
)

func TestCloseness(t *testing.T) {
	ctx, m := context.Background(), loaded(t)
	text := needle.NewWorld().Text(3, 60, 12)
	whole, err := m.Prefill(ctx, text.String(), llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	ref, err := Refer(ctx, whole, llm.Question{Text: "\n" + text.Facts[4].Question, MaxTokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	own, err := ref.Compare(ctx, whole)
	if err != nil {
		t.Fatal(err)
	}
	if own.KL > 1e-9 || own.SameTokens != 1 || own.AttentionLost > 1e-6 || own.LogLikelihood > 0 || own.LogLikelihood < -1 || own.Tokens != len(ref.Answer.Tokens) {
		t.Errorf("the whole cache is close to itself: %v", own)
	}
	// The likelihood is that of the logits that the answer itself was chosen by.
	want, step := 0.0, 0
	_, err = whole.AskTokens(ctx, ref.Answer.Asked, len(ref.Answer.Tokens), nil, func(i int, row []float32) {
		want += float64(row[ref.Answer.Tokens[i]]) - logSum(row)
		step++
	})
	if err != nil || step != own.Tokens {
		t.Fatal(step, err)
	}
	if got := own.LogLikelihood * float64(step); math.Abs(got-want) > 1e-4 {
		t.Errorf("log-likelihood of the answer %v, token by token %v", got, want)
	}
	last := Closeness{}
	for i, ratio := range []float64{0, 0.5, 0.9} {
		s, err := whole.Press(kvpress.TopK(kvpress.Random{Seed: 1}, kvpress.Ratio(ratio)))
		if err != nil {
			t.Fatal(err)
		}
		c, err := ref.Compare(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("random:%g %v", ratio, c)
		if i > 0 && (c.KL <= last.KL || c.AttentionLost <= last.AttentionLost || c.LogLikelihood >= last.LogLikelihood || c.AttentionLost > 1) {
			t.Errorf("random:%g is %v, after %v", ratio, c, last)
		}
		if math.Abs(c.AttentionLost-lostBySum(ref, s)) > 1e-6 {
			t.Errorf("attention lost %v, counted pair by pair %v", c.AttentionLost, lostBySum(ref, s))
		}
		last = c
		s.Close()
	}
	// Presses whose kept keys move together, that act in answers, or store in few bits are measured too.
	for _, spelling := range []string{"rerotate(knorm):0.5", "decoding(knorm, every=2):0.5", "quantise(bits=4)", "adakv(snapkv(window=16)):0.5"} {
		p, err := kvpress.Parse(spelling)
		if err != nil {
			t.Fatal(err)
		}
		s, err := whole.Press(p)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ref.Compare(ctx, s)
		if err != nil || math.IsNaN(c.KL) || c.AttentionLost < 0 || c.AttentionLost > 1 || spelling[:3] == "rer" && c.AttentionLost < 0.05 {
			t.Errorf("%s: %v, %v", spelling, c, err)
		}
		t.Logf("%s %v", spelling, c)
		s.Close()
	}
	short, err := m.Prefill(ctx, "Short.", llm.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ref.Compare(ctx, short); err == nil {
		t.Error("a session of another context is compared")
	}
}

// lostBySum counts the attention on every pair that is not there any more.
func lostBySum(ref *Reference, s *llm.Session) float64 {
	sum, heads := 0.0, 0
	for layer, paid := range ref.thought.Attention {
		for h := range paid.Rows {
			there := map[int]bool{}
			for _, at := range s.Kept(layer, h) {
				there[at] = true
			}
			gone, total := 0.0, 0.0
			for at, v := range paid.Row(h) {
				total += float64(v)
				if !there[at] {
					gone += float64(v)
				}
			}
			sum, heads = sum+gone/total, heads+1
		}
	}
	return sum / float64(heads)
}

func BenchmarkCompare(b *testing.B) {
	m, err := needleModel()
	if err != nil {
		b.Fatal(err)
	}
	ctx, text := context.Background(), needle.NewWorld().Text(3, 110, 27)
	whole, err := m.Prefill(ctx, text.String(), llm.Full())
	if err != nil {
		b.Fatal(err)
	}
	ref, err := Refer(ctx, whole, llm.Question{Text: "\n" + text.Facts[4].Question, MaxTokens: 10})
	if err != nil {
		b.Fatal(err)
	}
	s, err := whole.Press(kvpress.TopK(kvpress.Knorm{}, kvpress.Ratio(0.5)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ref.Compare(ctx, s); err != nil {
			b.Fatal(err)
		}
	}
}
