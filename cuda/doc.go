// Package cuda runs models on NVIDIA GPUs: an llm.Backend whose cache is ragged on the device too. Every KV head has
// pages of its own, so that heads differ in length, appending costs the same at any length, and what a press drops is
// memory that the next session gets. Attention divides the pairs of all heads into pieces of one length, so that long
// heads keep the whole card busy, and reads every pair once for all query heads that share it.
//
// The backend is built with the tag cuda and cgo (make cuda); a binary without it says so when asked for the device.
// Its kernels are compiled beforehand and lie in the binary: cubins for compute capability 8.0 and 9.0, and PTX that
// the driver compiles for other cards, and for all where KVNOTES_CUDA_PTX is set. A machine that runs it needs the driver
// and nothing else; without a driver the binary starts all the same and says what is missing.
//
// Weights in bfloat16 and float16 stay as they are; keys and values are bfloat16, or in few bits where a press asks for it:
// quantise, quantise(bits=4) and quantise(float=true) store 8 bits, 4 bits and FP8, as on the processor.
//
// A prefill takes blocks of rows through a layer. Its matrix products are cuBLAS's where that is found when it runs, its
// attention our own on cards of compute capability 9.0 and cuDNN's on others, where that is found; our own kernels do what
// is left. KVNOTES_CUBLAS and KVNOTES_CUDNN name the paths of these libraries, and "none" leaves them out; a cuDNN that is
// named is used on every card. Both attentions read the pages of the ragged cache where they lie.
//
// Shapes and units: as in package cpu; on the device activations are (rows, Width) and pages hold pairs of one KV head; memory
// in bytes, times in seconds.
package cuda

import "github.com/kvnotes/kvnotes/kvpress/llm"

func init() {
	llm.RegisterDevice("cuda", func() (llm.Backend, error) { return New(Options{}) })
}

// Options say how a Backend computes.
type Options struct {
	// Device is the number of the GPU, from 0.
	Device int
	// Float32 keeps keys, values and other weights than bfloat16 ones in float32 and leaves the tensor cores alone:
	// slow, and as close to the CPU backend as sums in another order allow. Otherwise they are bfloat16.
	Float32 bool
}
