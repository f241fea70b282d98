package viz

import (
	"html"
	"strings"
)

// marked is a text as hypertext in which the words that the other text does not have, in their order, are marked.
func marked(text, other string) string {
	a, b := strings.Fields(text), strings.Fields(other)
	const most = 400 // words of an answer that are compared
	if len(a) > most || len(b) > most {
		return html.EscapeString(text)
	}
	// common[i][j] is the length of the longest row of words that a[i:] and b[j:] share.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var words []string
	for i, j := 0, 0; i < len(a); {
		switch {
		case j < len(b) && a[i] == b[j]:
			words = append(words, html.EscapeString(a[i]))
			i, j = i+1, j+1
		case j < len(b) && common[i][j+1] >= common[i+1][j]:
			j++
		default:
			words = append(words, `<mark style="background:rgba(213,94,0,.35);color:inherit">`+html.EscapeString(a[i])+`</mark>`)
			i++
		}
	}
	return strings.Join(words, " ")
}
