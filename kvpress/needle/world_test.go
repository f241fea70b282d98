package needle

import (
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
	planted := w.Text(1, 20, 5).Plant(Code("Lisbon", 42), 7)
	if planted.Sentences[7] != "The access code of Lisbon is 0042." {
		t.Errorf("sentence 7 is %q", planted.Sentences[7])
	}
}
