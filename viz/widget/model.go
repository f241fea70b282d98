package widget

import (
	"fmt"
	"maps"
	"sync"
)

// A Widget is something that a box can hold and a notebook can show.
type Widget interface {
	// ModelID opens the widget if it is not, and is its name in the front end.
	ModelID() (string, error)
	// SimpleRender is what a notebook shows of it.
	SimpleRender() map[string]interface{}
}

// A Model is the state that a widget shares with the front end. All widgets have its methods.
type Model struct {
	mu       sync.Mutex
	comm     Comm
	state    map[string]interface{}
	binary   string // name of the state that travels as bytes; "" for none
	parts    map[string]Widget
	children []Widget
	changed  []func()
	clicked  []func()
}

// A kind is what ipywidgets calls a widget.
type kind struct{ module, version, model, view string }

func controls(name string) kind {
	return kind{"@jupyter-widgets/controls", "2.0.0", name + "Model", name + "View"}
}

// newModel makes the state of a widget. Style is the name of the model that holds its looks; "" for none.
func newModel(k kind, style string, state map[string]interface{}) *Model {
	m := &Model{state: map[string]interface{}{
		"_model_module": k.module, "_model_module_version": k.version, "_model_name": k.model,
		"_view_module": k.module, "_view_module_version": k.version, "_view_name": k.view,
	}, parts: map[string]Widget{}}
	if k.view == "" {
		delete(m.state, "_view_module")
		delete(m.state, "_view_module_version")
		delete(m.state, "_view_name")
		maps.Copy(m.state, state)
		return m
	}
	maps.Copy(m.state, state)
	m.parts["layout"] = newModel(kind{"@jupyter-widgets/base", "2.0.0", "LayoutModel", ""}, "", nil)
	if style != "" {
		m.parts["style"] = newModel(kind{"@jupyter-widgets/controls", "2.0.0", style + "StyleModel", ""}, "", nil)
	}
	return m
}

// reference is how a state names another widget.
func reference(w Widget) (string, error) {
	id, err := w.ModelID()
	return "IPY_MODEL_" + id, err
}

// ModelID opens the widget if it is not, and is its name in the front end.
func (m *Model) ModelID() (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.comm != nil {
		return m.comm.ID(), nil
	}
	t, err := transport()
	if err != nil {
		return "", err
	}
	for name, part := range m.parts {
		if m.state[name], err = reference(part); err != nil {
			return "", err
		}
	}
	if m.children != nil {
		all := make([]string, len(m.children))
		for i, c := range m.children {
			if all[i], err = reference(c); err != nil {
				return "", err
			}
		}
		m.state["children"] = all
	}
	state, paths, buffers := m.message(m.state)
	m.comm, err = t.Open(target, map[string]interface{}{"state": state, "buffer_paths": paths}, map[string]interface{}{"version": protocol}, buffers, m.receive)
	if err != nil {
		return "", err
	}
	kernel.Lock()
	kernel.models[m.comm.ID()] = m
	kernel.Unlock()
	return m.comm.ID(), nil
}

// message is some of the state as it travels: bytes apart, with the paths where they belong.
func (m *Model) message(some map[string]interface{}) (state map[string]interface{}, paths [][]interface{}, buffers [][]byte) {
	state, paths = map[string]interface{}{}, [][]interface{}{}
	for name, v := range some {
		if b, ok := v.([]byte); ok && name == m.binary {
			paths, buffers = append(paths, []interface{}{name}), append(buffers, b)
			continue
		}
		state[name] = v
	}
	return state, paths, buffers
}

// snapshot is the whole state; the id is "" when the widget was closed meanwhile.
func (m *Model) snapshot() (id string, state map[string]interface{}, paths [][]interface{}, buffers [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.comm == nil {
		return "", nil, nil, nil
	}
	state, paths, buffers = m.message(m.state)
	return m.comm.ID(), state, paths, buffers
}

// SimpleRender is what a notebook shows of the widget: itself, or why it cannot be shown.
func (m *Model) SimpleRender() map[string]interface{} {
	id, err := m.ModelID()
	if err != nil {
		return map[string]interface{}{"text/plain": err.Error()}
	}
	return map[string]interface{}{
		"text/plain": m.text(),
		"application/vnd.jupyter.widget-view+json": map[string]interface{}{"version_major": 2, "version_minor": 0, "model_id": id},
	}
}

// text describes the widget where it cannot be shown.
func (m *Model) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := fmt.Sprint(m.state["_view_name"])
	s = s[:max(0, len(s)-len("View"))]
	if label, ok := m.state["description"].(string); ok && label != "" {
		s += " " + label
	}
	if v, ok := m.state["value"]; ok && m.binary == "" {
		s += fmt.Sprintf(": %v", v)
	}
	return s
}

// Set changes a part of the state by its name in ipywidgets, such as "disabled" or "continuous_update".
func (m *Model) Set(name string, value interface{}) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state[name] = value
	if m.comm == nil {
		return nil
	}
	state, paths, buffers := m.message(map[string]interface{}{name: value})
	return m.comm.Send(map[string]interface{}{"method": "update", "state": state, "buffer_paths": paths}, buffers)
}

// Get is a part of the state by its name in ipywidgets; nil if there is none.
func (m *Model) Get(name string) interface{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state[name]
}

// Width sets the width, in any unit of CSS, such as "400px" or "50%".
func (m *Model) Width(css string) error { return m.setPart("layout", "width", css) }

// Height sets the height, in any unit of CSS.
func (m *Model) Height(css string) error { return m.setPart("layout", "height", css) }

// Scroll sets the greatest height, in any unit of CSS; what does not fit is scrolled to.
func (m *Model) Scroll(css string) error {
	if err := m.setPart("layout", "max_height", css); err != nil {
		return err
	}
	return m.setPart("layout", "overflow", "auto")
}

func (m *Model) setPart(part, name string, value interface{}) error {
	p, ok := m.parts[part].(*Model)
	if !ok {
		return fmt.Errorf("this widget has no %s", part)
	}
	return p.Set(name, value)
}

// OnChange calls f when the reader changes the widget: on the kernel's own queue, never beside a running cell, and
// with the latest value only while a slider is dragged.
func (m *Model) OnChange(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = append(m.changed, f)
}

// Close takes the widget off the page.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.comm == nil {
		return nil
	}
	kernel.Lock()
	delete(kernel.models, m.comm.ID())
	kernel.Unlock()
	err := m.comm.Close()
	m.comm = nil
	return err
}

// receive takes what the front end says. The reader's callbacks run without the lock: they may read and set the widget.
func (m *Model) receive(data map[string]interface{}, buffers [][]byte, stale bool) {
	var calls []func()
	switch data["method"] {
	case "update", "echo_update":
		state, ok := data["state"].(map[string]interface{})
		if !ok {
			return
		}
		m.mu.Lock()
		for name, v := range state {
			if old, known := m.state[name]; known {
				m.state[name] = like(old, v)
			}
		}
		if !stale {
			calls = append(calls, m.changed...)
		}
		m.mu.Unlock()
	case "request_state":
		m.mu.Lock()
		state, paths, parts := m.message(m.state)
		// The page asks again if this answer is lost.
		_ = m.comm.Send(map[string]interface{}{"method": "update", "state": state, "buffer_paths": paths}, parts)
		m.mu.Unlock()
	case "custom":
		if c, ok := data["content"].(map[string]interface{}); ok && c["event"] == "click" {
			m.mu.Lock()
			calls = append(calls, m.clicked...)
			m.mu.Unlock()
		}
	}
	for _, f := range calls {
		f()
	}
}

// like gives a value that came as JSON the type of the value it replaces.
func like(old, v interface{}) interface{} {
	switch old.(type) {
	case int:
		if f, ok := v.(float64); ok {
			return int(f)
		}
	case []int:
		all, ok := v.([]interface{})
		if !ok {
			return v
		}
		ints := make([]int, 0, len(all))
		for _, x := range all {
			if f, ok := x.(float64); ok {
				ints = append(ints, int(f))
			}
		}
		return ints
	}
	return v
}
