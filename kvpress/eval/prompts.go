package eval

import (
	_ "embed" // the prompts
	"encoding/json"
)

// A prompt of a task, as the benchmark's authors wrote it and kvpress cut it: what goes around the context, the question
// and the first words of the answer, and the longest answer in tokens.
type prompt struct {
	Context, Question, Prefix string
	Tokens                    int
}

// prompts of LongBench, LooGLE and InfiniteBench, by benchmark and task (NOTICE).
var prompts = func() (all map[string]map[string]prompt) {
	if err := json.Unmarshal(promptsJSON, &all); err != nil {
		panic("eval: the embedded prompts are damaged: " + err.Error()) // a broken build
	}
	return all
}()

//go:embed prompts.json
var promptsJSON []byte

// generous is how much longer than the authors' answers kvpress lets those of LongBench and InfiniteBench be.
const generous = 20
