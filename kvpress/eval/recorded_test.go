package eval

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// smollm2 loads the default model, if it was pulled.
func smollm2(t *testing.T) *llm.LLM {
	t.Helper()
	if _, err := hub.Find("smollm2"); err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	m, err := llm.Load("smollm2", cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// closeCall is a lead of one token over the next, in logits, that rounding may turn round: on another processor, in
// another order, or beside other answers.
const closeCall = 0.01

// sameAnswer compares an answer with the one that was recorded. Where they part, the lead of the token must have been a
// close call.
func sameAnswer(m *llm.LLM, a llm.Answer, recorded string) (equal, tie bool) {
	if a.Text == recorded {
		return true, false
	}
	for i := range a.Tokens {
		if text := m.Tokenizer.Answer(a.Tokens[:i+1]); !strings.HasPrefix(recorded, text) {
			return false, a.Gaps[i] < closeCall
		}
	}
	return false, a.Gaps[len(a.Gaps)-1] < closeCall // it ended too soon
}

// answer asks one question of one press, by itself.
func answer(t *testing.T, whole *llm.Session, spelling string, s Sample) llm.Answer {
	t.Helper()
	pressed := whole
	if spelling != "none" {
		p, err := kvpress.Parse(spelling)
		if err != nil {
			t.Fatal(err)
		}
		if pressed, err = whole.Press(p); err != nil {
			t.Fatal(err)
		}
		defer pressed.Close()
	}
	a, err := pressed.AskWith(context.Background(), llm.Question{Text: s.Question, AnswerPrefix: s.Prefix, MaxTokens: s.MaxTokens})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// recordedRuns are the sweeps in testdata; `make recorded` makes them again.
var recordedRuns = []string{"smollm2-ruler-1024", "smollm2-ruler-2048"}

func loadRecorded(t *testing.T, name string) *Report {
	t.Helper()
	r, err := Load(filepath.Join("testdata", "recorded", name+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRecordedRunsAreWhole checks what docs/benchmarks.md reports: nothing missing, nothing twice, nothing failed, and that the
// files are within their room.
func TestRecordedRunsAreWhole(t *testing.T) {
	size := int64(0)
	for _, name := range recordedRuns {
		r := loadRecorded(t, name)
		if err := r.Missing(); err != nil || r.Failed() != 0 || len(r.Records) != r.Header.Records || len(r.Tasks()) != len(rulerTasks) {
			t.Errorf("%s: %v, %d failed, %d of %d records of %d tasks", name, err, r.Failed(), len(r.Records), r.Header.Records, len(r.Tasks()))
		}
		for i, a := range r.Records {
			if a.Number != i {
				t.Fatalf("%s: record %d is number %d", name, i, a.Number)
			}
		}
		info, err := os.Stat(filepath.Join("testdata", "recorded", name+".jsonl.gz"))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 150_000 {
		t.Errorf("the recorded runs take %d bytes", size)
	}
}

// TestPageReportsTheRecordedRuns compares the table of docs/benchmarks.md with what was recorded.
func TestPageReportsTheRecordedRuns(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	var runs [][]Score
	for _, name := range recordedRuns {
		runs = append(runs, loadRecorded(t, name).Scores())
	}
	for i, s := range runs[0] {
		row := "| `" + s.Press + "` |"
		for _, scores := range runs {
			row += fmt.Sprintf(" %.1f %% | %.1f |", 100*scores[i].Accuracy(), float64(scores[i].KVBytes)/1e6)
		}
		if !strings.Contains(string(page), row+"\n") {
			t.Errorf("docs/benchmarks.md lacks the row\n%s", row)
		}
	}
}

// TestRecordedRunIsRepeated runs 20 samples of a recorded run again, those of the shortest answers, and finds the same
// prompts and the same answers.
func TestRecordedRunIsRepeated(t *testing.T) {
	m, recorded := smollm2(t), loadRecorded(t, recordedRuns[0])
	const press = "snapkv:0.5"
	ctx := context.Background()
	all, err := rulerBenchmark.Samples(ctx, m, recorded.Header.Options)
	if err != nil {
		t.Fatal(err)
	}
	presses, err := kvpress.ParseList(press)
	if err != nil {
		t.Fatal(err)
	}
	length := map[string]int{}
	old := map[string]Record{}
	for _, r := range recorded.Records {
		if r.Press == press || r.Press == "none" {
			length[r.Sample] += r.Tokens.Answer
			old[r.Sample+" "+r.Press] = r
		}
	}
	some := slices.Clone(all)
	slices.SortStableFunc(some, func(a, b Sample) int { return cmp.Compare(length[a.ID], length[b.ID]) })
	some = some[:20]
	b := rulerBenchmark
	b.Samples = func(context.Context, *llm.LLM, Options) ([]Sample, error) { return some, nil }
	again, err := Run(ctx, m, Sweep{Benchmark: b, Options: recorded.Header.Options, Presses: presses})
	if err != nil {
		t.Fatal(err)
	}
	if again.Header.Template != recorded.Header.Template || again.Header.Files != recorded.Header.Files {
		t.Fatalf("the model is another one: %+v, recorded with %+v", again.Header, recorded.Header)
	}
	equal, ties := 0, 0
	for i, r := range again.Records {
		want := old[r.Sample+" "+r.Press]
		if r.Prompt != want.Prompt || r.Tokens.Context != want.Tokens.Context || r.Kept != want.Kept || r.KVBytes != want.KVBytes {
			t.Errorf("%s of %s is another prompt, or another cut: %+v, recorded %+v", r.Press, r.Sample, r, want)
			continue
		}
		if r.Answer == want.Answer {
			equal++
			continue
		}
		sample := some[i/2]
		whole, err := m.Prefill(ctx, sample.Context, llm.Full())
		if err != nil {
			t.Fatal(err)
		}
		if same, tie := sameAnswer(m, answer(t, whole, r.Press, sample), want.Answer); same || tie {
			ties++
		} else {
			t.Errorf("%s of %s answers %q, recorded %q", r.Press, r.Sample, r.Answer, want.Answer)
		}
		whole.Close()
	}
	t.Logf("%d answers equal, %d parted at a close call", equal, ties)
}

// TestAnswersAreThoseOfKvpress compares ten samples of a task with the answers of the Python kvpress, as
// kvpress/testdata/make_parity.py recorded them; two of them if long tests were not asked for.
func TestAnswersAreThoseOfKvpress(t *testing.T) {
	var golden struct {
		Versions map[string]string
		Answers  []struct{ Sample, Press, Answer string }
	}
	text, err := os.ReadFile(filepath.Join("testdata", "parity.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	m, ctx := smollm2(t), context.Background()
	samples, err := rulerBenchmark.Samples(ctx, m, Options{Tasks: []string{"niah_single_2"}, Tokens: 1024, Samples: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(golden.Answers) != 40 {
		t.Fatalf("%d golden answers, want 4 presses of 10 samples", len(golden.Answers))
	}
	if os.Getenv("KVNOTES_LONG") == "" {
		samples = samples[:2]
	}
	equal, ties := 0, 0
	for i, s := range samples {
		whole, err := m.Prefill(ctx, s.Context, llm.Full())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range golden.Answers[4*i : 4*i+4] {
			if g.Sample != s.ID {
				t.Fatalf("the golden answers are to %s, not %s: record them again", g.Sample, s.ID)
			}
			a := answer(t, whole, g.Press, s)
			switch same, tie := sameAnswer(m, a, g.Answer); {
			case same:
				equal++
			case tie:
				ties++
			default:
				t.Errorf("%s of %s answers %q, kvpress %q", g.Press, g.Sample, a.Text, g.Answer)
			}
		}
		whole.Close()
	}
	t.Logf("kvpress %s: %d answers equal, %d parted at a close call", golden.Versions["kvpress"], equal, ties)
}
