package metrics

import (
	"math"
	"strings"
)

// BLEU is LooGLE's: the precision of sequences of n words, times the penalty for being short, as NLTK's sentence_bleu
// gives it for all weight on n and no smoothing. (LooGLE calls n = 4 BLEU-4, which elsewhere is the mean of 1 to 4.)
// Without a word in common it is 0; with words but no sequence in common it is about 1e-308, as there.
func BLEU(answer, reference string, n int) float64 {
	hyp, ref := fields(answer), fields(reference)
	if same, _ := clipped(hyp, ref, 1); same == 0 {
		return 0
	}
	same, of := clipped(hyp, ref, n)
	precision := 0x1p-1022
	if same > 0 {
		precision = float64(same) / float64(of)
	}
	if len(hyp) > len(ref) {
		return precision
	}
	return math.Exp(1-float64(len(ref))/float64(len(hyp))) * precision
}

// clipped counts the sequences of n words of an answer, and those that the reference has as often.
func clipped(answer, reference []string, n int) (same, of int) {
	left := map[string]int{}
	for i := range len(reference) - n + 1 {
		left[strings.Join(reference[i:i+n], " ")]++
	}
	for i := range len(answer) - n + 1 {
		of++
		if g := strings.Join(answer[i:i+n], " "); left[g] > 0 {
			left[g]--
			same++
		}
	}
	return same, of
}
