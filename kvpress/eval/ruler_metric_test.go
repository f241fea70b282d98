package eval

import "testing"

func TestRulerMatch(t *testing.T) {
	for _, c := range []struct {
		task, text string
		answers    []string
		want       float64
	}{
		{"niah_multivalue", " 123, 456 and 9.", []string{"123", "456", "789", "9"}, 0.75},
		{"niah_single_1", "12\n34", []string{"1234"}, 1}, // control characters vanish, and leave no blank
		{"vt", "abc ABD", []string{"ABC", "abd"}, 1},
		{"qa_1", "in Paris, France", []string{"london", "FRANCE"}, 1},
		{"qa_2", "in Rome", []string{"Paris", "London"}, 0},
		{"cwe", "", []string{"word"}, 0},
		{"fwe", "word", nil, 0},
	} {
		if got := RulerMatch(c.task, c.text, c.answers); got != c.want {
			t.Errorf("%s: %q against %q: %v, want %v", c.task, c.text, c.answers, got, c.want)
		}
	}
}
