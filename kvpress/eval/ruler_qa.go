package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A library is documents and questions about them.
type library struct {
	documents []string
	questions []inquiry
	made      bool // generated: each sample has a library of its own
	hops      int  // documents that a generated question needs
}

// An inquiry is a question about some documents.
type inquiry struct {
	text    string
	answers []string
	needs   []int // documents that hold the answer
	near    []int // documents of the same origin, the first to distract
}

// libraries are what qa_1 and qa_2 ask about: the user's files, or passages of our own making.
func (o Options) libraries() (map[string]library, error) {
	all := map[string]library{"qa_1": {made: true, hops: 1}, "qa_2": {made: true, hops: 2}}
	for _, path := range o.Files {
		if filepath.Ext(path) != ".json" {
			return nil, fmt.Errorf("ruler: %s: beside SQuAD and HotpotQA files, whose names end in .json, there can be no others", path)
		}
		task, l, err := readLibrary(path)
		if err != nil {
			return nil, fmt.Errorf("ruler: %s: %w", path, err)
		}
		all[task] = l
	}
	return all, nil
}

// readLibrary reads SQuAD (1.1 or 2.0) for qa_1 and HotpotQA for qa_2.
func readLibrary(path string) (task string, l library, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", l, err
	}
	task, read := "qa_1", readSquad
	if strings.HasPrefix(strings.TrimSpace(string(data[:min(len(data), 512)])), "[") {
		task, read = "qa_2", readHotpot
	}
	if l, err = read(data); err == nil && len(l.questions) == 0 {
		err = errors.New("there is no question with an answer in it")
	}
	return task, l, err
}

// add puts a document on the shelf once, and says where it stands.
func (l *library) add(index map[string]int, document string) int {
	at, ok := index[document]
	if !ok {
		at = len(l.documents)
		index[document] = at
		l.documents = append(l.documents, document)
	}
	return at
}

func readSquad(data []byte) (l library, err error) {
	var file struct {
		Data []struct {
			Paragraphs []struct {
				Context string
				QAs     []struct {
					Question     string
					IsImpossible bool `json:"is_impossible"`
					Answers      []struct{ Text string }
				}
			}
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return l, fmt.Errorf("not in the layout of SQuAD (data, paragraphs, context, qas): %w", err)
	}
	index := map[string]int{}
	for _, article := range file.Data {
		var near []int
		for _, p := range article.Paragraphs {
			near = append(near, l.add(index, p.Context))
		}
		for i, p := range article.Paragraphs {
			for _, q := range p.QAs {
				var answers []string
				for _, a := range q.Answers {
					answers = append(answers, a.Text)
				}
				if !q.IsImpossible && len(answers) > 0 {
					l.questions = append(l.questions, inquiry{q.Question, answers, near[i : i+1], near})
				}
			}
		}
	}
	return l, nil
}

func readHotpot(data []byte) (l library, err error) {
	var file []struct {
		Question, Answer string
		Context          [][2]json.RawMessage // title, sentences
		Facts            [][2]interface{}     `json:"supporting_facts"` // title, sentence
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return l, fmt.Errorf("not in the layout of HotpotQA (question, answer, context, supporting_facts): %w", err)
	}
	index := map[string]int{}
	for i, q := range file {
		supports := map[string]bool{}
		for _, fact := range q.Facts {
			if title, ok := fact[0].(string); ok {
				supports[title] = true
			}
		}
		one := inquiry{text: q.Question, answers: []string{q.Answer}}
		for _, c := range q.Context {
			var title string
			var text []string
			if json.Unmarshal(c[0], &title) != nil || json.Unmarshal(c[1], &text) != nil {
				return l, fmt.Errorf("question %d: its context is not pairs of a title and sentences", i)
			}
			at := l.add(index, title+"\n"+strings.Join(text, ""))
			if one.near = append(one.near, at); supports[title] {
				one.needs = append(one.needs, at)
			}
		}
		if len(one.needs) == 0 { // without supporting facts all are needed
			one.needs = one.near
		}
		if q.Answer != "" && len(one.near) > 0 {
			l.questions = append(l.questions, one)
		}
	}
	return l, nil
}

// samples asks the questions of a library, from that of the seed's number on; those whose documents alone are too long
// are passed over.
func (l library) samples(ctx context.Context, m *llm.LLM, o Options, task string) ([]Sample, error) {
	if l.made {
		return generate(ctx, m, o, task, draft{fill: true, make: func(r *rand.Rand, units, words int) Sample {
			made := madeLibrary(rand.New(rand.NewPCG(r.Uint64(), 0)), l.hops, units+1)
			return made.make(r, made.questions[0], units, words)
		}})
	}
	var samples []Sample
	var last error
	n := int64(len(l.questions))
	for i := int64(0); i < n && len(samples) < o.samples(); i++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		number := ((o.Seed+i)%n + n) % n
		q := l.questions[number]
		s, err := draft{fill: true, make: func(r *rand.Rand, units, words int) Sample { return l.make(r, q, units, words) }}.fit(m, task, number, o.tokens())
		if err != nil {
			last = err
			continue
		}
		s.ID, s.Task = fmt.Sprintf("%s-%d-%d", task, o.tokens(), number), task
		samples = append(samples, s)
	}
	if len(samples) == 0 {
		return nil, last
	}
	return samples, nil
}

// make asks one question about the documents it needs, so many others, and the beginning of one more.
func (l library) make(r *rand.Rand, q inquiry, units, words int) Sample {
	others := slices.DeleteFunc(slices.Clone(q.near), func(d int) bool { return slices.Contains(q.needs, d) })
	shuffle(r, others)
	far := make([]int, 0, len(l.documents))
	for d := range l.documents {
		if !slices.Contains(q.needs, d) && !slices.Contains(others, d) {
			far = append(far, d)
		}
	}
	shuffle(r, far)
	if others = append(others, far...); len(others) == 0 {
		others = q.needs // a library of one document repeats it
	}
	chosen := slices.Clone(q.needs)
	for i := range units {
		chosen = append(chosen, others[i%len(others)])
	}
	place := rand.New(rand.NewPCG(r.Uint64(), 0))
	shuffle(place, chosen)
	var text []string
	for i, d := range chosen {
		text = append(text, fmt.Sprintf("Document %d:\n%s", i+1, l.documents[d]))
	}
	if words > 0 {
		rest := l.documents[others[units%len(others)]]
		text = append(text, fmt.Sprintf("Document %d:\n%s", len(chosen)+1, firstWords(rest, words)))
	}
	const task = "Answer the question based on the given documents. Only give me the answer and do not output any other words."
	return Sample{
		Context:   task + "\n\nThe following are given documents.\n\n" + strings.Join(text, "\n\n") + "\n\n",
		Question:  task + "\n\nQuestion: " + q.text + " ",
		Prefix:    "Answer:",
		Answers:   q.answers,
		MaxTokens: 32,
	}
}

// firstWords is the beginning of a text, so many words long.
func firstWords(text string, n int) string {
	inside := false
	for i, c := range text {
		if blank := unicode.IsSpace(c); blank && inside {
			if n--; n == 0 {
				return text[:i]
			}
		} else {
			inside = !blank
		}
	}
	return text
}

func shuffle(r *rand.Rand, of []int) {
	r.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
}

// madeLibrary is passages about people and towns that nobody knows, with one question: about a town (one document
// holds the answer), or about the town where the builder of something was born (two do).
func madeLibrary(r *rand.Rand, needed, others int) library {
	f := newFresh(r)
	town := func() string { return f.draw(func(r *rand.Rand) string { return cast(r, 'T') }) }
	person := func() string {
		return f.draw(func(r *rand.Rand) string { return cast(r, 'P') + " " + invented(r, "sen", "er", "ov", "ey") })
	}
	about := func(name, born string) string {
		return fmt.Sprintf("%s\n%s was born in %s in %s, the child of a maker of %ss. %s", name, name, born, cast(r, 'Y'), pick(r, nouns), mold(r, pick(r, molds)))
	}
	place := func(name, builder string) (document, thing string) {
		thing = pick(r, adjectives) + " " + pick(r, nouns)
		return fmt.Sprintf("%s\n%s is a town of %d people. Its %s was built by %s in %s. %s", name, name, 200+r.IntN(9000), thing, builder, cast(r, 'Y'), mold(r, pick(r, molds))), thing
	}
	var l library
	name, builder, born := town(), person(), town()
	document, thing := place(name, builder)
	l.documents = []string{document}
	q := inquiry{text: fmt.Sprintf("Who built the %s of %s?", thing, name), answers: []string{builder}, needs: []int{0}}
	if needed == 2 {
		l.documents = append(l.documents, about(builder, born))
		q = inquiry{text: fmt.Sprintf("In which town was the builder of the %s of %s born?", thing, name), answers: []string{born}, needs: []int{0, 1}}
	}
	for range others {
		if r.IntN(2) == 0 {
			document = about(person(), town())
		} else {
			document, _ = place(town(), person())
		}
		l.documents = append(l.documents, document)
	}
	l.questions = []inquiry{q}
	return l
}
