package metrics

import "fmt"

// A Cloze counts the blanks that an answer fills in. The score of a benchmark is the sum of Exact over the sum of
// ExactOf, and of Partial over that of PartialOf.
type Cloze struct {
	Exact, ExactOf     int // filled in as in the reference
	Partial, PartialOf int // with a word that the reference has there too
}

// ClozeScore is LooGLE's for shortdep_cloze: reference and answer are dictionaries of what stands in each blank.
//
// Mended: an answer that is no dictionary fails in all blanks, where the original counts one for exact matches; a value
// that is no string fails alone, where the original then gives up all partial matches; and the original evaluates the
// answer as a program, where Dict reads it.
func ClozeScore(answer, reference string) (Cloze, error) { return cloze(answer, reference, false) }

// ClozeOriginal is LooGLE's own.
func ClozeOriginal(answer, reference string) (Cloze, error) { return cloze(answer, reference, true) }

func cloze(answer, reference string, original bool) (Cloze, error) {
	want, err := Dict(reference)
	if err != nil {
		return Cloze{}, fmt.Errorf("the reference %.60q is no dictionary of blanks: %w", reference, err)
	}
	c := Cloze{ExactOf: len(want), PartialOf: len(want)}
	got, err := Dict(answer)
	if err != nil {
		if original {
			c.ExactOf = 1
		}
		return c, nil
	}
	allText := true
	for key, value := range want {
		filled, ok := got[key]
		if ok && filled == value {
			c.Exact++
		}
		right, isText := value.Text()
		given, alsoText := filled.Text()
		switch {
		case !ok:
		case !isText || !alsoText:
			allText = false
		case shareWord(right, given):
			c.Partial++
		}
	}
	if original && !allText {
		c.Partial = 0
	}
	return c, nil
}

func shareWord(a, b string) bool {
	words := map[string]bool{}
	for _, w := range fields(a) {
		words[w] = true
	}
	for _, w := range fields(b) {
		if words[w] {
			return true
		}
	}
	return false
}
