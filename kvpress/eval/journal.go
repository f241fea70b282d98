package eval

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A journal is a file of results that only grows: a header, then a record a line. Whatever moment the writer is killed
// at, the file is whole but for its last line, which the next writer cuts off.
type journal struct {
	file *os.File
}

// openJournal opens a file for the sweep of a header, or makes it, and returns the records that it has.
func openJournal(path string, h Header) (*journal, []Record, error) {
	if filepath.Ext(path) == ".gz" {
		return nil, nil, fmt.Errorf("results in %s: a compressed file cannot grow line by line: name a .jsonl file", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, nil, fmt.Errorf("results: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("results: %w", err)
	}
	j := &journal{file: f}
	records, err := j.begin(h)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("results in %s: %w", path, err), f.Close())
	}
	return j, records, nil
}

func (j *journal) begin(h Header) ([]Record, error) {
	if err := lock(j.file); err != nil {
		return nil, fmt.Errorf("another run writes to it: wait for that, or name another file (%w)", err)
	}
	text, err := io.ReadAll(j.file)
	if err != nil {
		return nil, err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	var records []Record
	if begin := []byte(`{"format":`); whole > 0 {
		var old Header
		if old, records, err = parse(text[:whole]); err != nil {
			return nil, err
		}
		if old.Hash != h.Hash || old.Shard != h.Shard || old.Shards != h.Shards {
			return nil, fmt.Errorf("it belongs to another sweep (%s): go on with the same options, or name another file", old.differences(h))
		}
	} else if !bytes.HasPrefix(text, begin) && !bytes.HasPrefix(begin, text) {
		return nil, errors.New("it is no file of results: name another one")
	}
	// Nothing is cut off before the file is known to be ours.
	if err := j.file.Truncate(int64(whole)); err != nil {
		return nil, err
	}
	if whole == 0 {
		err = writeLines(j.file, &h, nil)
	}
	return records, err
}

// parse reads whole lines.
func parse(text []byte) (h Header, records []Record, err error) {
	for number := 1; len(text) > 0; number++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		if number == 1 {
			if err := json.Unmarshal(line, &h); err != nil || h.Format != format {
				return h, nil, fmt.Errorf("its first line is no header of %q", format)
			}
			continue
		}
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return h, nil, fmt.Errorf("line %d is damaged (%w): take that line and all after it away, and the run goes on from there", number, err)
		}
		records = append(records, r)
	}
	return h, records, nil
}

// append adds records with a single call to the system.
func (j *journal) append(records []Record) error {
	var b bytes.Buffer
	if err := writeLines(&b, nil, records); err != nil {
		return err
	}
	_, err := j.file.Write(b.Bytes())
	return err
}

// writeLines writes a header, if there is one, and records, a line each.
func writeLines(w io.Writer, h *Header, records []Record) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if h != nil {
		if err := enc.Encode(h); err != nil {
			return err
		}
	}
	for i := range records {
		if err := enc.Encode(records[i]); err != nil {
			return err
		}
	}
	return nil
}

// close lets others write to the file.
func (j *journal) close() error { return j.file.Close() }

// Load reads a file of results, compressed by gzip if it is called .gz. A last line that was cut off by a kill does not
// count.
func Load(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err == nil && filepath.Ext(path) == ".gz" {
		text, err = unzip(text)
	}
	if err != nil {
		return nil, fmt.Errorf("results in %s: %w", path, err)
	}
	h, records, err := parse(text[:bytes.LastIndexByte(text, '\n')+1])
	if err == nil && h.Format == "" {
		err = errors.New("it has no header")
	}
	if err != nil {
		return nil, fmt.Errorf("results in %s: %w", path, err)
	}
	return &Report{Header: h, Records: records}, nil
}

func unzip(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
