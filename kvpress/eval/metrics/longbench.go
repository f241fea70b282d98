package metrics

import (
	"math"
	"slices"
	"strings"
)

// Classification is LongBench's for trec and lsht: 1 over the number of classes that stand in the answer, if the right
// one is among them. Classes whose names are part of the right one's do not count against it.
//
// Mended: the original takes such classes out of the list it walks along, and so passes over the class behind each.
func Classification(answer, right string, classes []string) float64 {
	found := slices.DeleteFunc(present(answer, classes), func(c string) bool { return partOf(c, right) })
	return classified(found, right)
}

// ClassificationOriginal is LongBench's own, which overlooks classes.
func ClassificationOriginal(answer, right string, classes []string) float64 {
	found := present(answer, classes)
	for i := 0; i < len(found); i++ {
		if c := found[i]; partOf(c, right) {
			first := slices.Index(found, c)
			found = slices.Delete(found, first, first+1)
		}
	}
	return classified(found, right)
}

func present(answer string, classes []string) (found []string) {
	for _, c := range classes {
		if strings.Contains(answer, c) {
			found = append(found, c)
		}
	}
	return found
}

func partOf(class, right string) bool { return class != right && strings.Contains(right, class) }

func classified(found []string, right string) float64 {
	if !slices.Contains(found, right) {
		return 0
	}
	return 1 / float64(len(found))
}

// CountShare is LongBench's for passage_count: the share of the numbers in an answer that are the right one.
func CountShare(answer, right string) float64 {
	numbers := digits(answer)
	same := 0
	for _, n := range numbers {
		if n == right {
			same++
		}
	}
	if len(numbers) == 0 {
		return 0
	}
	return float64(same) / float64(len(numbers))
}

// Retrieval is LongBench's for passage_retrieval_en: CountShare of the number in "Paragraph 7". A reference that names
// no paragraph, for which the original fails, gives 0.
func Retrieval(answer, reference string) float64 {
	for {
		_, after, ok := strings.Cut(reference, "Paragraph ")
		if !ok {
			return 0
		}
		if n := len(after) - len(strings.TrimLeftFunc(after, isDigit)); n > 0 {
			return CountShare(answer, after[:n])
		}
		reference = after
	}
}

// CodeSimilarity is LongBench's for lcc and repobench-p: how like the reference the first line of an answer is that
// holds none of "`", "#", "//", as fuzzywuzzy's ratio has it with Python's difflib: a whole number of hundredths.
func CodeSimilarity(answer, reference string) float64 {
	line := ""
	for l := range strings.SplitSeq(strings.TrimLeft(answer, "\n"), "\n") {
		if !strings.Contains(l, "`") && !strings.Contains(l, "#") && !strings.Contains(l, "//") {
			line = l
			break
		}
	}
	switch {
	case line == reference:
		return 1
	case line == "" || reference == "":
		return 0
	}
	a, b := []rune(line), []rune(reference)
	ratio := 2 * float64(newMatcher(a, b).same(0, len(a), 0, len(b))) / float64(len(a)+len(b))
	return math.RoundToEven(100*ratio) / 100
}

// A matcher is Python's difflib.SequenceMatcher of two texts, without junk.
type matcher struct {
	a, b   []rune
	places map[rune][]int // in b, without the characters that are too frequent there to start from
}

func newMatcher(a, b []rune) *matcher {
	m := &matcher{a: a, b: b, places: map[rune][]int{}}
	for j, c := range b {
		m.places[c] = append(m.places[c], j)
	}
	if len(b) >= 200 {
		for c, at := range m.places {
			if len(at) > len(b)/100+1 {
				delete(m.places, c)
			}
		}
	}
	return m
}

// same counts the characters of the blocks that a[i0:i1] and b[j0:j1] share: the longest, and those left and right of it.
func (m *matcher) same(i0, i1, j0, j1 int) int {
	i, j, n := m.longest(i0, i1, j0, j1)
	if n == 0 {
		return 0
	}
	return m.same(i0, i, j0, j) + n + m.same(i+n, i1, j+n, j1)
}

// longest is the longest block, the earliest in a, and then in b.
func (m *matcher) longest(i0, i1, j0, j1 int) (i, j, n int) {
	i, j = i0, j0
	ending := map[int]int{} // length of the block that ends before each place of b
	for x := i0; x < i1; x++ {
		next := map[int]int{}
		for _, y := range m.places[m.a[x]] {
			if y < j0 {
				continue
			}
			if y >= j1 {
				break
			}
			k := ending[y-1] + 1
			if next[y] = k; k > n {
				i, j, n = x-k+1, y-k+1, k
			}
		}
		ending = next
	}
	for i > i0 && j > j0 && m.a[i-1] == m.b[j-1] {
		i, j, n = i-1, j-1, n+1
	}
	for i+n < i1 && j+n < j1 && m.a[i+n] == m.b[j+n] {
		n++
	}
	return i, j, n
}

// CorrectAnswer is LongBench v2's: 1 if the answer says "The correct answer is (X)", with or without brackets and stars.
func CorrectAnswer(answer, letter string) float64 {
	answer = strings.ReplaceAll(answer, "*", "")
	return one(strings.Contains(answer, "The correct answer is ("+letter+")") || strings.Contains(answer, "The correct answer is "+letter))
}

// LongBench is the score of an answer to one of its tasks: the best of what the metric of the task gives for the
// references. Tasks with examples take the first line of the answer; LongBench-E (e) leaves blanks before it.
func LongBench(task, answer string, references, classes []string, e bool) float64 {
	return longBench(task, answer, references, classes, e, Classification)
}

// LongBenchOriginal is LongBench with ClassificationOriginal.
func LongBenchOriginal(task, answer string, references, classes []string, e bool) float64 {
	return longBench(task, answer, references, classes, e, ClassificationOriginal)
}

func longBench(task, answer string, references, classes []string, e bool, classify func(answer, right string, classes []string) float64) float64 {
	firstLine := slices.Contains([]string{"trec", "triviaqa", "samsum"}, task)
	switch {
	case !e:
		answer = stripLeft(answer)
	case firstLine:
		answer = strings.TrimLeft(answer, "\n")
	}
	if firstLine {
		answer, _, _ = strings.Cut(answer, "\n")
	}
	metric := QAF1
	switch task {
	case "gov_report", "qmsum", "multi_news", "samsum":
		metric = func(answer, reference string) float64 { return RougeScores(answer, reference).L.F }
	case "trec":
		metric = func(answer, reference string) float64 { return classify(answer, reference, classes) }
	case "passage_count":
		metric = CountShare
	case "passage_retrieval_en":
		metric = Retrieval
	case "lcc", "repobench-p":
		metric = CodeSimilarity
	}
	best := 0.0
	for _, ref := range references {
		best = max(best, metric(answer, ref))
	}
	return best
}
