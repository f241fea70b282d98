package llm_test

import (
	"context"
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/internal/reference"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// TestReferenceDuoPattern compares the pattern measured from texts with the Python original's.
func TestReferenceDuoPattern(t *testing.T) {
	for _, root := range reference.Roots(t) {
		g, err := reference.Load(filepath.Join(root, "tiny", "llama"))
		if err != nil {
			t.Fatal(err)
		}
		var names struct{ Texts, Scores string }
		if g.Header["duo_on_the_fly"] == nil {
			continue
		}
		if err := json.Unmarshal(g.Header["duo_on_the_fly"], &names); err != nil {
			t.Fatal(err)
		}
		m, err := llm.Load(filepath.Join(root, "models", "llama"), cpu.New())
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := g.Ints(names.Texts)
		if err != nil {
			t.Fatal(err)
		}
		const length = 60
		var texts []string
		for ; len(bytes) > 0; bytes = bytes[length:] {
			var b strings.Builder
			for _, c := range bytes[:length] {
				b.WriteByte(byte(c))
			}
			texts = append(texts, b.String())
		}
		want, shape, err := g.Floats(names.Scores)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.DuoPattern(context.Background(), texts)
		if err != nil {
			t.Fatal(err)
		}
		if got.Rows != shape[0] || got.Cols != shape[1] {
			t.Fatalf("the pattern is (%d, %d), the reference's %v", got.Rows, got.Cols, shape)
		}
		worst := 0.0
		for i, v := range got.Data {
			worst = max(worst, math.Abs(float64(v-want[i])))
		}
		t.Logf("%d texts, largest difference %.1e", len(texts), worst)
		if worst > 1e-4 {
			t.Errorf("patterns differ by %g", worst)
		}
	}
}

// TestQueryStatistics compares pooled moments with plain sums over all queries of all texts.
func TestQueryStatistics(t *testing.T) {
	m := loadNeedle(t)
	texts := []string{strings.Repeat("Kofi lives in Oslo. ", 4), "Irene was born in Lima.", "A", strings.Repeat("Who is the best friend of Nils? ", 7)}
	const skip = 3
	stats, err := m.QueryStatistics(context.Background(), texts, skip)
	if err != nil {
		t.Fatal(err)
	}
	const layer, head = 1, 2
	var rows [][]float32
	for _, text := range texts {
		s, err := m.PrefillTokens(context.Background(), m.Tokenizer.Encode(text), llm.Full())
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Layer(layer)
		if err != nil {
			t.Fatal(err)
		}
		q, err := l.Queries(head, s.Len())
		if err != nil {
			t.Fatal(err)
		}
		for i := skip; i < q.Rows; i++ {
			rows = append(rows, q.Row(i))
		}
	}
	near := func(what string, got float32, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > 1e-4*math.Max(1, math.Abs(want)) {
			t.Errorf("%s is %v, plain sums give %v", what, got, want)
		}
	}
	mean := make([]float64, m.Config.Dim)
	for i := range mean {
		for _, r := range rows {
			mean[i] += float64(r[i]) / float64(len(rows))
		}
		near("mean", stats.Mean[layer].At(head, i), mean[i])
	}
	for i := range mean {
		for j := range mean {
			sum := 0.0
			for _, r := range rows {
				sum += (float64(r[i]) - mean[i]) * (float64(r[j]) - mean[j])
			}
			near("covariance", stats.Cov[layer][head].At(i, j), sum/float64(len(rows)-1))
		}
	}
	if _, err := m.QueryStatistics(context.Background(), nil, 4); err == nil {
		t.Error("no texts are no error")
	}
}
