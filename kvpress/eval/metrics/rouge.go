package metrics

import "strings"

// A Rouge is one kind of overlap.
type Rouge struct{ Precision, Recall, F float64 }

// Rouges are ROUGE-1, ROUGE-2 and ROUGE-L as PyPI's package rouge 1.0.1 has them, which LongBench, LooGLE and
// kvpress's needle in a haystack call. It is not Lin's ROUGE: words are told apart by blanks and cut at full stops
// alone, each counts once however often it comes, ROUGE-L is the union of what sentences have in common, and F has
// 1e-8 in its divisor.
//
// Mended: the package gives up (and its callers count 0) when two sentences are too long for Python's stack.
type Rouges struct{ One, Two, L Rouge }

// RougeScores compares an answer with a reference; without a word in either, where the package fails, all is 0.
func RougeScores(answer, reference string) Rouges {
	hyp, ref := rougeSentences(answer), rougeSentences(reference)
	if len(hyp) == 0 || len(ref) == 0 {
		return Rouges{}
	}
	all := func(sentences [][]string) (words []string) {
		for _, s := range sentences {
			words = append(words, s...)
		}
		return words
	}
	h, r := all(hyp), all(ref)
	common := map[string]bool{}
	for _, one := range ref {
		for _, other := range hyp {
			for _, w := range longestCommon(one, other) {
				common[w] = true
			}
		}
	}
	return Rouges{
		One: overlap(grams(h, 1), grams(r, 1)),
		Two: overlap(grams(h, 2), grams(r, 2)),
		L:   rouge(len(common), len(grams(h, 1)), len(grams(r, 1)), 1e-8),
	}
}

// rougeSentences are the words between full stops. A sentence of blanks is one word without letters, as there.
func rougeSentences(text string) (all [][]string) {
	for _, s := range strings.Split(text, ".") {
		if s != "" {
			all = append(all, strings.Split(strings.Join(fields(s), " "), " "))
		}
	}
	return all
}

// grams are the sequences of n words, each once.
func grams(words []string, n int) map[string]bool {
	all := map[string]bool{}
	for i := range len(words) - n + 1 {
		all[strings.Join(words[i:i+n], " ")] = true
	}
	return all
}

func overlap(answer, reference map[string]bool) Rouge {
	common := 0
	for g := range answer {
		if reference[g] {
			common++
		}
	}
	return rouge(common, len(answer), len(reference), 1e-8)
}

func rouge(common, answer, reference int, epsilon float64) (r Rouge) {
	if answer > 0 {
		r.Precision = float64(common) / float64(answer)
	}
	if reference > 0 {
		r.Recall = float64(common) / float64(reference)
	}
	if sum := r.Precision + r.Recall + epsilon; sum > 0 {
		r.F = 2 * (r.Precision * r.Recall / sum)
	}
	return r
}

// longestCommon is a longest common subsequence; of several, that which the package finds.
func longestCommon(x, y []string) (words []string) {
	table := commonLengths(x, y)
	for i, j := len(x), len(y); i > 0 && j > 0; {
		switch {
		case x[i-1] == y[j-1]:
			words = append(words, x[i-1])
			i, j = i-1, j-1
		case table[i-1][j] > table[i][j-1]:
			i--
		default:
			j--
		}
	}
	return words
}

// commonLengths are the lengths of the longest common subsequences of all beginnings of x and y.
func commonLengths(x, y []string) [][]int32 {
	table := make([][]int32, len(x)+1)
	for i := range table {
		table[i] = make([]int32, len(y)+1)
		for j := range table[i] {
			switch {
			case i == 0 || j == 0:
			case x[i-1] == y[j-1]:
				table[i][j] = table[i-1][j-1] + 1
			default:
				table[i][j] = max(table[i-1][j], table[i][j-1])
			}
		}
	}
	return table
}

// RougeLSum is the F of ROUGE-Lsum as PyPI's rouge-score 0.1.2 has it, without stems: InfiniteBench's for summaries.
// Words are letters of ASCII and digits, sentences are lines, and no word counts more often than both texts have it.
//
// kvpress refuses InfiniteBench's summaries (its two ROUGE packages have one name); here they are measured.
func RougeLSum(answer, reference string) float64 {
	can, ref := lines(answer), lines(reference)
	leftCan, leftRef := map[string]int{}, map[string]int{}
	var n, m int
	for _, s := range can {
		n += len(s)
		for _, w := range s {
			leftCan[w]++
		}
	}
	for _, s := range ref {
		m += len(s)
		for _, w := range s {
			leftRef[w]++
		}
	}
	hits := 0
	for _, r := range ref {
		in := make([]bool, len(r))
		for _, c := range can {
			markCommon(in, r, c)
		}
		for i, w := range r {
			if in[i] && leftCan[w] > 0 && leftRef[w] > 0 {
				hits++
				leftCan[w]--
				leftRef[w]--
			}
		}
	}
	return rouge(hits, n, m, 0).F
}

// markCommon marks the words of ref that are in a longest common subsequence with can; of several, that which
// rouge-score finds.
func markCommon(in []bool, ref, can []string) {
	table := commonLengths(ref, can)
	for i, j := len(ref), len(can); i > 0 && j > 0; {
		switch {
		case ref[i-1] == can[j-1]:
			i, j = i-1, j-1
			in[i] = true
		case table[i][j-1] > table[i-1][j]:
			j--
		default:
			i--
		}
	}
}

// lines are the words of the lines of a text, in lower case.
func lines(text string) (all [][]string) {
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			all = append(all, strings.FieldsFunc(lower(line), func(r rune) bool {
				return (r < 'a' || r > 'z') && (r < '0' || r > '9')
			}))
		}
	}
	return all
}
