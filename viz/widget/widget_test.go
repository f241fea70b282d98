package widget

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// page is a front end that remembers what it is told.
type page struct {
	mu     sync.Mutex
	opened []map[string]interface{} // states
	sent   []map[string]interface{}
	parts  [][]byte
	closed int
	hear   map[string]Receiver
	accept map[string]func(Comm) Receiver
}

type pageComm struct {
	id string
	p  *page
}

func (c pageComm) ID() string { return c.id }

func (c pageComm) Send(data map[string]interface{}, buffers [][]byte) error {
	if _, err := json.Marshal(data); err != nil {
		return err
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.sent, c.p.parts = append(c.p.sent, data), append(c.p.parts, buffers...)
	return nil
}

func (c pageComm) Close() error {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.closed++
	return nil
}

func (p *page) Open(target string, data, metadata map[string]interface{}, buffers [][]byte, receive Receiver) (Comm, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if target != "jupyter.widget" || metadata["version"] != "2.1.0" {
		return nil, fmt.Errorf("opened %s %v", target, metadata)
	}
	if _, err := json.Marshal(data); err != nil {
		return nil, err
	}
	id := strconv.Itoa(len(p.opened))
	p.opened, p.parts = append(p.opened, data["state"].(map[string]interface{})), append(p.parts, buffers...)
	p.hear[id] = receive
	return pageComm{id, p}, nil
}

func (p *page) Accept(target string, opened func(Comm) Receiver) { p.accept[target] = opened }

func (p *page) Parent() string { return "request" }

// drag is the reader changing a widget.
func (p *page) drag(t *testing.T, w Widget, name string, value interface{}, stale bool) {
	t.Helper()
	id, err := w.ModelID()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]interface{}{"method": "update", "state": map[string]interface{}{name: value}})
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]interface{}
	if err := json.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	p.hear[id](data, nil, stale)
}

func open(t *testing.T) *page {
	t.Helper()
	p := &page{hear: map[string]Receiver{}, accept: map[string]func(Comm) Receiver{}}
	Connect(p)
	t.Cleanup(func() { Connect(nil) })
	return p
}

// TestEmptyMenu: a menu without options has a list for the front end, and no choice; the first options choose the first.
func TestEmptyMenu(t *testing.T) {
	open(t)
	menu := NewDropdown("m", nil)
	text, err := json.Marshal([]interface{}{menu.Get("_options_labels"), menu.Get("index")})
	if err != nil || string(text) != "[[],null]" || menu.Value() != "" {
		t.Errorf("%s, %v, %q", text, err, menu.Value())
	}
	if err := menu.SetOptions([]string{"a", "b"}); err != nil || menu.Value() != "a" {
		t.Errorf("%v, %q", err, menu.Value())
	}
	if err := menu.SetOptions(nil); err != nil || menu.Value() != "" || menu.Get("index") != nil {
		t.Errorf("%v, %q, %v", err, menu.Value(), menu.Get("index"))
	}
}

func TestValues(t *testing.T) {
	p := open(t)
	whole, real := NewIntSlider("n", 3, 0, 9), NewFloatSlider("r", 0.5, 0, 1, 0.1)
	menu, slider := NewDropdown("m", []string{"a", "b", "c"}), NewSelectionSlider("s", []string{"x", "y"})
	several := NewSelectMultiple("p", []string{"a", "b", "c"})
	tick, line, play := NewCheckbox("t", false), NewText("l", "old"), NewPlay(0, 10, 1, time.Second)
	tab := NewTab([]string{"one", "two"}, whole, real)
	for _, c := range []struct {
		w       Widget
		name    string
		dragged interface{}
		value   func() interface{}
		want    string
	}{
		{whole, "value", 7, func() interface{} { return whole.Value() }, "7"},
		{real, "value", 0.75, func() interface{} { return real.Value() }, "0.75"},
		{real, "value", 1, func() interface{} { return real.Value() }, "1"},
		{menu, "index", 2, func() interface{} { return menu.Value() }, "c"},
		{menu, "index", nil, func() interface{} { return menu.Value() }, ""},
		{menu, "index", 1, func() interface{} { return menu.Value() }, "b"},
		{slider, "index", 1, func() interface{} { return slider.Value() }, "y"},
		{several, "index", []int{2, 0}, func() interface{} { return several.Value() }, "[a c]"},
		{tick, "value", true, func() interface{} { return tick.Value() }, "true"},
		{line, "value", "new", func() interface{} { return line.Value() }, "new"},
		{play, "value", 4, func() interface{} { return play.Value() }, "4"},
		{tab, "selected_index", 1, func() interface{} { return tab.Index() }, "1"},
		{tab, "unknown", 1, func() interface{} { return tab.Get("unknown") }, "<nil>"},
	} {
		p.drag(t, c.w, c.name, c.dragged, false)
		if got := fmt.Sprint(c.value()); got != c.want {
			t.Errorf("%T: %s dragged to %v is %s", c.w, c.name, c.dragged, got)
		}
	}
	for _, set := range []error{whole.SetValue(1), real.SetValue(0.1), menu.SetValue("b"), several.SetValue([]string{"b"}), tick.SetValue(false), line.SetValue("x"), play.SetValue(2)} {
		if set != nil {
			t.Error(set)
		}
	}
	if menu.Value() != "b" || fmt.Sprint(several.Value()) != "[b]" || menu.SetValue("nothing") == nil || several.SetValue([]string{"q"}) == nil {
		t.Errorf("set: %q, %q", menu.Value(), several.Value())
	}
	if last := p.sent[len(p.sent)-1]; fmt.Sprint(last["state"]) != "map[value:2]" {
		t.Errorf("sent %v", last)
	}
}

func TestCallbacks(t *testing.T) {
	p := open(t)
	s, b := NewIntSlider("n", 0, 0, 9), NewButton("go")
	var heard []int
	s.OnChange(func() { heard = append(heard, s.Value()) })
	clicks := 0
	b.OnClick(func() { clicks++; _ = s.SetValue(9) })
	p.drag(t, s, "value", 1, true)
	p.drag(t, s, "value", 2, false)
	id, err := b.ModelID()
	if err != nil {
		t.Fatal(err)
	}
	p.hear[id](map[string]interface{}{"method": "custom", "content": map[string]interface{}{"event": "click"}}, nil, false)
	p.hear[id](map[string]interface{}{"method": "custom"}, nil, false)
	p.hear[id](map[string]interface{}{"method": "update", "state": 3}, nil, false)
	if fmt.Sprint(heard) != "[2]" || clicks != 1 || s.Value() != 9 {
		t.Errorf("heard %v, %d clicks, value %d", heard, clicks, s.Value())
	}
}

func TestBoxesHoldOpenWidgets(t *testing.T) {
	p := open(t)
	picture := NewImage("png", []byte{1, 2, 3})
	box := NewVBox(NewHBox(NewLabel("l"), NewHTML("<b>h</b>")), picture)
	if err := box.Width("50%"); err != nil {
		t.Fatal(err)
	}
	shown := box.SimpleRender()
	view := shown["application/vnd.jupyter.widget-view+json"].(map[string]interface{})
	id, err := box.ModelID()
	if err != nil || view["model_id"] != id || shown["text/plain"] != "VBox" {
		t.Errorf("shown as %v, %v", shown, err)
	}
	last := p.opened[len(p.opened)-1]
	if children := last["children"].([]string); len(children) != 2 || !strings.HasPrefix(children[0], "IPY_MODEL_") {
		t.Errorf("children are %v", children)
	}
	if len(p.parts) != 1 || !bytes.Equal(p.parts[0], []byte{1, 2, 3}) {
		t.Errorf("the picture travels as %v", p.parts)
	}
	for i, state := range p.opened {
		if state["_model_module_version"] == "" || state["_model_name"] == "" {
			t.Errorf("state %d has no model: %v", i, state)
		}
		if _, has := state["value"].([]byte); has {
			t.Errorf("state %d holds bytes", i)
		}
	}
	if again, _ := box.ModelID(); again != id {
		t.Error("a widget is opened twice")
	}
	if err := box.Close(); err != nil || p.closed != 1 {
		t.Errorf("closed %d channels, %v", p.closed, err)
	}
}

func TestOutputCaptures(t *testing.T) {
	p := open(t)
	o := NewOutput()
	during := ""
	if err := o.Capture(func() { during = fmt.Sprint(o.Get("msg_id")) }); err != nil {
		t.Fatal(err)
	}
	if during != "request" || o.Get("msg_id") != "" || len(p.sent) != 2 {
		t.Errorf("captures %q, then %q, in %d messages", during, o.Get("msg_id"), len(p.sent))
	}
	if err := o.Clear(); err != nil {
		t.Error(err)
	}
}

func TestPageLoadedAgain(t *testing.T) {
	p := open(t)
	s, picture := NewIntSlider("n", 5, 0, 9), NewImage("png", []byte{9})
	id, err := s.ModelID()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := picture.ModelID(); err != nil {
		t.Fatal(err)
	}
	hear := p.accept["jupyter.widget.control"](pageComm{"control", p})
	hear(map[string]interface{}{"method": "request_states"}, nil, false)
	answer := p.sent[len(p.sent)-1]
	states := answer["states"].(map[string]interface{})
	one := states[id].(map[string]interface{})
	if one["model_name"] != "IntSliderModel" || one["state"].(map[string]interface{})["value"] != 5 || len(answer["buffer_paths"].([][]interface{})) != 1 {
		t.Errorf("the answer is %v", answer)
	}
	p.hear[id](map[string]interface{}{"method": "request_state"}, nil, false)
	if last := p.sent[len(p.sent)-1]; last["state"].(map[string]interface{})["value"] != 5 {
		t.Errorf("a single state is %v", last)
	}
}

func TestWithoutNotebook(t *testing.T) {
	s := NewIntSlider("n", 5, 0, 9)
	if err := s.SetValue(6); err != nil || s.Value() != 6 {
		t.Errorf("%d, %v", s.Value(), err)
	}
	if shown := s.SimpleRender(); shown["application/vnd.jupyter.widget-view+json"] != nil || !strings.Contains(fmt.Sprint(shown), "notebook") {
		t.Errorf("shown as %v", shown)
	}
	if err := NewOutput().Capture(func() {}); err == nil {
		t.Error("captured without a notebook")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestManyGoroutines(t *testing.T) {
	p := open(t)
	s := NewIntSlider("n", 0, 0, 1000)
	s.OnChange(func() { _ = s.Set("description", strconv.Itoa(s.Value())) })
	if _, err := s.ModelID(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 50 {
				if g%2 == 0 {
					p.drag(t, s, "value", i, false)
				} else if err := s.SetValue(i); err != nil {
					t.Error(err)
				}
				_ = s.SimpleRender()
			}
		})
	}
	all.Wait()
}
