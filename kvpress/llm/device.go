package llm

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// devices are the backends of this binary, by name.
var devices = struct {
	sync.Mutex
	open map[string]func() (Backend, error)
}{open: map[string]func() (Backend, error){}}

// RegisterDevice makes a backend known to Open. Packages cpu and cuda do so themselves when they are imported.
func RegisterDevice(name string, open func() (Backend, error)) {
	devices.Lock()
	defer devices.Unlock()
	devices.open[name] = open
}

// processor is the device that is always there.
const processor = "cpu"

// Open loads a model as Load does, on a device by name: "cpu", "cuda", or "auto" for a GPU where one starts and the
// processor elsewhere. LLM.Device says which it is, and why.
func Open(name, device string, options ...Options) (*LLM, error) {
	b, said, err := openDevice(device)
	if err != nil {
		return nil, err
	}
	m, err := Load(name, b, options...)
	if err != nil {
		return nil, err
	}
	m.device = said
	return m, nil
}

// openDevice starts a device and tells its name and, where it is not the one that was hoped for, why.
func openDevice(device string) (b Backend, said string, err error) {
	devices.Lock()
	defer devices.Unlock()
	var names []string
	for name := range devices.open {
		if name != processor {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = append(names, processor)
	if device != "auto" {
		open, ok := devices.open[device]
		if !ok {
			return nil, "", fmt.Errorf("device %q is none of %s and auto: import the package that has it", device, strings.Join(names, ", "))
		}
		b, err = open()
		return b, device, err
	}
	var why []string
	for _, name := range names {
		open, ok := devices.open[name]
		if !ok {
			continue
		}
		if b, err = open(); err != nil {
			why = append(why, err.Error())
			continue
		}
		if said = name; why != nil {
			said += " (" + strings.Join(why, "; ") + ")"
		}
		return b, said, nil
	}
	return nil, "", fmt.Errorf("no device starts: %s: import kvpress/cpu", strings.Join(why, "; "))
}

// Device is the device that the model runs on; where auto found no GPU it says why.
func (m *LLM) Device() string {
	if m.device == "" {
		return m.Backend()
	}
	return m.device
}
