package metrics

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// A golden table is rows of [metric, answer, arguments..., numbers]. KVNOTES_METRICS names another one, which
// testdata/golden.py made with another seed.
func golden(t *testing.T) [][]json.RawMessage {
	path := "testdata/golden.json"
	if p := os.Getenv("KVNOTES_METRICS"); p != "" {
		path = p
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]json.RawMessage
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestGolden(t *testing.T) {
	worst, count := 0.0, map[string]int{}
	for i, row := range golden(t) {
		arg := func(n int, to interface{}) {
			if err := json.Unmarshal(row[n], to); err != nil {
				t.Fatalf("row %d: %v", i, err)
			}
		}
		var metric, a, b, c string
		var list []string
		var yes bool
		var want, got []float64
		arg(0, &metric)
		arg(1, &a)
		arg(len(row)-1, &want)
		switch metric {
		case "string_match":
			arg(2, &list)
			arg(3, &yes)
			got = []float64{StringMatch(a, list, yes)}
		case "classification":
			arg(2, &b)
			arg(3, &list)
			got = []float64{Classification(a, b, list), ClassificationOriginal(a, b, list)}
		case "longbench":
			var classes []string
			arg(2, &b)
			arg(3, &list)
			arg(4, &classes)
			for _, score := range []func(task, answer string, references, classes []string, e bool) float64{LongBench, LongBenchOriginal} {
				got = append(got, score(b, a, list, classes, false), score(b, a, list, classes, true))
			}
		case "code_debug":
			arg(2, &b)
			arg(3, &c)
			got = []float64{CodeDebug(a, b, c)}
		case "longbook_choice", "dialogue", "math_calc":
			arg(2, &list)
			got = []float64{map[string]func(string, []string) float64{"longbook_choice": LongbookChoice, "dialogue": Dialogue, "math_calc": MathCalc}[metric](a, list)}
		default:
			arg(2, &b)
			got = pairs[metric](a, b)
		}
		if len(got) != len(want) {
			t.Fatalf("row %d, %s: %v, want %v", i, metric, got, want)
		}
		for k := range want {
			off := math.Abs(got[k] - want[k])
			worst = max(worst, off)
			if off > 1e-9 {
				t.Errorf("row %d, %s: %v, want %v: %s", i, metric, got, want, row)
				break
			}
		}
		count[metric]++
	}
	t.Logf("largest difference %.1e over %v", worst, count)
}

// pairs are the metrics of two texts.
var pairs = map[string]func(a, b string) []float64{
	"rouges": func(a, b string) []float64 {
		r := RougeScores(a, b)
		return []float64{r.One.Precision, r.One.Recall, r.One.F, r.Two.Precision, r.Two.Recall, r.Two.F, r.L.Precision, r.L.Recall, r.L.F}
	},
	"lsum":            func(a, b string) []float64 { return []float64{RougeLSum(a, b)} },
	"bleu":            func(a, b string) []float64 { return []float64{BLEU(a, b, 1), BLEU(a, b, 4)} },
	"meteor":          func(a, b string) []float64 { return []float64{METEOR(a, b)} },
	"qa_f1":           func(a, b string) []float64 { return []float64{QAF1(a, b)} },
	"character_f1":    func(a, b string) []float64 { return []float64{CharacterF1(a, b)} },
	"code_similarity": func(a, b string) []float64 { return []float64{CodeSimilarity(a, b)} },
	"count":           func(a, b string) []float64 { return []float64{CountShare(a, b)} },
	"retrieval":       func(a, b string) []float64 { return []float64{Retrieval(a, b)} },
	"correct_answer":  func(a, b string) []float64 { return []float64{CorrectAnswer(a, b)} },
	"kv_retrieval":    func(a, b string) []float64 { return []float64{KVRetrieval(a, b)} },
	"first_number":    func(a, b string) []float64 { return []float64{FirstNumber(a, b)} },
	"code_run":        func(a, b string) []float64 { return []float64{CodeRun(a, b)} },
	"math_find":       func(a, b string) []float64 { return []float64{MathFind(a, b)} },
	"boxed": func(a, b string) []float64 {
		score, answered := Boxed(a, b)
		return []float64{score, one(answered), AIMEOriginal(a, b), MATHOriginal(a, b)}
	},
	"cloze": func(a, b string) []float64 {
		var all []float64
		for _, score := range []func(a, b string) (Cloze, error){ClozeScore, ClozeOriginal} {
			c, err := score(a, b)
			if err != nil {
				return nil
			}
			all = append(all, float64(c.Exact), float64(c.ExactOf), float64(c.Partial), float64(c.PartialOf))
		}
		return all
	},
}
