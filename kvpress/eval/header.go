package eval

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// format is the first word of a file of results.
const format = "kvnotes eval 1"

// A Header is the first line of a file of results: what was asked for. Only the same sweep may go on with the file, or
// be merged with it.
type Header struct {
	Format        string   `json:"format"`
	Hash          string   `json:"hash"` // of everything below but the shard and the places of files
	Benchmark     string   `json:"benchmark"`
	Options       Options  `json:"options"`
	Samples       string   `json:"samples"` // hash of all of them
	Model         string   `json:"model"`
	Files         string   `json:"files"`    // hash of the model's files
	Template      string   `json:"template"` // hash of what the chat template puts around a text
	Backend       string   `json:"backend"`
	Presses       []string `json:"presses"`
	QuestionAware bool     `json:"question_aware"`
	Closeness     bool     `json:"closeness"`
	Records       int      `json:"records"` // of the whole sweep
	Shard         int      `json:"shard"`   // the part that the file holds, from 0
	Shards        int      `json:"shards"`
	ShardRecords  int      `json:"shard_records"` // that the file will hold in the end
}

// hashed fills in the hash.
func (h Header) hashed() Header {
	content := h
	content.Hash, content.Shard, content.Shards, content.ShardRecords = "", 0, 0, 0
	content.Options.Files, content.Options.Haystack = nil, "" // what they hold is in the hash of the samples
	b, err := json.Marshal(content)
	if err != nil {
		panic("eval: a header cannot be written: " + err.Error()) // texts and numbers always can
	}
	h.Hash = hash(string(b))
	return h
}

// differences says in which fields two headers differ.
func (h Header) differences(other Header) string {
	a, b := h.fields(), other.fields()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if name != "hash" && a[name] != b[name] {
			all = append(all, fmt.Sprintf("%s is %s, was %s", name, b[name], a[name]))
		}
	}
	return strings.Join(all, "; ")
}

func (h Header) fields() map[string]string {
	b, err := json.Marshal(h)
	if err != nil {
		return nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil
	}
	fields := map[string]string{}
	for name, value := range raw {
		fields[name] = string(value)
	}
	return fields
}
