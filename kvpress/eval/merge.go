package eval

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/internal/file"
)

// Merge reads the files of results in a folder (*.jsonl) and puts the shards of each sweep together: a report for every
// sweep, with its records in the order in which one run would have made them. Records that are there twice, from a
// shard that was run again elsewhere, count once, and must say the same but for times and versions. What killed shards
// have not made yet is missing; Missing says so.
func Merge(dir string) ([]*Report, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	sweeps := map[string]*merging{}
	var all []*merging
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(text, '\n') < 0 {
			continue // killed before its header was whole
		}
		part, err := Load(path)
		if err != nil {
			return nil, err
		}
		m := sweeps[part.Header.Hash]
		if m == nil {
			m = &merging{from: map[int]string{}, at: map[int]Record{}, header: part.Header}
			sweeps[part.Header.Hash] = m
			all = append(all, m)
		}
		if err := m.add(path, part); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there are no results in %s: name the folder that --out named", dir)
	}
	var reports []*Report
	for _, m := range all {
		reports = append(reports, m.report())
	}
	return reports, nil
}

// A merging is a sweep whose shards come together.
type merging struct {
	header Header
	at     map[int]Record // by number
	from   map[int]string // the file of each
	short  []string       // shards that are not done
}

func (m *merging) add(path string, part *Report) error {
	if n := part.Header.ShardRecords; len(part.Records) < n {
		m.short = append(m.short, fmt.Sprintf("%s has %d of %d records", path, len(part.Records), n))
	}
	for _, r := range part.Records {
		old, there := m.at[r.Number]
		if !there {
			m.at[r.Number], m.from[r.Number] = r, path
			continue
		}
		old.Versions = r.Versions
		if !old.same(r) {
			return fmt.Errorf("record %d (%s of %s) is in %s and in %s, with different contents: take one of the files away", r.Number, r.Press, r.Sample, m.from[r.Number], path)
		}
	}
	return nil
}

func (m *merging) report() *Report {
	r := &Report{Header: m.header, unfinished: m.short}
	r.Header.Shard, r.Header.Shards, r.Header.ShardRecords = 0, 1, r.Header.Records
	for _, record := range m.at {
		r.Records = append(r.Records, record)
	}
	slices.SortFunc(r.Records, func(a, b Record) int { return cmp.Compare(a.Number, b.Number) })
	return r
}

// Missing says which records a merged report lacks; nil when it is whole.
func (r *Report) Missing() error {
	n := r.Header.ShardRecords - len(r.Records)
	if n <= 0 {
		return nil
	}
	text := fmt.Sprintf("%d of %d records of %s on %s are missing", n, r.Header.ShardRecords, r.Header.Benchmark, r.Header.Model)
	if len(r.unfinished) > 0 {
		text += ": " + strings.Join(r.unfinished, ", ")
	}
	return fmt.Errorf("%s: run the shards that are not done once more, with the same options", text)
}

// Save writes the report to a file of results, compressed by gzip if it is called .gz, as Load reads it.
func (r *Report) Save(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("saving results: %w", err)
	}
	write := func(w io.Writer) error { return writeLines(w, &r.Header, r.Records) }
	if filepath.Ext(path) == ".gz" {
		plain := write
		write = func(w io.Writer) error {
			z := gzip.NewWriter(w)
			return errors.Join(plain(z), z.Close())
		}
	}
	if err := file.Replace(path, 0o644, write); err != nil {
		return fmt.Errorf("saving results: %w", err)
	}
	return nil
}

// Difference says where two reports differ in anything but times; empty when they do not.
func Difference(a, b *Report) string {
	if a.Header.Hash != b.Header.Hash {
		return "they are of different sweeps: " + a.Header.differences(b.Header)
	}
	for i := range min(len(a.Records), len(b.Records)) {
		if x, y := a.Records[i], b.Records[i]; !x.same(y) {
			before, err1 := json.Marshal(x.WithoutSeconds())
			after, err2 := json.Marshal(y.WithoutSeconds())
			if err1 != nil || err2 != nil {
				return fmt.Sprintf("record %d cannot be written", x.Number)
			}
			return fmt.Sprintf("record %d:\n%s\n%s", x.Number, before, after)
		}
	}
	if len(a.Records) != len(b.Records) {
		return fmt.Sprintf("one has %d records, the other %d", len(a.Records), len(b.Records))
	}
	return ""
}
