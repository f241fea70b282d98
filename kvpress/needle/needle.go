// Package needle holds a small model that was trained for this project, and the little world it knows: texts of
// filler sentences with facts hidden among them. The model lies in the binary, so that a first cell, a test or a
// quality curve needs no download.
//
// Shapes and units: 9.9 MB of bfloat16, 6 layers of 8 query and 4 KV heads; a text is counted in sentences, an answer in words.
package needle

import _ "embed" // the files below

// The files of the model, as in a Hugging Face folder. Do not write to them.
var (
	//go:embed model/config.json
	Config []byte
	//go:embed model/generation_config.json
	GenerationConfig []byte
	//go:embed model/tokenizer.json
	Tokenizer []byte
	//go:embed model/tokenizer_config.json
	TokenizerConfig []byte
	//go:embed model/model.safetensors
	Weights []byte

	//go:embed world.json
	worldJSON []byte
)
