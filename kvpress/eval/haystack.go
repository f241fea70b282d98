package eval

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A haystack gives the first n words of a text to hide things in, the text that belongs to a seed.
type haystack func(seed uint64, n int) []string

// haystack is the user's file, over and over, or prose of our own making. (RULER's is Paul Graham's essays, which are
// not free to ship: give them as a file to have its haystack.)
func (o Options) haystack() (haystack, error) {
	if o.Haystack == "" {
		return prose, nil
	}
	text, err := os.ReadFile(o.Haystack)
	if err != nil {
		return nil, fmt.Errorf("haystack: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) == 0 || !utf8.Valid(text) {
		return nil, fmt.Errorf("haystack %s holds no text in UTF-8", o.Haystack)
	}
	return func(_ uint64, n int) []string {
		all := make([]string, 0, n)
		for len(all) < n {
			all = append(all, words[:min(len(words), n-len(all))]...)
		}
		return all
	}, nil
}

// sentences joins words into sentences. A sentence ends after a full stop, question or exclamation mark before a
// capital letter; common abbreviations do not end one. (RULER asks NLTK's trained splitter.)
func sentences(words []string) []string {
	var all []string
	begin := 0
	for i, w := range words {
		if i+1 == len(words) || ends(w) && capital(words[i+1]) {
			all = append(all, strings.Join(words[begin:i+1], " "))
			begin = i + 1
		}
	}
	return all
}

const closing = "\"')]}”’"

func ends(word string) bool {
	word = strings.TrimRight(word, closing)
	if strings.HasSuffix(word, "!") || strings.HasSuffix(word, "?") {
		return true
	}
	stem, stop := strings.CutSuffix(word, ".")
	switch strings.ToLower(stem) {
	case "mr", "mrs", "ms", "dr", "prof", "st", "vs", "no", "e.g", "i.e", "jr", "sr":
		return false
	}
	return stop && (utf8.RuneCountInString(stem) > 1 || stem == "I")
}

func capital(word string) bool {
	r, _ := utf8.DecodeRuneInString(strings.TrimLeft(word, "\"'([{“‘"))
	return unicode.IsUpper(r) || unicode.IsDigit(r)
}

// molds of sentences: A an adjective, N a noun, P somebody, T a place, Y a year, M a
// number, each after a percent sign. None asks, promises or reveals anything.
var molds = strings.Split(`In %Y the %N of %T was still the most %A building for miles around.
%P kept a %A %N on the windowsill and a %A one under the stairs.
Nobody in %T could say why the %A %N had been left beside the %N.
The road to %T runs past %M %A farms and a single %N.
"A %N is never as %A as it looks," said %P, and went on with the work.
Every spring the %A %N brought people from %T who wanted to see the %N.
%P wrote a long letter about the %N, but it was the %N that people remembered.
It takes a %A hand to mend a %N, and more patience than most of us have.
When the %A weather came, %P carried the %N inside and lit the %N.
There were %M letters in the box, and each of them spoke of the %A %N.
The first lesson about any %N is that it looks %A only from far away.
%P and %P met at the %N in %T and talked until it was %A outside.
A %A mind notices the %N long before it notices the %N.
What surprised %P most was how %A the %N seemed after %M years.
By the summer of %Y the %N had become %A, and the %N beside it was gone.
Most of what is written about the %N comes from a %A notebook found in %T.
The %N stood in the corner like a %A guest who does not want to leave.
People who work with a %N all day seldom call it %A.
%P bought the %N for %M coins and sold it again before the %A season ended.
Not far from the %N there is a %A path that leads down to the %N.
The story of the %A %N was told in %T for as long as anyone could remember.
If the %N is %A in the morning, it will be %A again by the evening.
%P painted the %N twice, once in %Y and once when the %N had faded.
Some say that a %N is worth more than a %A %N, but in %T they think otherwise.
The children of %T used the %A %N as a door and the %N as a wall.
After %M days of rain the %N was %A, and so was everyone who had waited for it.`, "\n")

// prose is endless, plain and about nothing: sentences of our molds, the same for the same seed.
func prose(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 0x70726f7365))
	var all []string
	for len(all) < n {
		all = append(all, strings.Fields(mold(r, pick(r, molds)))...)
	}
	return all[:n]
}

// mold fills in a sentence.
func mold(r *rand.Rand, sentence string) string {
	var b strings.Builder
	for i, part := range strings.Split(sentence, "%") {
		if i > 0 {
			word := cast(r, part[0])
			if strings.ContainsRune("aeiou", rune(word[0])) { // "a amber" is not English
				if before, article := strings.CutSuffix(b.String(), "a "); article && (before == "" || strings.HasSuffix(before, " ")) {
					b.Reset()
					b.WriteString(before + "an ")
				} else if before, article := strings.CutSuffix(b.String(), "A "); article && (before == "" || strings.HasSuffix(before, "\"")) {
					b.Reset()
					b.WriteString(before + "An ")
				}
			}
			b.WriteString(word)
			part = part[1:]
		}
		b.WriteString(part)
	}
	return b.String()
}

// cast is a word of a kind.
func cast(r *rand.Rand, kind byte) string {
	switch kind {
	case 'A':
		return pick(r, adjectives)
	case 'N':
		return pick(r, nouns)
	case 'P':
		return invented(r, "a", "o", "i", "en", "us")
	case 'T':
		return invented(r, "ford", "ham", "wick", "burg", "mere", "stead")
	case 'Y':
		return fmt.Sprint(1500 + r.IntN(450))
	default:
		return fmt.Sprint(3 + r.IntN(90))
	}
}

// invented is a name that nobody has.
func invented(r *rand.Rand, endings ...string) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var b strings.Builder
	for i := range 2 {
		c := consonants[r.IntN(len(consonants))]
		if i == 0 {
			c -= 'a' - 'A'
		}
		b.WriteByte(c)
		b.WriteByte(vowels[r.IntN(len(vowels))])
	}
	b.WriteByte("lnrst"[r.IntN(5)])
	b.WriteString(pick(r, endings))
	return b.String()
}
