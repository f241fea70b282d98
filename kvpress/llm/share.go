package llm

import (
	"fmt"
	"sync"
	"weak"

	"github.com/kvnotes/kvnotes/kvpress/hub"
)

// loaded are the decoders that somebody holds, by what they were loaded from: loading a model again takes no memory.
var loaded = struct {
	sync.Mutex
	decoders map[string]weak.Pointer[decoder]
}{decoders: map[string]weak.Pointer[decoder]{}}

// shared finds the decoder of the same files, held in the same way on the processor, and loads it when there is none.
// Other devices have memory of their own, which Close frees: nothing is shared there.
func shared(files *hub.Model, b Backend, o Options, load func() (*decoder, error)) (*decoder, error) {
	if b.Name() != processor || files.Identity == "" {
		return load()
	}
	loaded.Lock()
	defer loaded.Unlock()
	key := fmt.Sprintf("%T %s %s %s", b, o.Weights, files.Identity, files.Config)
	if d := loaded.decoders[key].Value(); d != nil {
		return d, nil
	}
	d, err := load()
	if err == nil {
		loaded.decoders[key] = weak.Make(d)
	}
	return d, err
}
