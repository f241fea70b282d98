package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// hops of RULER's chain of variables, and tokens that its worked example may have.
const hops, exampleTokens = 4, 500

// chainDraft is RULER's vt: a value goes from variable to variable, in lines among noise. RULER shows a worked example
// with shorter names first.
func chainDraft(m *llm.LLM, example bool) draft {
	exampleLines := 0
	if example {
		exampleLines = most(hops+1, func(n int) bool {
			text, vars := chain(rand.New(rand.NewPCG(0, 0)), 3, n, 0)
			return len(m.Tokenizer.Encode(text+strings.Join(vars, " "))) <= exampleTokens
		})
	}
	return draft{fewest: hops + 1, fill: true, make: func(r *rand.Rand, units, words int) Sample {
		var shown string
		if example {
			text, vars := chain(r, 3, exampleLines, 0)
			shown = text + " " + strings.Join(vars, " ") + "\n\n"
		}
		text, vars := chain(r, 5, units, words)
		s := splitPrompt(shown+text, "Question: Find all variables that are assigned the value", "Answer:")
		s.Answers, s.MaxTokens = vars, 30
		return s
	}}
}

// chain is one problem with its question and the prefix of its answer.
func chain(r *rand.Rand, nameLength, noiseUnits, words int) (text string, vars []string) {
	f := newFresh(r)
	for range hops + 1 {
		vars = append(vars, f.draw(func(r *rand.Rand) string { return letters(r, 'A', nameLength) }))
	}
	value := 10000 + r.IntN(89999)
	lines := []string{fmt.Sprintf("VAR %s = %d", vars[0], value)}
	for i := range hops {
		lines = append(lines, fmt.Sprintf("VAR %s = VAR %s ", vars[i+1], vars[i]))
	}
	return fmt.Sprintf("Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n%s\n"+
		"Question: Find all variables that are assigned the value %d in the text above. "+
		"Answer: According to the chain(s) of variable assignment in the text above, %d variables are assigned the value %d, they are: ",
		strings.Join(hideBetween(r, noiseLines(noiseUnits, words), lines), "\n"), value, hops+1, value), vars
}

// splitPrompt cuts a prompt at the last place where its question begins, and there where the prefix of the answer does.
func splitPrompt(prompt, question, prefix string) Sample {
	at := strings.LastIndex(prompt, question)
	end := at + strings.Index(prompt[at:], prefix)
	return Sample{Context: prompt[:at], Question: prompt[at:end], Prefix: prompt[end:]}
}

// repeats of a list of words: how often the ten common ones stand there, and all others.
type repeats struct{ common, others int }

const common = 10

// commonDrafts are RULER's cwe, in the size that fits: a numbered list in which ten words come more often. A short list
// is shown first, with its answer.
func commonDrafts(tokens int) []draft {
	long := func(list, example repeats, exampleWords int) draft {
		return draft{fewest: common + 1, make: func(r *rand.Rand, units, _ int) Sample {
			var shown string
			if exampleWords > 0 {
				text, words := wordList(r, exampleWords, example)
				shown = text + " " + numbered(words) + "\n"
			}
			text, words := wordList(r, units, list)
			s := splitPrompt(shown+text, "Question: What are the 10 most common words in the above list?", "Answer:")
			s.Answers, s.MaxTokens = words, 120
			return s
		}}
	}
	short := []draft{long(repeats{6, 1}, repeats{3, 1}, 20), long(repeats{6, 1}, repeats{}, 0), long(repeats{3, 1}, repeats{}, 0)}
	if tokens < 4096 { // as RULER
		return short
	}
	return append([]draft{long(repeats{30, 3}, repeats{10, 3}, 40)}, short...)
}

// wordList is one list with its question and the prefix of its answer.
func wordList(r *rand.Rand, n int, times repeats) (text string, frequent []string) {
	words := distinctWords(r, n)
	var list []string
	for i, w := range words {
		n := times.others
		if i < common {
			n = times.common
		}
		list = append(list, slices.Repeat([]string{w}, n)...)
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return "Below is a numbered list of words. In these words, some appear more often than others. " +
		"Memorize the ones that appear most often.\n" + numbered(list) +
		"\nQuestion: What are the 10 most common words in the above list? " +
		"Answer: The top 10 words that appear most often in the list are:", words[:common]
}

func numbered(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d. %s", i+1, w)
	}
	return b.String()
}

// codedDraft is RULER's fwe: words of random letters, the k-th of them n/(zeta(2)*k^2) times among n; the first is
// noise, the next three are asked for.
func codedDraft(tokens int) draft {
	const dots = "..."
	// From 53 words on the fourth comes more often than the fifth.
	return draft{fewest: 53, fill: true, make: func(r *rand.Rand, units, fill int) Sample {
		vocabulary := []string{dots}
		f := newFresh(r)
		for range max(5, (tokens-50)/50) {
			vocabulary = append(vocabulary, f.draw(func(r *rand.Rand) string { return letters(r, 'a', 6) }))
		}
		var text []string
		for i, w := range vocabulary {
			k := float64(i + 1)
			text = append(text, slices.Repeat([]string{w}, int(float64(units)/(k*k)/(math.Pi*math.Pi/6)))...)
		}
		text = append(text, slices.Repeat([]string{dots}, fill)...)
		r.Shuffle(len(text), func(i, j int) { text[i], text[j] = text[j], text[i] })
		return Sample{
			Context: "Read the following coded text and track the frequency of each coded word. " +
				"Find the three most frequently appeared coded words. " + strings.Join(text, " ") + "\n",
			Question: "Question: Do not provide any explanation. Please ignore the dots '....'. " +
				"What are the three most frequently appeared words in the above coded text? ",
			Prefix:    "Answer: According to the coded text above, the three most frequently appeared words are:",
			Answers:   vocabulary[1:4],
			MaxTokens: 50,
		}
	}}
}
