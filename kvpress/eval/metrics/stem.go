package metrics

import "strings"

// irregular forms that NLTK's stemmer knows.
var irregular = map[string]string{
	"sky": "sky", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
	"innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing", "cannings": "canning", "canning": "canning",
	"howe": "howe", "proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}

// A rule takes a suffix for another one, where the measure of what stands before is at least so much.
type rule struct {
	suffix, to string
	measure    int
}

func rules(measure int, pairs string) (all []rule) {
	for pair := range strings.FieldsSeq(pairs) {
		suffix, to, _ := strings.Cut(pair, ">")
		all = append(all, rule{suffix, to, measure})
	}
	return all
}

var (
	step1a = rules(0, "sses>ss ies>i ss>ss s>")
	step2  = rules(1, "ational>ate tional>tion enci>ence anci>ance izer>ize bli>ble alli>al entli>ent eli>e ousli>ous "+
		"ization>ize ation>ate ator>ate alism>al iveness>ive fulness>ful ousness>ous aliti>al iviti>ive biliti>ble fulli>ful")
	step3 = rules(1, "icate>ic ative> alize>al iciti>ic ical>ic ful> ness>")
	step4 = rules(2, "al> ance> ence> er> ic> able> ible> ant> ement> ment> ent> ion> ou> ism> ate> iti> ous> ive> ize>")
)

// stem is Porter's (1980) with the changes of NLTK, of a word in lower case.
func stem(w string) string {
	if to, ok := irregular[w]; ok {
		return to
	}
	if len([]rune(w)) <= 2 {
		return w
	}
	w = stemEnding(w)
	if y, ok := strings.CutSuffix(w, "y"); ok && len([]rune(y)) > 1 && lastIsConsonant(y) {
		w = y + "i"
	}
	if al, ok := strings.CutSuffix(w, "alli"); ok && measure(al) > 0 {
		w = al + "al"
	}
	if log, ok := strings.CutSuffix(w, "i"); ok && strings.HasSuffix(log, "log") && measure(strings.TrimSuffix(log, "og")) > 0 {
		w = log
	} else {
		w = apply(w, step2)
	}
	w = apply(w, step3)
	if ion, ok := strings.CutSuffix(w, "ion"); !ok || strings.HasSuffix(ion, "s") || strings.HasSuffix(ion, "t") {
		w = apply(w, step4)
	}
	if e, ok := strings.CutSuffix(w, "e"); ok && (measure(e) > 1 || measure(e) == 1 && !endsShort(e)) {
		w = e
	}
	if l, ok := strings.CutSuffix(w, "l"); ok && strings.HasSuffix(l, "l") && measure(l) > 1 {
		w = l
	}
	return w
}

// stemEnding takes away plurals, -ed and -ing.
func stemEnding(w string) string {
	if ie, ok := strings.CutSuffix(w, "s"); ok && strings.HasSuffix(ie, "ie") && len([]rune(w)) == 4 {
		w = ie
	} else {
		w = apply(w, step1a)
	}
	if i, ok := strings.CutSuffix(w, "ed"); ok && strings.HasSuffix(i, "i") {
		if len([]rune(w)) == 4 {
			return i + "e"
		}
		return i
	}
	if ee, ok := strings.CutSuffix(w, "d"); ok && strings.HasSuffix(ee, "ee") {
		if measure(strings.TrimSuffix(ee, "ee")) > 0 {
			return ee
		}
		return w
	}
	s, ok := strings.CutSuffix(w, "ed")
	if !ok || !hasVowel(s) {
		if s, ok = strings.CutSuffix(w, "ing"); !ok || !hasVowel(s) {
			return w
		}
	}
	for _, suffix := range []string{"at", "bl", "iz"} {
		if strings.HasSuffix(s, suffix) {
			return s + "e"
		}
	}
	r := []rune(s)
	if n := len(r); n >= 2 && r[n-1] == r[n-2] && lastIsConsonant(s) {
		if strings.ContainsRune("lsz", r[n-1]) {
			return s
		}
		return string(r[:n-1])
	}
	if measure(s) == 1 && endsShort(s) {
		return s + "e"
	}
	return s
}

// apply applies the first rule whose suffix a word has, if its measure allows.
func apply(w string, rules []rule) string {
	for _, r := range rules {
		if s, ok := strings.CutSuffix(w, r.suffix); ok {
			if measure(s) >= r.measure {
				return s + r.to
			}
			return w
		}
	}
	return w
}

// consonants says of each letter whether it is one: y is one unless it follows one.
func consonants(w string) (flags []bool) {
	for _, r := range w {
		switch n := len(flags); {
		case strings.ContainsRune("aeiou", r):
			flags = append(flags, false)
		case r == 'y' && n > 0:
			flags = append(flags, !flags[n-1])
		default:
			flags = append(flags, true)
		}
	}
	return flags
}

// measure counts the consonants that follow a vowel.
func measure(w string) (m int) {
	flags := consonants(w)
	for i, c := range flags {
		if i > 0 && c && !flags[i-1] {
			m++
		}
	}
	return m
}

func hasVowel(w string) bool {
	for _, c := range consonants(w) {
		if !c {
			return true
		}
	}
	return false
}

func lastIsConsonant(w string) bool {
	flags := consonants(w)
	return len(flags) > 0 && flags[len(flags)-1]
}

// endsShort says whether a word ends in consonant, vowel, consonant other than w, x, y, or is vowel and consonant.
func endsShort(w string) bool {
	c := consonants(w)
	n := len(c)
	if n == 2 {
		return !c[0] && c[1]
	}
	return n >= 3 && c[n-3] && !c[n-2] && c[n-1] && !strings.ContainsAny(w[len(w)-1:], "wxy")
}
