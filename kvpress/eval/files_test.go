package eval

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// write makes a file of rows, and says where it is.
func write(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every benchmark of files, in the layout of its authors and in kvpress's: what the model is given, what a right and a
// wrong answer get.
func TestFiles(t *testing.T) {
	for _, c := range []struct {
		benchmark, file, row      string
		context, question, prefix string // parts of them
		answers                   []string
		tokens                    int
		right, wrong              string
		metric                    string
		ofRight, gotWrong         float64
	}{
		{
			"longbench", "narrativeqa.jsonl", `{"input": "Who?", "context": "Once.", "answers": ["Ann", "Ann Lee"], "length": 9, "all_classes": null, "_id": "x"}`,
			"Story: Once.\n\nNow, answer", "Question: Who?\n\n", "Answer:",
			[]string{"Ann", "Ann Lee"},
			148, " Ann Lee.", "Bob", "score", 1, 0,
		},
		{
			"longbench", "data/trec.jsonl", `{"input": "Question: When?\nType:", "context": "Question: Who?\nType: Person", "answers": ["Date"], "all_classes": ["Date", "Person"]}`,
			"Question: Who?\nType: Person\n", "Question: When?\n", "Type:",
			[]string{"Date"},
			84, "\n Date\nPerson", "Person Date", "score", 1, 0.5,
		},
		{
			"longbench", "x.jsonl", `{"dataset": "passage_count", "input": "", "context": "P1", "answers": ["7"]}`,
			"total?\n\nP1\n\n", "Please enter", "The final answer is: ",
			[]string{"7"},
			52, "7", "7 or 14", "score", 1, 0.5,
		},
		{
			"longbench-e", "qasper_e.jsonl", `{"input": "Why?", "context": "So.", "answers": ["yes"], "length": 4000, "all_classes": null}`,
			"Article: So.", "Question: Why?\n\n", "Answer:",
			[]string{"yes"},
			148, "Yes", "no", "score 4-8k", 1, 0,
		},
		{
			"longbench-v2", "v2.json", `[{"context": "Long.", "question": "Which?", "choice_A": "a1", "choice_B": "b1", "choice_C": "c1", "choice_D": "d1", "answer": "B", "difficulty": "easy", "length": "short"}]`,
			"<text>\nLong.\n</text>", "Choices:\n(A) a1\n(B) b1", "",
			[]string{"B"},
			16, "The correct answer is **(B)**", "(B)", "accuracy easy", 1, 0,
		},
		{
			"loogle", "shortdep_cloze.jsonl", `{"input": "Text", "title": "T", "qa_pairs": "[{'Q': '<mask-0> met <mask-1>', 'A': {'<mask-0>': 'Bob', '<mask-1>': \"O'Hara\"}}]", "output": ""}`,
			"Text", "\n Question: <mask-0> met <mask-1> What are the masked entities?\n", "Answer:",
			[]string{`{"<mask-0>": "Bob", "<mask-1>": "O'Hara"}`},
			50,
			`{'<mask-0>': 'Bob', '<mask-1>': "O'Hara"}`, `{'<mask-0>': 'Bob'}`, "exact_match", 2, 1,
		},
		{
			"loogle", "longdep_qa.jsonl", `{"input": "Text", "qa_pairs": "[{'Q': 'Why?', 'A': 'It rained all day', 'S': ['x']}]"}`,
			"long texts below. \nText", "\nQuestion: Why?\n", "Answer: ",
			[]string{"It rained all day"},
			500, "It rained all day", "It snowed", "rouge-1", 1, 0.25,
		},
		{
			"loogle", "longdep_summarization.jsonl", `{"input": "Paper", "qa_pairs": "none", "output": "In short."}`,
			"below paper. \nPaper", "\n", "Summarization: ",
			[]string{"In short."},
			500, "In short.", "No", "bleu1", 1, 0,
		},
		{
			"infinitebench", "code_debug.jsonl", `{"id": 1, "context": "def f(): g(", "input": "Which function?", "answer": ["f"], "options": ["g", "f", "h", "i"]}`,
			"crash.\n\ndef f(): g(\n\n", "Which function?\n\nOptions:\nA. g\nB. f\nC. h\nD. i", "The correct option is:",
			[]string{"B"},
			25, " B. f", "A. g", "score", 1, 0,
		},
		{
			"infinitebench", "infinitebench.jsonl", `{"task": "code_debug", "context": "c", "question": "Which?\n\nOptions:\nA. g\nB. fun\nC. h\nD. i", "answer_prefix": "The correct option is:", "answer": ["B"], "max_new_tokens": 25}`,
			"c", "Which?", "The correct option is:",
			[]string{"B"},
			25, "fun", "g", "score", 1, 0,
		},
		{
			"infinitebench", "math_find.jsonl", `{"context": "[1, 2.5]", "input": "You should answer with only one number, no other words. The largest number of the list is:", "answer": [2.5], "options": []}`,
			"What is the largest number in the following list?\n\n[1, 2.5]\n\n\n\n", "You should answer", "",
			[]string{"2.5"},
			23, "2.50 it is", "1", "score", 1, 0,
		},
		{
			"infinitebench", "code_run.jsonl", `{"context": "def func_7(x)", "input": "Please give me func_7(-3).", "answer": [-4], "options": []}`,
			"a function called func_7 in", "func_7(-3)", "The return value is:",
			[]string{"-4"},
			25, "it is -4.", "4", "score", 1, 0,
		},
		{
			"infinitebench", "math_calc.jsonl", `{"context": "1 + 2", "input": "", "answer": [[1, 3]], "options": []}`,
			"Expression: 1 + 2", "", "Values:",
			[]string{"1", "3"},
			30020, "[1, 3]", "[1, 4]", "score", 1, 0.5,
		},
		{
			"zero_scrolls", "quality/test.jsonl", `{"input": "Dön. Which?\nAnswer: ", "document_end_index": 5, "query_end_index": 11, "output": null}`,
			"Dön. ", "Which?", "Answer:", nil, 10, "", "", "", 0, 0,
		},
		{"aime25", "test.jsonl", `{"question": "1+1?", "answer": 2}`, "1+1?", "\\boxed{}", "", []string{"2"}, 8192, "So \\boxed{2}.", "2", "accuracy", 1, 0},
		{
			"math500", "test.jsonl", `{"problem": "Half?", "solution": "", "answer": "\\frac{1}{2}", "level": 2}`,
			"Half?", "\\boxed{}", "",
			[]string{`\frac{1}{2}`},
			8192, `\boxed{\frac{1}{2}}`, `\boxed{\frac{1}{3}}`, "accuracy", 1, 0,
		},
		{
			"ruler", "ruler.jsonl", `{"context": "c", "question": "q", "answer_prefix": "p", "answer": ["x", "y"], "task": "vt", "max_new_tokens": 30}`,
			"c", "q", "p",
			[]string{"x", "y"},
			30, "y x", "y", "string_match", 1, 0.5,
		},
	} {
		b, err := Find(c.benchmark)
		if err != nil {
			t.Fatal(err)
		}
		samples, err := b.Samples(context.Background(), nil, Options{Files: []string{write(t, c.file, c.row)}})
		if err != nil || len(samples) != 1 {
			t.Errorf("%s: %d samples, %v", c.file, len(samples), err)
			continue
		}
		s := samples[0]
		if !strings.Contains(s.Context, c.context) || !strings.Contains(s.Question, c.question) || s.Prefix != c.prefix || s.MaxTokens != c.tokens || !reflect.DeepEqual(s.Answers, c.answers) {
			t.Errorf("%s: %+v", c.file, s)
		}
		got := func(answer string) (got, of float64) {
			for _, m := range b.Measure(s, answer) {
				if m.Metric == c.metric {
					return m.Got, m.Of
				}
			}
			return 0, 0
		}
		if right, of := got(c.right); right != c.ofRight || of != c.ofRight {
			t.Errorf("%s: the right answer gets %v of %v", c.file, right, of)
		}
		if wrong, _ := got(c.wrong); wrong != c.gotWrong {
			t.Errorf("%s: the wrong answer gets %v", c.file, wrong)
		}
	}
}

// testdata/longbench.parquet was written by pyarrow, in two row groups and Zstandard.
func TestParquet(t *testing.T) {
	b := longbenchBenchmark
	samples, err := b.Samples(context.Background(), nil, Options{Files: []string{"testdata/longbench.parquet"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Sample{
		{ID: "qasper-1", Task: "qasper", Context: "Rain fell.\nAll day.", Question: "Question: What fell?\n", Prefix: "Answer:", Answers: []string{"rain", "the rain"}, MaxTokens: 148, Details: map[string]string{"length": "5000"}},
		{ID: "hotpotqa-1", Task: "hotpotqa", Context: "Snow.", Question: "Question: And then?\n", Prefix: "Answer:", Answers: []string{"snow"}, MaxTokens: 52, Details: map[string]string{"length": "3999"}},
	}
	if !reflect.DeepEqual(samples, want) {
		t.Errorf("%+v", samples)
	}
	some, err := b.Samples(context.Background(), nil, Options{Files: []string{"testdata/longbench.parquet", "testdata/longbench.parquet"}, Tasks: []string{"hotpotqa"}, Samples: 2})
	if err != nil || len(some) != 2 || some[1].ID != "hotpotqa-2" {
		t.Errorf("%v, %v", some, err)
	}
}

func TestFilesSayWhatIsWrong(t *testing.T) {
	damaged, err := os.ReadFile("testdata/longbench.parquet")
	if err != nil {
		t.Fatal(err)
	}
	damaged[60] ^= 0xff
	good := `{"input": "a", "context": "b", "answers": ["c"]}`
	for _, c := range []struct {
		benchmark, path string
		want            []string
	}{
		{"longbench", "", []string{"name them", "context, input, answers"}},
		{"longbench", "nothing.jsonl", []string{"nothing.jsonl", "no such file"}},
		{"longbench", write(t, "qasper.txt", good), []string{".jsonl"}},
		{"longbench", write(t, "what.jsonl", good), []string{"row 1", "column task", "narrativeqa"}},
		{"longbench", write(t, "qasper.jsonl", good, `{"input": "a", "answers": ["c"]}`), []string{"qasper.jsonl", "row 2", "column context", "missing", "answers, input", "longbench has"}},
		{"longbench", write(t, "qasper.jsonl", good, `{"input": {"x": 1}, "context": "b", "answers": ["c"]}`), []string{"row 2", "column input", "neither a text nor a number"}},
		{"longbench", write(t, "qasper.jsonl", good, `{"input": `), []string{"row 2", "JSON"}},
		{"longbench", write(t, "qasper.parquet", "PAR1 no"), []string{"parquet"}},
		{"longbench", write(t, "qasper.parquet", string(damaged)), []string{"damaged"}},
		{"longbench", write(t, "qasper.jsonl", ""), []string{"no question"}},
		{"longbench-e", write(t, "qasper.jsonl", `{"input": "a", "context": "b", "answers": ["c"], "length": -1.5}`), []string{"column length", "whole number"}},
		{"loogle", write(t, "longdep_qa.jsonl", `{"input": "a", "qa_pairs": "[{'Q': eval('1')}]"}`), []string{"row 1", "qa_pairs", "byte 7"}},
		{"loogle", write(t, "longdep_qa.jsonl", `{"input": "a", "qa_pairs": "[{'A': 'b'}]"}`), []string{"number 1 has no question"}},
		{"loogle", write(t, "shortdep_cloze.jsonl", `{"input": "a", "qa_pairs": "[{'Q': 'q', 'A': 'Bob'}]"}`), []string{"row 1", "qa_pairs", "dictionary of its blanks"}},
		{"loogle", write(t, "shortdep_cloze.jsonl", `{"context": "a", "question": "q", "answer": "Bob", "max_new_tokens": 50}`), []string{"column answer", "dictionary of its blanks"}},
		{"loogle", write(t, "longdep_qa.jsonl", `{"context": "a", "question": "q", "answer": [], "max_new_tokens": 50}`), []string{"column answer", "one text"}},
		{"infinitebench", write(t, "code_debug.jsonl", `{"context": "c", "input": "i", "answer": ["x"], "options": ["g", "f"]}`), []string{"options", "four"}},
		{"infinitebench", write(t, "code_run.jsonl", `{"context": "c", "input": "i", "answer": [1], "options": []}`), []string{"input", "call"}},
		{"zero_scrolls", write(t, "qasper.jsonl", `{"input": "abc", "document_end_index": 9, "query_end_index": 2}`), []string{"query_end_index"}},
		{"ruler", write(t, "ruler.jsonl", `{"context": "c", "task": "vt"}`), []string{"max_new_tokens"}},
	} {
		b, err := Find(c.benchmark)
		if err != nil {
			t.Fatal(err)
		}
		var files []string
		if c.path != "" {
			files = []string{c.path}
		}
		samples, err := b.Samples(context.Background(), nil, Options{Files: files})
		if err == nil {
			t.Errorf("%s of %s: %d samples and no error", c.benchmark, c.path, len(samples))
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s of %s: %v, want %q in it", c.benchmark, c.path, err, want)
			}
		}
	}
}

// Whatever a file holds, reading it ends with rows or an error.
func FuzzRows(f *testing.F) {
	for _, path := range []string{"testdata/longbench.parquet", "testdata/squad.json", "testdata/hotpot.json"} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, filepath.Ext(path) == ".parquet")
	}
	f.Add([]byte(`{"input": "a", "context": "b", "answers": ["c"], "length": 1e400}`), false)
	f.Fuzz(func(t *testing.T, data []byte, parquet bool) {
		extension := ".jsonl"
		if parquet {
			extension = ".parquet"
		}
		path := filepath.Join(t.TempDir(), "qasper"+extension)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		o := Options{Files: []string{path}}
		for _, b := range Benchmarks()[5:] { // those of files
			samples, err := b.Samples(context.Background(), nil, o)
			for _, s := range samples {
				if err != nil || s.ID == "" || s.Task == "" || s.MaxTokens < 0 {
					t.Fatalf("%s: %+v, %v", b.Name, s, err)
				}
				b.Measure(s, "an answer")
			}
		}
	})
}
