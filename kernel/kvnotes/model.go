package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// openModel loads a model on the device that a command's --backend names, its weights held as --weights says, and says
// which device auto took.
func openModel(name, backend, held string) (*llm.LLM, error) {
	m, err := llm.Open(name, backend, llm.Options{Weights: held})
	if err == nil && backend == "auto" {
		fmt.Fprintln(os.Stderr, "backend:", m.Device())
	}
	return m, err
}

// weightsFlag is the flag --weights of every command that runs a model.
func weightsFlag(c *cobra.Command, held *string) {
	modes := llm.WeightModes()
	c.Flags().StringVar(held, "weights", modes[0], "how to hold weights: "+strings.Join(modes, ", ")+"; stored is as the file has them: bf16, or a GGUF file's groups")
}
