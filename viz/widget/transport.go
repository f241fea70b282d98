// Package widget makes the sliders, menus and buttons of ipywidgets 8 from Go: a widget is shown in a notebook as any
// value is, and calls back when the reader moves it. It speaks the comm messages of the target "jupyter.widget", so
// JupyterLab and Notebook show it with the ipywidgets they have installed.
//
//	ratio := widget.NewFloatSlider("ratio", 0.5, 0, 0.95, 0.05)
//	ratio.OnChange(func() { out.SetValue(draw(ratio.Value())) })
//	widget.NewVBox(ratio, out)
//
// Shapes and units: values as the control shows them, widths in pixels or CSS units.
package widget

import (
	"errors"
	"maps"
	"slices"
	"sync"
)

// A Comm is a channel to one part of the front end.
type Comm interface {
	ID() string
	Send(data map[string]interface{}, buffers [][]byte) error
	Close() error
}

// A Receiver is called with what the front end sends. Stale says that a newer message of the same channel waits: what
// this one says need not be acted upon. It is never called beside a running cell.
type Receiver func(data map[string]interface{}, buffers [][]byte, stale bool)

// A Transport carries messages between widgets and the front end; the kernel is one.
type Transport interface {
	// Open opens a channel to the front end.
	Open(target string, data, metadata map[string]interface{}, buffers [][]byte, receive Receiver) (Comm, error)
	// Accept lets the front end open channels of a target.
	Accept(target string, opened func(Comm) Receiver)
	// Parent is the id of the request whose output it is now. What was written before has been delivered.
	Parent() string
}

// The targets of ipywidgets' channels.
const (
	target        = "jupyter.widget"
	controlTarget = "jupyter.widget.control"
	protocol      = "2.1.0" // of the messages on them
)

var kernel struct {
	sync.Mutex
	transport Transport
	models    map[string]*Model // open, by the id of their channel
}

var errNoKernel = errors.New("widgets live in a notebook: show this one in a cell")

// Connect says what carries messages from now on; nil means nothing does.
func Connect(t Transport) {
	kernel.Lock()
	kernel.transport, kernel.models = t, map[string]*Model{}
	kernel.Unlock()
	if t != nil {
		t.Accept(controlTarget, control)
	}
}

func transport() (Transport, error) {
	kernel.Lock()
	defer kernel.Unlock()
	if kernel.transport == nil {
		return nil, errNoKernel
	}
	return kernel.transport, nil
}

// control answers a page that was loaded again and wants to know all widgets.
func control(c Comm) Receiver {
	return func(data map[string]interface{}, _ [][]byte, _ bool) {
		if data["method"] != "request_states" {
			return
		}
		kernel.Lock()
		models := slices.Collect(maps.Values(kernel.models))
		kernel.Unlock()
		states, paths := map[string]interface{}{}, [][]interface{}{}
		var buffers [][]byte
		for _, m := range models {
			id, state, own, parts := m.snapshot()
			if id == "" {
				continue
			}
			states[id] = map[string]interface{}{
				"model_name": state["_model_name"], "model_module": state["_model_module"], "model_module_version": state["_model_module_version"], "state": state,
			}
			for i, path := range own {
				paths = append(paths, append([]interface{}{id, "state"}, path...))
				buffers = append(buffers, parts[i])
			}
		}
		// The page asks again, widget by widget, if this answer is lost.
		_ = c.Send(map[string]interface{}{"method": "update_states", "states": states, "buffer_paths": paths}, buffers)
	}
}
