// Package metrics measures answers as the benchmarks of long contexts do: strings in, a number from 0 to 1 out.
//
// The numbers equal those of the originals: testdata/golden.py computed a table with their Python libraries. Where an
// original has a bug, the function mends it and says which; a function of the same name with Original at the end gives
// the original's number where published figures rest on it. BERTScore and the WordNet stage of METEOR are not here:
// they need a model and a dictionary.
//
// Shapes and units: shares from 0 to 1, words and letters as the original counts them.
package metrics

import "strings"

// StringMatch is RULER's: the share of references that stand in the answer, or, for its questions (anyOf), 1 if one of
// them does. Case does not count; control characters are taken out of the answer and leave no blank.
func StringMatch(answer string, references []string, anyOf bool) float64 {
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
	case anyOf:
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
