// Package metrics measures answers as the benchmarks of long contexts do: strings in, a number out. The numbers equal
// those of the originals (the golden table in testdata was computed with their Python); where an original has a bug, the
// function says which, mends it, and a second one named ...Original gives the original's number.
package metrics

import "strings"

// StringMatch is RULER's: the share of references that stand in the answer, or, for its questions (any), 1 if one of
// them does. Case does not count; control characters are taken out of the answer and leave no blank.
func StringMatch(answer string, references []string, any bool) float64 {
	answer = lower(strip(strings.Map(func(r rune) rune {
		if r < 0x20 {
			return -1
		}
		return r
	}, strip(answer))))
	found := 0
	for _, ref := range references {
		if strings.Contains(answer, lower(ref)) {
			found++
		}
	}
	switch {
	case len(references) == 0:
		return 0
	case any:
		return one(found > 0)
	}
	return float64(found) / float64(len(references))
}

// one is 1 for yes and 0 for no.
func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
