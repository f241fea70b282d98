package eval

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
)

// A Record is one answer, as it stands in a line of a file of results. Times are in one field, the last one: without
// it, the same sweep writes the same bytes every time.
type Record struct {
	Number        int           `json:"n"` // of the answer in the whole sweep, from 0
	Benchmark     string        `json:"benchmark"`
	Task          string        `json:"task"`
	Sample        string        `json:"sample"`
	QuestionAware bool          `json:"question_aware,omitempty"` // the question was part of what was compressed
	Context       string        `json:"context"`                  // hash of the context; samples that share it were read once
	Prompt        string        `json:"prompt"`                   // hash of context, question and the answer's prefix
	Template      string        `json:"template"`                 // hash of what the chat template puts around a text
	Model         string        `json:"model"`
	Backend       string        `json:"backend"`
	Press         string        `json:"press"` // as spelled; "none" for the whole cache
	Ratio         float64       `json:"ratio"` // removed: as asked, or as measured where the budget is not a ratio
	Tokens        TokenCounts   `json:"tokens"`
	Answer        string        `json:"answer"`
	Measures      []Measure     `json:"measures,omitempty"`
	Kept          int           `json:"kept"`     // pairs of all layers and heads
	KVBytes       int64         `json:"kv_bytes"` // of the pages that hold them
	Error         string        `json:"error,omitempty"`
	Versions      Versions      `json:"versions"`
	Seconds       RecordSeconds `json:"seconds"`
}

// TokenCounts are lengths of the parts of a sample, in tokens.
type TokenCounts struct {
	Context  int `json:"context"`
	Question int `json:"question"` // with what the chat template adds, and the answer's prefix
	Answer   int `json:"answer"`
}

// Versions say what made a record.
type Versions struct {
	Kvnotes string `json:"kvnotes"` // version or commit, as the program was built
	Go      string `json:"go"`
	Files   string `json:"files"` // hash of the model's files
}

// RecordSeconds are the times of a record.
type RecordSeconds struct {
	Prefill float64 `json:"prefill"` // of the context, shared by all answers about it
	Press   float64 `json:"press"`   // shared by all answers from the pressed copy
	Answer  float64 `json:"answer"`  // answers made side by side share their time equally
}

// hash shortens texts to 16 hexadecimal digits.
func hash(texts ...string) string {
	sum := sha256.New()
	for _, t := range texts {
		sum.Write([]byte(t))
		sum.Write([]byte{0})
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

const module = "github.com/kvnotes/kvnotes"

// build is the version of this module in the running program: its release, or the commit it was built from.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, d := range info.Deps {
		if d.Path == module {
			version = d.Version
		}
	}
	if strings.Trim(version, "()") == "devel" || version == "" {
		version = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				version = s.Value[:12]
			}
		}
	}
	return version
}

// versions of the program and of a model with that fingerprint.
func versions(fingerprint string) Versions {
	return Versions{Kvnotes: build(), Go: runtime.Version(), Files: fingerprint[:min(16, len(fingerprint))]}
}

// WithoutSeconds is the record without its times: what two runs have in common.
func (r Record) WithoutSeconds() Record {
	r.Seconds = RecordSeconds{}
	return r
}

// same reports records that differ in their times only.
func (r Record) same(other Record) bool {
	a, err1 := json.Marshal(r.WithoutSeconds())
	b, err2 := json.Marshal(other.WithoutSeconds())
	return err1 == nil && err2 == nil && string(a) == string(b)
}
