package eval

import "strings"

// RulerMatch scores an answer to one of RULER's tasks, from 0 to 1. For questions (the family qa) one right answer that
// stands in the text is enough; for all other tasks it is the share of answers that stand there. Case does not count,
// nor do control characters. The benchmark reports the mean over samples, times 100.
//
// RULER: What's the Real Context Size of Your Long-Context Language Models? (Hsieh et al., 2024)
func RulerMatch(task, text string, answers []string) float64 {
	if len(answers) == 0 {
		return 0
	}
	text = strings.ToLower(strings.TrimSpace(strings.Map(printable, strings.TrimSpace(text))))
	found := 0
	for _, a := range answers {
		if strings.Contains(text, strings.ToLower(a)) {
			found++
		}
	}
	family, _, _ := strings.Cut(task, "_")
	if family == "qa" && found > 0 {
		return 1
	}
	return float64(found) / float64(len(answers))
}

// printable drops control characters, as the original does.
func printable(r rune) rune {
	if r < 0x20 {
		return -1
	}
	return r
}
