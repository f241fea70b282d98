package main

import (
	"fmt"
	"os"

	"github.com/kvnotes/kvnotes/cuda"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// openModel loads a model on the device that a command's --backend names.
func openModel(name, backend string) (*llm.LLM, error) {
	switch backend {
	case "cpu":
		return llm.Load(name, cpu.New())
	case "cuda":
		b, err := cuda.New(cuda.Options{})
		if err != nil {
			return nil, err
		}
		return llm.Load(name, b)
	case "auto":
		b, err := cuda.New(cuda.Options{})
		if err != nil {
			b = cpu.New()
		}
		fmt.Fprintln(os.Stderr, "backend:", b.Name())
		return llm.Load(name, b)
	}
	return nil, fmt.Errorf("backend %q is none of cpu, cuda and auto", backend)
}
