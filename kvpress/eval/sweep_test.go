package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// needleModel is the embedded model, loaded once.
var needleModel = sync.OnceValues(func() (*llm.LLM, error) { return llm.Load("needle", cpu.New()) })

func loaded(t *testing.T) *llm.LLM {
	t.Helper()
	m, err := needleModel()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// small is a sweep of 5 questions about 2 texts under 4 presses: 25 records.
func small(t *testing.T, file string) Sweep {
	t.Helper()
	presses, err := kvpress.ParseSweep("knorm, adakv(snapkv(window=16))", kvpress.Ratio(0.25), kvpress.Ratio(0.75))
	if err != nil {
		t.Fatal(err)
	}
	n := Needles{Texts: 2, Sentences: 24, Facts: 6, Questions: 3}
	b := needleBenchmark
	b.Samples = func(context.Context, *llm.LLM, Options) ([]Sample, error) { return n.samples()[:5], nil }
	return Sweep{Benchmark: b, Presses: presses, File: file}
}

// withoutSeconds is a file of results without its times.
func withoutSeconds(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(regexp.MustCompile(`,"seconds":\{[^}]*\}`).ReplaceAll(text, nil))
}

func run(t *testing.T, s Sweep) *Report {
	t.Helper()
	r, err := Run(context.Background(), loaded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTwoRunsAreEqual(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.jsonl"), filepath.Join(dir, "two.jsonl")
	s := small(t, one)
	s.Closeness, s.Contexts = true, 1
	first := run(t, s)
	s.File, s.Contexts = two, 2
	run(t, s)
	if a, b := withoutSeconds(t, one), withoutSeconds(t, two); a != b {
		t.Errorf("the same sweep, one context and two at a time:\n%s\n%s", a, b)
	}
	if len(first.Records) != 25 || first.Failed() != 0 {
		t.Fatalf("%d records, %d failed: %v", len(first.Records), first.Failed(), first.firstFailure())
	}
	for i, r := range first.Records {
		if r.Number != i || r.Seconds.Prefill <= 0 || r.Seconds.Answer <= 0 || r.Kept == 0 || len(r.Measures) != 5 || r.Tokens.Context < 100 || r.Versions.Files == "" {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	read, err := Load(one)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read.Records, first.Records) || !reflect.DeepEqual(read.Header, first.Header) {
		t.Error("the file holds something else than the run returned")
	}
	if spent, saved := first.PrefillSeconds(); saved < 3.9*spent || saved > 4.1*spent {
		t.Errorf("five presses from one prefill: %.3f s spent, %.3f s saved", spent, saved)
	}
}

// TestResumeAnywhere cuts a file at every kind of place, as a kill would, and lets the run go on.
func TestResumeAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	run(t, small(t, path))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := withoutSeconds(t, path)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	length := func(n int) int { return len(bytes.Join(lines[:n], nil)) }
	for _, cut := range []int{0, 5, len(lines[0]) - 1, len(lines[0]), len(lines[0]) + 1, length(2), length(4) + 7, length(11) + len(lines[11])/2, length(26) - 1, length(26)} {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		there := max(0, bytes.Count(whole[:cut], []byte("\n"))-1)
		r := run(t, small(t, path))
		if r.Resumed != there || len(r.Records) != 25 {
			t.Errorf("cut after %d bytes: %d of %d records were there, the run says %d", cut, there, len(r.Records), r.Resumed)
		}
		if got := withoutSeconds(t, path); got != want {
			t.Errorf("cut after %d bytes: the file is\n%s\nwant\n%s", cut, got, want)
		}
		if !bytes.HasPrefix(must(os.ReadFile(path)), whole[:length(min(len(lines), there+1))]) && there > 0 {
			t.Errorf("cut after %d bytes: records that were there were written again", cut)
		}
	}
}

func must(b []byte, _ error) []byte { return b }

func TestAnotherSweepDoesNotGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	run(t, small(t, path))
	before := must(os.ReadFile(path))
	for _, c := range []struct {
		change func(s *Sweep)
		want   string
	}{
		{func(s *Sweep) { s.Presses = s.Presses[1:] }, "presses is"},
		{func(s *Sweep) { s.QuestionAware = true }, "question_aware is true, was false"},
		{func(s *Sweep) { s.Closeness = true }, "closeness is true"},
		{func(s *Sweep) { s.Shards = 2 }, "shards is 2, was 1"},
		{func(s *Sweep) {
			all := s.Benchmark.Samples
			s.Benchmark.Samples = func(ctx context.Context, m *llm.LLM, o Options) ([]Sample, error) {
				samples, err := all(ctx, m, o)
				samples[2].Question += "?"
				return samples, err
			}
		}, "samples is"},
	} {
		s := small(t, path)
		c.change(&s)
		if _, err := Run(context.Background(), loaded(t), s); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if !bytes.Equal(before, must(os.ReadFile(path))) {
		t.Error("a refused run changed the file")
	}
	if err := os.WriteFile(path, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), loaded(t), small(t, path)); err == nil || string(must(os.ReadFile(path))) != "dear diary" {
		t.Errorf("another kind of file: %v, and it now holds %q", err, must(os.ReadFile(path)))
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	run(t, small(t, path))
	lines := strings.SplitAfter(string(must(os.ReadFile(path))), "\n")
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{slices.Concat(lines[:3], []string{"{\"n\":\n"}, lines[4:]), "line 4"},
		{slices.Concat(lines[:3], lines[4:]), "record 3 is"},
		{slices.Concat(lines, lines[5:6]), "1 records too many"},
	} {
		if err := os.WriteFile(path, []byte(strings.Join(c.lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(context.Background(), loaded(t), small(t, path)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestAFileHasOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	s := small(t, path)
	r := run(t, s)
	j, _, err := openJournal(path, r.Header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), loaded(t), s); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("a second writer: %v", err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	run(t, s)
}

// TestStrangersFilesStay: a file that is not of the sweep is refused, and not a byte of it is changed.
func TestStrangersFilesStay(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.jsonl")
	run(t, small(t, other))
	results, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"notes without a last line break": "a line\nthe last one",
		"a line":                          "a line",
		"another sweep, cut short":        string(results[:len(results)-9]),
	} {
		path := filepath.Join(t.TempDir(), "results.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := small(t, path)
		s.QuestionAware = true
		if _, err := Run(t.Context(), loaded(t), s); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", name, err)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != text {
			t.Errorf("%s: %d of %d bytes are left, %v", name, len(left), len(text), err)
		}
	}
}

// TestCompressedResults: what Save writes, Load reads, and a run refuses a file that cannot grow.
func TestCompressedResults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl.gz")
	r := run(t, small(t, ""))
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	read, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := Difference(r, read); d != "" {
		t.Error(d)
	}
	if _, err := Run(t.Context(), loaded(t), small(t, path)); err == nil || !strings.Contains(err.Error(), "grow") {
		t.Errorf("results into a compressed file: %v", err)
	}
}

// TestWrongOptions are errors that say what is wrong, never a panic.
func TestWrongOptions(t *testing.T) {
	m := loaded(t)
	for want, try := range map[string]func() error{
		"a context of -5 tokens": func() error {
			_, err := MeasureEfficiency(t.Context(), m, Efficiency{Contexts: []int{64, -5}})
			return err
		},
		"-3 tokens to decode": func() error {
			_, err := MeasureEfficiency(t.Context(), m, Efficiency{Contexts: []int{64}, Tokens: -3})
			return err
		},
		"leave no samples": func() error {
			_, err := Needle(t.Context(), m, Needles{Questions: -1}, nil)
			return err
		},
		"press 0 of the sweep is nil": func() error {
			_, err := Needle(t.Context(), m, Needles{Texts: 1}, []kvpress.Press{nil})
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestStopAndGoOn stops a run between any two records.
func TestStopAndGoOn(t *testing.T) {
	dir := t.TempDir()
	run(t, small(t, filepath.Join(dir, "whole.jsonl")))
	want := withoutSeconds(t, filepath.Join(dir, "whole.jsonl"))
	path := filepath.Join(dir, "stopped.jsonl")
	for stops := 0; ; stops++ {
		ctx, stop := context.WithCancel(context.Background())
		first := int64(-1)
		ctx = progress.With(ctx, func(_ string, done, total int64) {
			if first < 0 {
				first = done
			}
			if done > first && done < total {
				stop()
			}
		})
		_, err := Run(ctx, loaded(t), small(t, path))
		stop()
		if err == nil {
			if stops < 1 {
				t.Error("the run was never stopped")
			}
			break
		}
		if stops > 30 {
			t.Fatalf("the run does not come to its end: %v", err)
		}
	}
	if got := withoutSeconds(t, path); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
}

func TestFailuresAreRecords(t *testing.T) {
	s := small(t, "")
	s.Presses = append(s.Presses, kvpress.TopK(kvpress.SnapKV{Window: 600}, kvpress.Ratio(0.5)))
	all := s.Benchmark.Samples
	s.Benchmark.Samples = func(ctx context.Context, m *llm.LLM, o Options) ([]Sample, error) {
		samples, err := all(ctx, m, o)
		samples[1].Question = strings.Repeat("word ", 5000) // more than the model has positions for
		samples[4].Context = strings.Repeat("word ", 9000)
		return samples, err
	}
	r := run(t, s)
	for _, a := range r.Records {
		failed := a.Press == "snapkv(window=600):0.5" || a.Sample == r.Records[1].Sample || a.Tokens.Context == 0
		if failed != (a.Error != "") || failed == (len(a.Measures) > 0) {
			t.Errorf("%s of %s: %q, %v", a.Press, a.Sample, a.Error, a.Measures)
		}
	}
	if r.Failed() != 15 { // 6 of each sample that fails, 5 of the press, 2 are both
		t.Errorf("%d failures", r.Failed())
	}
	if text := r.String(); !strings.Contains(text, "answers failed") {
		t.Errorf("the report says nothing of failures:\n%s", text)
	}
}

func TestSweepsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		change func(s *Sweep)
		want   string
	}{
		{func(s *Sweep) { s.Presses = append(s.Presses, s.Presses[0]) }, "there twice"},
		{func(s *Sweep) { s.Shard, s.Shards = 3, 3 }, "no shard 3 of 3"},
		{func(s *Sweep) { s.Benchmark, s.Options.Tasks = Benchmark{}, []string{"none"} }, "no task"},
		{func(s *Sweep) { s.Benchmark, s.Options.Tokens = Benchmark{}, 3 }, "no room"},
		{func(s *Sweep) { s.File = string([]byte{0}) }, "results"},
		{func(s *Sweep) {
			s.Benchmark.Samples = func(context.Context, *llm.LLM, Options) ([]Sample, error) {
				return []Sample{{ID: "a", Context: "b", MaxTokens: 1}, {ID: "a", Context: "c", MaxTokens: 1}}, nil
			}
		}, "two samples are called a"},
	} {
		s := small(t, "")
		c.change(&s)
		if _, err := Run(context.Background(), loaded(t), s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestQuestionAware(t *testing.T) {
	s := small(t, "")
	presses, err := kvpress.ParseSweep("finch, snapkv(window=8)", kvpress.Ratio(0.5))
	if err != nil {
		t.Fatal(err)
	}
	s.Presses, s.QuestionAware = presses, true
	aware := run(t, s)
	if n := aware.Failed(); n > 0 {
		t.Fatal(aware.firstFailure())
	}
	s.QuestionAware, s.Presses = false, presses[1:]
	plain := run(t, s)
	if a, b := aware.Records[0], plain.Records[0]; !a.QuestionAware || b.QuestionAware || a.Tokens.Context <= b.Tokens.Context || a.Tokens.Question >= b.Tokens.Question {
		t.Errorf("with the question in the context: %+v\nwithout: %+v", a, b)
	}
	accuracy := map[string]float64{}
	for _, s := range append(aware.Scores(), plain.Scores()[0]) {
		accuracy[s.Press] = s.Accuracy()
	}
	if accuracy["none"] < 0.6 {
		t.Errorf("accuracies %v", accuracy)
	}
}

func TestNeedleBenchmarkHasTheLength(t *testing.T) {
	m := loaded(t)
	for _, tokens := range []int{100, 1000, 2500} {
		samples, err := needleBenchmark.Samples(context.Background(), m, Options{Tokens: tokens, Samples: 30, Seed: 4})
		if err != nil || len(samples) != 30 {
			t.Fatalf("%d samples, %v", len(samples), err)
		}
		for _, s := range samples {
			if n := len(m.Tokenizer.Encode(s.Context)); n > tokens || n < tokens-25 {
				t.Errorf("%s has %d tokens, %d were asked for", s.ID, n, tokens)
			}
		}
		again, err := needleBenchmark.Samples(context.Background(), m, Options{Tokens: tokens, Samples: 30, Seed: 4})
		if err != nil || !reflect.DeepEqual(samples, again) {
			t.Errorf("the same seed makes other samples (%v)", err)
		}
	}
}

func TestHeaderHash(t *testing.T) {
	h := Header{Format: format, Model: "needle", Options: Options{Files: []string{"a"}}}.hashed()
	other := h
	other.Shard, other.Shards, other.Options.Files = 3, 8, []string{"elsewhere/a"}
	if other.hashed().Hash != h.Hash {
		t.Error("a shard on another machine has another hash")
	}
	other.Model = "needle2"
	if other.hashed().Hash == h.Hash {
		t.Error("another model has the same hash")
	}
	b, err := json.Marshal(h)
	if err != nil || !bytes.HasPrefix(b, []byte(`{"format":"kvnotes eval 1"`)) {
		t.Errorf("%s %v", b, err)
	}
}
