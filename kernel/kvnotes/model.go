package main

import (
	"fmt"
	"os"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// openModel loads a model on the device that a command's --backend names, and says which one auto took.
func openModel(name, backend string) (*llm.LLM, error) {
	m, err := llm.Open(name, backend)
	if err == nil && backend == "auto" {
		fmt.Fprintln(os.Stderr, "backend:", m.Device())
	}
	return m, err
}
