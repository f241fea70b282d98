package main

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// openModel loads a model on the device that a command's --backend names.
func openModel(name, backend string) (*llm.LLM, error) {
	if backend != "cpu" {
		return nil, fmt.Errorf("backend %q is not in this binary (there is: cpu)", backend)
	}
	return llm.Load(name, cpu.New())
}
