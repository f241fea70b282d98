package widget

// A Box holds widgets.
type Box struct{ *Model }

func newBox(name string, children []Widget, state map[string]interface{}) *Box {
	m := newModel(controls(name), "", state)
	m.children = append([]Widget{}, children...)
	return &Box{m}
}

// NewHBox puts widgets side by side.
func NewHBox(children ...Widget) *Box { return newBox("HBox", children, nil) }

// NewVBox puts widgets below each other.
func NewVBox(children ...Widget) *Box { return newBox("VBox", children, nil) }

// NewTab puts widgets on pages with titles.
func NewTab(titles []string, children ...Widget) *Box {
	return newBox("Tab", children, map[string]interface{}{"titles": append([]string{}, titles...), "selected_index": 0})
}

// SetChildren puts other widgets into the box.
func (w *Box) SetChildren(children ...Widget) error {
	w.mu.Lock()
	w.children = append([]Widget{}, children...)
	open := w.comm != nil
	w.mu.Unlock()
	if !open {
		return nil
	}
	all := make([]string, len(children))
	for i, c := range children {
		var err error
		if all[i], err = reference(c); err != nil {
			return err
		}
	}
	return w.Set("children", all)
}

// Index is the page of a tab that is open, -1 if there is none.
func (w *Box) Index() int { return number(w.Get("selected_index")) }

// An Output is a place for what cells print and show.
type Output struct{ *Model }

// NewOutput makes an empty place.
func NewOutput() *Output {
	return &Output{newModel(kind{"@jupyter-widgets/output", "1.0.0", "OutputModel", "OutputView"}, "", map[string]interface{}{"msg_id": "", "outputs": []interface{}{}})}
}

// Capture runs f; what it prints and shows goes into the place instead of below the cell.
func (w *Output) Capture(f func()) error {
	t, err := transport()
	if err != nil {
		return err
	}
	if _, err := w.ModelID(); err != nil {
		return err
	}
	if err := w.Set("msg_id", t.Parent()); err != nil {
		return err
	}
	defer func() {
		t.Parent() // what f wrote has been delivered
		_ = w.Set("msg_id", "")
	}()
	f()
	return nil
}

// Clear empties the place.
func (w *Output) Clear() error { return w.Set("outputs", []interface{}{}) }
