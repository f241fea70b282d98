package metrics

import "math"

// METEOR is NLTK's with its exact and stem stages (alpha 0.9, beta 3, gamma 0.5); synonyms of WordNet are not looked
// up, so that it is at most NLTK's.
//
// Mended: LooGLE hands over sets of words, whose order Python draws anew in every run, so that its number cannot be
// repeated; here words keep their order and count.
func METEOR(answer, reference string) float64 {
	hyp, ref := fields(answer), fields(reference)
	match := make([]int, len(hyp)) // place in the reference, from 1
	taken := make([]bool, len(ref))
	matched := 0
	for _, form := range []func(string) string{lower, func(w string) string { return stem(lower(w)) }} {
		places := map[string][]int{}
		for j, w := range ref {
			if !taken[j] {
				w = form(w)
				places[w] = append(places[w], j)
			}
		}
		for i := len(hyp) - 1; i >= 0; i-- {
			if match[i] != 0 {
				continue
			}
			w := form(hyp[i])
			if at := places[w]; len(at) > 0 {
				j := at[len(at)-1]
				places[w] = at[:len(at)-1]
				match[i], taken[j] = j+1, true
				matched++
			}
		}
	}
	if matched == 0 {
		return 0
	}
	chunks, previous := 0, -2
	for i, j := range match {
		if j == 0 {
			continue
		}
		if previous != i-1 || match[i-1]+1 != j {
			chunks++
		}
		previous = i
	}
	precision, recall := float64(matched)/float64(len(hyp)), float64(matched)/float64(len(ref))
	mean := precision * recall / (0.9*precision + 0.1*recall)
	return (1 - 0.5*math.Pow(float64(chunks)/float64(matched), 3)) * mean
}
