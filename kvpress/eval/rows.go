package eval

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// A row of a file of questions. What is asked of it and is not there as it should be is kept in err, the first only.
type row struct {
	path    string
	number  int // from 1: the line of a JSONL file
	columns map[string]json.RawMessage
	err     error
}

// eachRow reads a file of JSON lines, a JSON list of objects, or parquet.
func eachRow(path string, f func(r *row) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	number := 0
	next := func(columns map[string]json.RawMessage) error {
		number++
		r := &row{path: path, number: number, columns: columns}
		if err := f(r); err != nil {
			return err
		}
		return r.err
	}
	switch filepath.Ext(path) {
	case ".parquet":
		err = parquetRows(file, next)
	case ".jsonl", ".json":
		err = jsonRows(file, next)
	default:
		return fmt.Errorf("%s: files of questions end in .jsonl, .json or .parquet", path)
	}
	if err != nil && !strings.HasPrefix(err.Error(), path) {
		err = fmt.Errorf("%s: row %d: %w", path, number+1, err)
	}
	return err
}

func jsonRows(file io.Reader, next func(map[string]json.RawMessage) error) error {
	in := bufio.NewReaderSize(file, 1<<16)
	if mark, _ := in.Peek(3); bytes.Equal(mark, []byte("\ufeff")) {
		if _, err := in.Discard(len(mark)); err != nil {
			return err
		}
	}
	d := json.NewDecoder(in)
	list := false
	if begin, _ := in.Peek(64); bytes.HasPrefix(bytes.TrimSpace(begin), []byte("[")) {
		list = true
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	for !list || d.More() {
		var columns map[string]json.RawMessage
		switch err := d.Decode(&columns); {
		case errors.Is(err, io.EOF) && !list:
			return nil
		case err != nil:
			return fmt.Errorf("it is not a JSON object of columns: %w", err)
		}
		if err := next(columns); err != nil {
			return err
		}
	}
	return nil
}

// parquetRows reads rows as JSON, whatever their schema. A damaged file makes the library panic: that is its error here.
func parquetRows(file *os.File, next func(map[string]json.RawMessage) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parquet file is damaged: %v", p)
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	// The library makes room for a footer before it looks whether the file is that long.
	var end [8]byte
	if _, err := file.ReadAt(end[:], max(0, info.Size()-8)); err != nil || int64(binary.LittleEndian.Uint32(end[:])) > info.Size() {
		return errors.New("it is not a parquet file, or the end of it is missing")
	}
	f, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		return fmt.Errorf("it is not a parquet file: %w", err)
	}
	r := parquet.NewGenericReader[any](f)
	defer r.Close()
	some := make([]any, 16)
	for {
		n, err := r.Read(some)
		for _, values := range some[:n] {
			object, err := json.Marshal(values)
			if err != nil {
				return err
			}
			var columns map[string]json.RawMessage
			if err := json.Unmarshal(object, &columns); err != nil {
				return err
			}
			if err := next(columns); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the parquet file is damaged: %w", err)
		}
	}
}

// has says whether a column holds something.
func (r *row) has(column string) bool {
	value, ok := r.columns[column]
	return ok && string(value) != "null"
}

// fail keeps the first error, with its place and the columns that there are.
func (r *row) fail(column, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: row %d: column %s: %s (the columns here are %s)",
			r.path, r.number, column, what, strings.Join(slices.Sorted(maps.Keys(r.columns)), ", "))
	}
}

// text is a column that holds text, or a number.
func (r *row) text(column string) string {
	if !r.has(column) {
		r.fail(column, "it is missing")
		return ""
	}
	text, err := asText(r.columns[column])
	if err != nil {
		r.fail(column, err.Error())
	}
	return text
}

// texts is a column that holds a list of texts; one text is a list of one.
func (r *row) texts(column string) []string {
	if !r.has(column) {
		r.fail(column, "it is missing")
		return nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(r.columns[column], &parts); err != nil {
		return []string{r.text(column)}
	}
	var nested []json.RawMessage
	if len(parts) == 1 && json.Unmarshal(parts[0], &nested) == nil { // [[1, 2]] is [1, 2]
		parts = nested
	}
	all := []string{}
	for _, p := range parts {
		text, err := asText(p)
		if err != nil {
			r.fail(column, err.Error())
		}
		all = append(all, text)
	}
	return all
}

// count is a column that holds a whole number.
func (r *row) count(column string) int {
	text := r.text(column)
	f, err := strconv.ParseFloat(text, 64)
	if r.err == nil && (err != nil || f != float64(int(f)) || f < 0) {
		r.fail(column, fmt.Sprintf("%.20q is not a whole number", text))
	}
	return int(f)
}

func asText(value json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text, nil
	}
	var number json.Number
	if json.Unmarshal(value, &number) == nil {
		return number.String(), nil
	}
	return "", errors.New("it holds neither a text nor a number")
}
