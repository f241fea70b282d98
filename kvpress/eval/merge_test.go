package eval

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
)

// shards runs a sweep in n parts into a folder.
func shards(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		s := small(t, filepath.Join(dir, fmt.Sprintf("%d-of-%d.jsonl", i, n)))
		s.Shard, s.Shards, s.Closeness = i, n, true
		run(t, s)
	}
}

// TestShardsMakeTheWhole has fewer shards than contexts, as many, more, and more than there is work for.
func TestShardsMakeTheWhole(t *testing.T) {
	s := small(t, "")
	s.Closeness = true
	whole := run(t, s)
	for _, n := range []int{1, 3, 14} {
		dir := t.TempDir()
		shards(t, dir, n)
		merged, err := Merge(dir)
		if err != nil || len(merged) != 1 {
			t.Fatalf("%d shards: %v", n, err)
		}
		if err := merged[0].Missing(); err != nil {
			t.Error(err)
		}
		if d := Difference(whole, merged[0]); d != "" {
			t.Errorf("%d shards: %s", n, d)
		}
		path := filepath.Join(dir, "merged", "all.jsonl")
		if err := merged[0].Save(path); err != nil {
			t.Fatal(err)
		}
		s.File = path // one run goes on where merged shards stand, and finds nothing left to do
		if r := run(t, s); r.Resumed != 25 {
			t.Errorf("%d of 25 records are found in the merged file", r.Resumed)
		}
		s.File = ""
	}
}

func TestMergeDuplicatesAndHalfShards(t *testing.T) {
	dir := t.TempDir()
	shards(t, dir, 2)
	read := func(name string) string { return string(must(os.ReadFile(filepath.Join(dir, name)))) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := read("1-of-2.jsonl")
	lines := strings.SplitAfter(second, "\n")
	write("again.jsonl", strings.Join(lines[:4], "")+lines[4][:9]) // the same shard, killed on another machine
	write("empty.jsonl", "")
	write("torn.jsonl", `{"format":"kvno`)
	merged, err := Merge(dir)
	if err != nil || len(merged) != 1 || merged[0].Missing() != nil || len(merged[0].Records) != 25 {
		t.Fatalf("%v, %v", merged, err)
	}
	write("1-of-2.jsonl", strings.Join(lines[:6], ""))
	merged, err = Merge(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := merged[0].Missing(); err == nil || !strings.Contains(err.Error(), "5 of 25") || !strings.Contains(err.Error(), "1-of-2.jsonl has 5 of 10") {
		t.Errorf("half a shard: %v", err)
	}
	write("again.jsonl", strings.Join(lines[:2], "")+strings.Replace(lines[2], `"answer":"`, `"answer":"not `, 1))
	if _, err := Merge(dir); err == nil || !strings.Contains(err.Error(), "different contents") {
		t.Errorf("two answers for one record: %v", err)
	}
	write("again.jsonl", strings.Join(lines[:2], "")+"nothing\n")
	if _, err := Merge(dir); err == nil || !strings.Contains(err.Error(), "again.jsonl: line 3") {
		t.Errorf("a damaged file: %v", err)
	}
	if _, err := Merge(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no results") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestDifference(t *testing.T) {
	r := run(t, small(t, ""))
	other := *r
	other.Records = append([]Record(nil), r.Records...)
	other.Records[3].Seconds.Answer++
	if d := Difference(r, &other); d != "" {
		t.Error(d)
	}
	other.Records[3].Answer += "!"
	if d := Difference(r, &other); !strings.Contains(d, "record 3") {
		t.Error(d)
	}
	other.Records = r.Records[:7]
	if d := Difference(r, &other); !strings.Contains(d, "25 records, the other 7") {
		t.Error(d)
	}
	other.Header.Hash, other.Header.Model = "x", "y"
	if d := Difference(r, &other); !strings.Contains(d, "model is") {
		t.Error(d)
	}
}

func TestEfficiency(t *testing.T) {
	presses, err := kvpress.ParseSweep("snapkv(window=16), global(knorm), kvzip", kvpress.Tokens(100))
	if err != nil {
		t.Fatal(err)
	}
	all, err := MeasureEfficiency(context.Background(), loaded(t), Efficiency{Contexts: []int{150, 300}, Presses: presses, Tokens: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + EfficiencyTable(all))
	rows := len(presses) + 1
	if len(all) != 2*rows {
		t.Fatalf("%d rows", len(all))
	}
	for i, l := range all {
		if l.TokenMillis <= 0 || l.MedianMillis <= 0 || l.PrefillMillis <= 0 || l.PeakBytes < l.KVBytes || l.Context != []int{150, 300}[i/rows] {
			t.Errorf("row %d: %+v", i, l)
		}
	}
	none, snapkv, global := all[rows], all[rows+1], all[rows+2]
	if none.Kept != 300*24 || snapkv.Kept != 100*24 || none.Press != "none" {
		t.Errorf("kept %d and %d of 24 heads", none.Kept, snapkv.Kept)
	}
	// Layer by layer, one of six layers is whole at a time; a press that waits has them all.
	if snapkv.PeakBytes*10 > none.PeakBytes*6 || global.PeakBytes < none.PeakBytes || all[0].PeakBytes*3 > none.PeakBytes*2 {
		t.Errorf("peaks: none %d, snapkv %d, global %d, and none of half the length %d", none.PeakBytes, snapkv.PeakBytes, global.PeakBytes, all[0].PeakBytes)
	}
	if _, err := MeasureEfficiency(context.Background(), loaded(t), Efficiency{Contexts: []int{4090}, Tokens: 50}); err == nil || !strings.Contains(err.Error(), "positions") {
		t.Errorf("past the model's positions: %v", err)
	}
}
