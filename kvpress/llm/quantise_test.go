package llm_test

import (
	"path/filepath"
	"reflect"
	"testing"
)

// TestQuantisedSessions checks memory, answers and the road back of caches in few bits, alone and with other presses.
func TestQuantisedSessions(t *testing.T) {
	whole := prefilled(t, 700)
	question := someTokens(whole.Model(), 6, 5)
	for spelling, share := range map[string]float64{ // of the bytes of the same session without quantise
		"quantise":             0.37,
		"quantise(float=true)": 0.37,
		"quantise(bits=16)":    0.56,
		"quantise(bits=4)":     0.26,
		"composed(adakv(snapkv):0.5, quantise(bits=8))":               0.45,
		"composed(think(ratio=0.5), quantise(bits=4))":                0.30,
		"composed(quantise(bits=4), merging(keydiff):0.3)":            0.30,
		"composed(quantise, rerotate(streaming_llm:0.5))":             0.45,
		"prefill_decoding(quantise, decoding(knorm, every=8):300tok)": 0.37,
	} {
		s := press(t, whole, spelling)
		b := s.Bytes()
		full := b.Full
		if p := s.Plans(); p != nil {
			pairs := 0
			for _, plan := range p {
				pairs += plan.Kept()
			}
			c := s.Model().Config
			full = int64(pairs * 2 * c.Dim * 4)
		}
		if got := float64(b.KV) / float64(full); got > share {
			t.Errorf("%s: %d of %d bytes, a share of %.3f, at most %.2f is wanted", spelling, b.KV, full, got, share)
		}
		first, lens := answer(t, s, question, 60), s.Lens()
		if second := answer(t, s, question, 60); !reflect.DeepEqual(first.Tokens, second.Tokens) || !reflect.DeepEqual(first.Gaps, second.Gaps) {
			t.Errorf("%s: a second answer differs from the first", spelling)
		}
		if !reflect.DeepEqual(lens, s.Lens()) || s.Bytes() != b {
			t.Errorf("%s: the session is not what it was before the answers", spelling)
		}
		file := filepath.Join(t.TempDir(), "session")
		if err := s.Save(file); err != nil {
			t.Fatal(err)
		}
		loaded, err := whole.Model().LoadSession(file)
		if err != nil {
			t.Fatal(err)
		}
		if third := answer(t, loaded, question, 60); !reflect.DeepEqual(first.Gaps, third.Gaps) {
			t.Errorf("%s: a loaded session answers otherwise", spelling)
		}
		if loaded.Bytes().KV != b.KV {
			t.Errorf("%s: a loaded session takes %d bytes, not %d", spelling, loaded.Bytes().KV, b.KV)
		}
	}
}

// TestQuantisedAnswers: eight bits are close to all bits in the logits, four less so.
func TestQuantisedAnswers(t *testing.T) {
	whole := prefilled(t, 300)
	question := someTokens(whole.Model(), 6, 5)
	want := logits(t, whole, question)[0]
	for _, c := range []struct {
		spelling string
		most     float64
	}{{"quantise(bits=16)", 0.01}, {"quantise", 0.01}, {"quantise(float=true)", 0.1}, {"quantise(bits=4)", 0.15}} {
		far := 0.0
		for i, v := range logits(t, press(t, whole, c.spelling), question)[0] {
			far = max(far, float64(max(v-want[i], want[i]-v)))
		}
		t.Logf("%s: logits differ by at most %.3f", c.spelling, far)
		if far > c.most || far == 0 {
			t.Errorf("%s: logits differ by %.3f, at most %.2f is expected", c.spelling, far, c.most)
		}
	}
}
