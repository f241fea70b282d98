package needle

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

func TestTexts(t *testing.T) {
	w := NewWorld()
	for _, size := range []struct{ sentences, facts int }{{1, 0}, {1, 1}, {20, 5}, {110, 27}, {10, 50}} {
		a, b := w.Text(3, size.sentences, size.facts), w.Text(3, size.sentences, size.facts)
		if !reflect.DeepEqual(a, b) {
			t.Error("the same seed makes another text")
		}
		if len(a.Sentences) != size.sentences || len(a.Facts) > size.facts {
			t.Errorf("%d sentences and %d facts were asked for, there are %d and %d", size.sentences, size.facts, len(a.Sentences), len(a.Facts))
		}
		questions := map[string]bool{}
		for _, f := range a.Facts {
			if a.Sentences[f.Index] != f.Sentence || !strings.Contains(f.Sentence, strings.TrimSuffix(strings.TrimPrefix(f.Answer, "In "), ".")) {
				t.Errorf("the fact %+v is not in sentence %d: %q", f, f.Index, a.Sentences[f.Index])
			}
			if questions[f.Question] {
				t.Errorf("%q has two answers", f.Question)
			}
			questions[f.Question] = true
		}
	}
	if w.Text(1, 20, 5).String() == w.Text(2, 20, 5).String() {
		t.Error("two seeds make the same text")
	}
	if n := len(w.Text(1, -1, -1).Sentences); n != 0 {
		t.Errorf("a text of -1 sentences has %d", n)
	}
	planted := w.Text(1, 20, 5).Plant(Code("Lisbon", 42), 7)
	if planted.Sentences[7] != "The access code of Lisbon is 0042." {
		t.Errorf("sentence 7 is %q", planted.Sentences[7])
	}
}

func TestPlacesOutsideTheText(t *testing.T) {
	w, f := NewWorld(), Code("Lisbon", 42)
	for _, c := range []struct{ sentences, at, want int }{{5, -1, 0}, {5, 9, 4}, {0, 0, 0}} {
		text := w.Text(1, c.sentences, 0).Plant(f, c.at)
		if text.Sentences[c.want] != f.Sentence || len(text.Facts) != 1 || text.Facts[0].Index != c.want {
			t.Errorf("planted at %d of %d sentences: %+v", c.at, c.sentences, text)
		}
	}
}

// TestTextsNeverChange holds what a seed makes: curves that were published depend on it.
func TestTextsNeverChange(t *testing.T) {
	text := NewWorld().Text(7, 200, 50)
	sum := sha256.Sum256([]byte(text.String()))
	if got, want := hex.EncodeToString(sum[:8]), "31ad71854a35abbc"; got != want || len(text.Facts) != 40 {
		t.Errorf("seed 7 makes another text: %s with %d facts, want %s with 40", got, len(text.Facts), want)
	}
	if got, want := text.Facts[0].Question, "Where was Peter born?"; got != want {
		t.Errorf("the first question is %q, want %q", got, want)
	}
}
