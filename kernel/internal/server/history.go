package server

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
)

// history remembers the cells of this session, and those of earlier ones from a file.
type history struct {
	mu      sync.Mutex
	file    *os.File
	session int
	entries []entry
}

// An entry is one executed cell.
type entry struct {
	Session int    `json:"session"`
	Line    int    `json:"line"`
	Code    string `json:"code"`
}

// mostEntries is how many cells of earlier sessions are read back.
const mostEntries = 10000

// openHistory reads the file and appends to it from now on. A history that cannot be kept is kept in memory.
func openHistory(name string) *history {
	h := &history{session: 1}
	if name == "" {
		return h
	}
	text, _ := os.ReadFile(name) // there is none before the first session
	for line := range bytes.Lines(text) {
		var e entry
		if json.Unmarshal(line, &e) == nil {
			h.entries = append(h.entries, e)
			h.session = max(h.session, e.Session+1)
		}
	}
	h.entries = h.entries[max(0, len(h.entries)-mostEntries):]
	if os.MkdirAll(filepath.Dir(name), 0o700) == nil {
		h.file, _ = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	}
	if h.file != nil && len(text) > 0 && text[len(text)-1] != '\n' {
		_, _ = h.file.WriteString("\n") // a killed kernel left half a line, which must not spoil the next one
	}
	return h
}

func (h *history) add(line int, code string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := entry{h.session, line, code}
	h.entries = append(h.entries, e)
	if h.file != nil {
		if text, err := json.Marshal(e); err == nil {
			_, _ = h.file.Write(append(text, '\n')) // one line at a time: a killed kernel loses at most the last
		}
	}
}

func (h *history) close() error {
	if h.file == nil {
		return nil
	}
	return h.file.Close()
}

// historyRequest is the content of history_request.
type historyRequest struct {
	Access  string `json:"hist_access_type"` // tail, range, search
	Session int    `json:"session"`          // range: 0 is this one, negative counts back
	Start   int    `json:"start"`
	Stop    int    `json:"stop"`
	N       int    `json:"n"`
	Pattern string `json:"pattern"`
	Unique  bool   `json:"unique"`
	Output  bool   `json:"output"`
}

// find returns (session, line, code) of the cells asked for, oldest first.
func (h *history) find(r historyRequest) [][]interface{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	session := r.Session
	if session <= 0 {
		session += h.session
	}
	var found []entry
	for _, e := range h.entries {
		switch r.Access {
		case "range":
			if e.Session != session || e.Line < r.Start || r.Stop > 0 && e.Line >= r.Stop {
				continue
			}
		case "search":
			if !fits(r.Pattern, e.Code) {
				continue
			}
		}
		found = append(found, e)
	}
	if r.Unique {
		found = unique(found)
	}
	if r.Access != "range" && r.N > 0 {
		found = found[max(0, len(found)-r.N):]
	}
	rows := [][]interface{}{}
	for _, e := range found {
		if r.Output {
			rows = append(rows, []interface{}{e.Session, e.Line, []interface{}{e.Code, nil}})
			continue
		}
		rows = append(rows, []interface{}{e.Session, e.Line, e.Code})
	}
	return rows
}

// fits matches a pattern with *, ? and [] as path.Match does, for which a slash is a letter like others here.
func fits(pattern, code string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(code, "/", "\x00"))
	return err == nil && ok
}

// unique keeps the last entry of each code.
func unique(all []entry) []entry {
	last := map[string]int{}
	for i, e := range all {
		last[e.Code] = i
	}
	var kept []entry
	for i, e := range all {
		if last[e.Code] == i {
			kept = append(kept, e)
		}
	}
	return kept
}
