//go:build !(cuda && cgo)

package cuda

import (
	"errors"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Built tells whether this binary has the CUDA backend.
const Built = false

// New reports that this binary has no CUDA backend, and how to get one that has.
func New(Options) (llm.Backend, error) {
	return nil, errors.New("cuda: this binary was built without the CUDA backend: build one with `make cuda` and use bin/kvnotes-cuda")
}
