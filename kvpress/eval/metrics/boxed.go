package metrics

import "strings"

// Boxed is 1 if the last \boxed{...} of an answer holds the result, blanks around it aside; answered says that there is
// one. It is kvpress's for AIME25 and MATH500.
//
// Mended: the original ends a box at the first closing brace, so that \frac{1}{2} is never found, counts a box that
// never closes, for MATH500 looks at the first box, where solutions end with the last, and for AIME25 takes an answer
// without a box for one.
func Boxed(answer, result string) (score float64, answered bool) {
	at := strings.LastIndex(answer, "boxed{")
	if at < 0 {
		return 0, false
	}
	content := answer[at+len("boxed{"):]
	depth := 1
	for i := range len(content) {
		switch content[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return one(strip(content[:i]) == strip(result)), true
		}
	}
	return 0, true
}

// AIMEOriginal is kvpress's own for AIME25: what follows the last "boxed{", or all, up to the first closing brace.
func AIMEOriginal(answer, result string) float64 {
	if i := strings.LastIndex(answer, "boxed{"); i >= 0 {
		answer = answer[i+len("boxed{"):]
	}
	answer, _, _ = strings.Cut(answer, "}")
	return one(answer == result)
}

// MATHOriginal is kvpress's own for MATH500: what follows the first "boxed{", up to the first closing brace.
func MATHOriginal(answer, result string) float64 {
	_, answer, ok := strings.Cut(answer, "boxed{")
	answer, _, _ = strings.Cut(answer, "boxed{")
	answer, _, _ = strings.Cut(answer, "}")
	return one(ok && answer == result)
}
