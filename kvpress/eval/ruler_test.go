package eval

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tokenizer"
)

// readers are tokenizers to measure lengths with: the embedded one always, SmolLM2's where it was pulled.
func readers(t *testing.T) []*llm.LLM {
	all := []*llm.LLM{reader(t)}
	if files, err := hub.Open("smollm2"); err == nil {
		defer files.Close()
		tok, err := tokenizer.Load(files.Tokenizer, files.TokenizerConfig, files.ChatTemplate)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &llm.LLM{Name: "smollm2", Tokenizer: tok})
	}
	return all
}

func TestRulerLengths(t *testing.T) {
	for _, m := range readers(t) {
		for _, tokens := range []int{512, 1024, 2048, 4096} {
			for _, task := range rulerTasks {
				samples, err := rulerSamples(context.Background(), m, Options{Tasks: []string{task}, Tokens: tokens, Samples: 2, Seed: 3})
				if err != nil {
					t.Errorf("%v", err)
					continue
				}
				for _, s := range samples {
					if n := sampleTokens(m, s); n > tokens || float64(n) < 0.98*float64(tokens) {
						t.Errorf("%s of %s: %d tokens", s.ID, m.Name, n)
					}
				}
			}
		}
	}
}

func TestRulerSamples(t *testing.T) {
	m := reader(t)
	o := Options{Tokens: 4096, Samples: 3, Seed: 11}
	samples, err := rulerSamples(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := rulerSamples(context.Background(), m, o)
	if !reflect.DeepEqual(samples, again) {
		t.Error("the same seed gives other samples")
	}
	ids := map[string]bool{}
	for _, s := range samples {
		if ids[s.ID] {
			t.Errorf("two samples are %s", s.ID)
		}
		ids[s.ID] = true
		if got := rulerBenchmark.Measure(s, strings.Join(s.Answers, " ")); got[0].Got != 1 {
			t.Errorf("%s: the right answer gets %v", s.ID, got)
		}
		if got := rulerBenchmark.Measure(s, "nothing"); got[0].Got != 0 {
			t.Errorf("%s: a wrong answer gets %v", s.ID, got)
		}
		for _, a := range s.Answers {
			if !strings.Contains(s.Context, a) {
				t.Errorf("%s: %q is not in the context", s.ID, a)
			}
		}
	}
	if other, _ := rulerSamples(context.Background(), m, Options{Tokens: 4096, Samples: 1, Seed: 12, Tasks: []string{"vt"}}); other[0].Context != samples[8*3+1].Context {
		t.Error("sample 1 of seed 11 is not sample 0 of seed 12")
	}
}

func TestRulerFromFiles(t *testing.T) {
	m := reader(t)
	for _, c := range []struct{ task, file, question, answer string }{
		{"qa_1", "testdata/squad.json", "Who tends the lighthouse of Marrow Point?", "Ines Okafor"},
		{"qa_2", "testdata/hotpot.json", "In which year did the ferry that serves Gull Rock first sail?", "1911"},
	} {
		samples, err := rulerSamples(context.Background(), m, Options{Tasks: []string{c.task}, Tokens: 1500, Samples: 1, Files: []string{c.file}})
		if err != nil {
			t.Fatal(err)
		}
		s := samples[0]
		if s.Answers[0] != c.answer || !strings.Contains(s.Question, c.question) || !strings.Contains(s.Context, c.answer) {
			t.Errorf("%s: %q, answers %q", c.task, s.Question, s.Answers)
		}
		if n := sampleTokens(m, s); n > 1500 || n < 1470 {
			t.Errorf("%s: %d tokens", c.task, n)
		}
	}
	for path, want := range map[string]string{"testdata/nothing.json": "no such file", "words.txt": "end in .jsonl, .json or .parquet", "testdata/broken.json": "layout of SQuAD"} {
		if _, err := rulerSamples(context.Background(), m, Options{Files: []string{path}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestHaystackFile(t *testing.T) {
	m := reader(t)
	path := filepath.Join(t.TempDir(), "essay.txt")
	if err := os.WriteFile(path, []byte("Mr. Fox waits.  He is\npatient! Why \"not?\" He said so."), 0o644); err != nil {
		t.Fatal(err)
	}
	samples, err := rulerSamples(context.Background(), m, Options{Tasks: []string{"niah_multikey_1"}, Tokens: 700, Samples: 1, Haystack: path})
	if err != nil {
		t.Fatal(err)
	}
	if c := samples[0].Context; strings.Count(c, "Mr. Fox waits.") < 3 || strings.Contains(c, "Mr. One of") {
		t.Error(c)
	}
	if _, err := rulerSamples(context.Background(), m, Options{Haystack: path + "x"}); err == nil {
		t.Error("a haystack that is not there")
	}
	got := sentences(strings.Fields("Mr. Fox waits. He is patient! Why \"not?\" He said 3.5 or e.g. Four. J. Smith left"))
	if want := []string{"Mr. Fox waits.", "He is patient!", "Why \"not?\"", "He said 3.5 or e.g. Four.", "J. Smith left"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

// What the tasks promise, read from the samples themselves.
func TestRulerTasksHold(t *testing.T) {
	m := reader(t)
	sample := func(task string, seed int64) Sample {
		s, err := rulerSamples(context.Background(), m, Options{Tasks: []string{task}, Tokens: 4096, Samples: 1, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return s[0]
	}
	for seed := int64(20); seed < 24; seed++ {
		for task, n := range needleTasks {
			s := sample(task, seed)
			keys := map[string]int{}
			for _, found := range regexp.MustCompile(`special magic \w+ for (\S+) is: ([-\w]+)\.`).FindAllStringSubmatch(s.Context, -1) {
				keys[found[1]]++
				if slices.Contains(s.Answers, found[2]) != strings.Contains(s.Question, found[1]) {
					t.Errorf("%s: %s is hidden under %s", s.ID, found[2], found[1])
				}
			}
			for key, times := range keys {
				if times != n.values {
					t.Errorf("%s: the key %s is there %d times", s.ID, key, times)
				}
			}
			if len(s.Answers) != n.values*n.asked || n.hay != "needles" && len(keys) != n.keys || n.hay == "needles" && len(keys) < 10 {
				t.Errorf("%s: %d keys, %d answers", s.ID, len(keys), len(s.Answers))
			}
		}

		s := sample("vt", seed)
		last := s.Context[strings.LastIndex(s.Context, "Memorize"):]
		value := regexp.MustCompile(`value (\d+)`).FindStringSubmatch(s.Question)[1]
		holds := map[string]bool{}
		for _, found := range regexp.MustCompile(`VAR (\w+) = (?:VAR )?(\w+)`).FindAllStringSubmatch(last, -1) {
			if found[2] == value || holds[found[2]] {
				holds[found[1]] = true
			}
		}
		if got := slices.Sorted(maps.Keys(holds)); !slices.Equal(got, slices.Sorted(slices.Values(s.Answers))) {
			t.Errorf("%s: %v hold the value, not %v", s.ID, got, s.Answers)
		}

		for task, most := range map[string]int{"cwe": 10, "fwe": 3} {
			s := sample(task, seed)
			count := map[string]int{}
			for _, w := range strings.Fields(s.Context[strings.LastIndex(s.Context, "most often.")+1:]) {
				if strings.Trim(w, "0123456789.") == w && (task == "cwe" || len(w) == 6) {
					count[w]++
				}
			}
			words := slices.Collect(maps.Keys(count))
			slices.SortFunc(words, func(a, b string) int { return count[b] - count[a] })
			if top := words[:most]; count[words[most-1]] == count[words[most]] || !slices.Equal(slices.Sorted(slices.Values(top)), slices.Sorted(slices.Values(s.Answers))) {
				t.Errorf("%s: %v come most often, not %v", s.ID, top, s.Answers)
			}
		}
	}
}
