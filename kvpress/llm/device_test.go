package llm_test

import (
	"os"

	"github.com/kvnotes/kvnotes/cuda"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// device is what the tests run on: the processor, or the GPU where KVNOTES_BACKEND says cuda.
func device() llm.Backend {
	if os.Getenv("KVNOTES_BACKEND") != "cuda" {
		return cpu.New()
	}
	b, err := cuda.New(cuda.Options{Float32: true})
	if err != nil {
		panic(err)
	}
	return b
}
