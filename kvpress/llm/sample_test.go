package llm

import (
	"math"
	"strings"
	"testing"
)

// TestSamplingDrawsByProbability counts draws and compares them with the probabilities that the rules leave.
func TestSamplingDrawsByProbability(t *testing.T) {
	p := []float64{0.1, 0.4, 0.05, 0.25, 0.2} // of five tokens
	logits := make([]float32, len(p))
	for i, v := range p {
		logits[i] = float32(math.Log(v)) + 3
	}
	for name, c := range map[string]struct {
		sampling Sampling
		want     []float64
	}{
		"all":         {Sampling{Temperature: 1}, p},
		"hot":         {Sampling{Temperature: 2}, []float64{0.1487, 0.2974, 0.1051, 0.2351, 0.2103}},
		"top-k":       {Sampling{Temperature: 1, TopK: 2}, []float64{0, 0.4 / 0.65, 0, 0.25 / 0.65, 0}},
		"top-p":       {Sampling{Temperature: 1, TopP: 0.7}, []float64{0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85}},
		"least":       {Sampling{Temperature: 1, TopP: 1e-9}, []float64{0, 1, 0, 0, 0}},
		"min-p":       {Sampling{Temperature: 1, MinP: 0.6}, []float64{0, 0.4 / 0.65, 0, 0.25 / 0.65, 0}},
		"p then min":  {Sampling{Temperature: 1, TopP: 0.8, MinP: 0.6}, []float64{0, 0.4 / 0.65, 0, 0.25 / 0.65, 0}},
		"k then p":    {Sampling{Temperature: 1, TopK: 3, TopP: 0.7}, []float64{0, 0.4 / 0.65, 0, 0.25 / 0.65, 0}},
		"greedy":      {Sampling{TopK: 3, TopP: 0.5}, []float64{0, 1, 0, 0, 0}},
		"hardly warm": {Sampling{Temperature: 1e-3}, []float64{0, 1, 0, 0, 0}},
	} {
		const n = 40000
		d, counts := c.sampling.sampler(), make([]float64, len(p))
		for range n {
			token, _, err := d.draw(logits)
			if err != nil {
				t.Fatal(err)
			}
			counts[token]++
		}
		for i, want := range c.want {
			if got := counts[i] / n; math.Abs(got-want) > 0.012 || want == 0 && got > 0 {
				t.Errorf("%s: token %d comes with frequency %.4f, want %.4f", name, i, got, want)
			}
		}
	}
}

func TestPenalty(t *testing.T) {
	d := Sampling{Penalty: 2}.sampler([]int{1})
	for i, want := range []int{0, 2, 1, 1} { // token 1 has 2.5 all the time, the others lose half when they were drawn
		token, gap, err := d.draw([]float32{3, 5, 2.9, -1})
		if token != want || gap != 2 || err != nil {
			t.Errorf("draw %d: token %d, gap %v, %v; want token %d, gap 2", i, token, gap, err, want)
		}
	}
	d = Sampling{Penalty: 2}.sampler([]int{0})
	if token, _, _ := d.draw([]float32{-1, -1.5}); token != 1 {
		t.Error("a negative logit is not weakened")
	}
}

func TestSamplingIsChecked(t *testing.T) {
	for name, s := range map[string]Sampling{
		"temperature": {Temperature: -1}, "top-k": {TopK: -1}, "top-p": {TopP: 1.5}, "min-p": {MinP: math.NaN()}, "repetition penalty": {Penalty: -2},
	} {
		if err := s.check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Sampling{Temperature: 0.7, TopK: 40, TopP: 0.9, MinP: 0.05, Penalty: 1.1}).check(); err != nil {
		t.Error(err)
	}
}

func TestSameSeedSameTokens(t *testing.T) {
	logits := make([]float32, 100)
	draws := func(seed uint64) (ids []int) {
		d := Sampling{Temperature: 1, Seed: seed}.sampler()
		for range 50 {
			token, _, _ := d.draw(logits)
			ids = append(ids, token)
		}
		return ids
	}
	same := func(a, b []int) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	if !same(draws(1), draws(1)) || same(draws(1), draws(2)) {
		t.Error("seeds do not decide what is drawn")
	}
}

// TestSpeakerHoldsWhatMayBeAStop feeds text in parts.
func TestSpeakerHoldsWhatMayBeAStop(t *testing.T) {
	for _, c := range []struct {
		parts []string
		stops []string
		want  string
		ended bool
	}{
		{[]string{"a", "b", "c"}, nil, "abc", false},
		{[]string{"one E", "N", "D two"}, []string{"END"}, "one ", true},
		{[]string{"one E", "N", "G"}, []string{"END"}, "one ENG", false},
		{[]string{"x\n", "\ny"}, []string{"END", "\n\n"}, "x", true},
		{[]string{"first STOP END"}, []string{"END", "STOP"}, "first ", true},
		{[]string{"aa", "ab"}, []string{"aab"}, "a", true},
		{[]string{"ends with EN"}, []string{"END"}, "ends with EN", false},
	} {
		var said strings.Builder
		s := &speaker{stops: c.stops, say: func(text string) { said.WriteString(text) }}
		for _, part := range c.parts {
			s.tell(part)
		}
		if !s.ended && s.held != "" {
			s.say(s.held)
		}
		if said.String() != c.want || s.ended != c.ended {
			t.Errorf("%q up to %q: %q, ended %v", c.parts, c.stops, said.String(), s.ended)
		}
	}
}
