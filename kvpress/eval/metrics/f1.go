package metrics

import (
	"strings"
)

const (
	punctuation        = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	chinesePunctuation = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."
)

// QAF1 is the F1 of words that LongBench and InfiniteBench give to answers of questions: words in lower case, without
// punctuation of ASCII and without articles; a word counts as often as both have it.
func QAF1(answer, reference string) float64 { return f1(normal(answer), normal(reference)) }

// CharacterF1 is the F1 of characters that InfiniteBench gives to answers in Chinese: in lower case, without Chinese
// and ASCII punctuation and without blanks.
func CharacterF1(answer, reference string) float64 {
	characters := func(s string) []string {
		s = strings.Map(without(punctuation+chinesePunctuation), lower(s))
		return strings.Split(strings.Join(fields(s), ""), "")
	}
	return f1(characters(answer), characters(reference))
}

func f1(answer, reference []string) float64 {
	left := map[string]int{}
	for _, w := range reference {
		left[w]++
	}
	same := 0
	for _, w := range answer {
		if left[w] > 0 {
			left[w]--
			same++
		}
	}
	if same == 0 {
		return 0
	}
	precision, recall := float64(same)/float64(len(answer)), float64(same)/float64(len(reference))
	return 2 * precision * recall / (precision + recall)
}

// normal are the words of an English answer.
func normal(s string) []string {
	s = strings.Map(without(punctuation), lower(s))
	var b strings.Builder
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return !inWord(r) })
		if n < 0 {
			n = len(s)
		}
		switch word := s[:n]; word {
		case "a", "an", "the":
			b.WriteByte(' ')
		default:
			b.WriteString(word)
		}
		s = s[n:]
		if n = strings.IndexFunc(s, inWord); n < 0 {
			n = len(s)
		}
		b.WriteString(s[:n])
		s = s[n:]
	}
	return fields(b.String())
}

func without(these string) func(r rune) rune {
	return func(r rune) rune {
		if strings.ContainsRune(these, r) {
			return -1
		}
		return r
	}
}
