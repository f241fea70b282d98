package widget

import (
	"fmt"
	"slices"
	"time"
)

// An IntSlider picks a whole number.
type IntSlider struct{ *Model }

// NewIntSlider makes a slider from least to most.
func NewIntSlider(label string, value, least, most int) *IntSlider {
	return &IntSlider{newModel(controls("IntSlider"), "Slider", map[string]interface{}{
		"description": label, "value": value, "min": least, "max": most, "step": 1, "continuous_update": true,
	})}
}

// Value is the number.
func (w *IntSlider) Value() int { return number(w.Get("value")) }

// SetValue changes the number.
func (w *IntSlider) SetValue(v int) error { return w.Set("value", v) }

// A FloatSlider picks a number.
type FloatSlider struct{ *Model }

// NewFloatSlider makes a slider from least to most in steps.
func NewFloatSlider(label string, value, least, most, step float64) *FloatSlider {
	return &FloatSlider{newModel(controls("FloatSlider"), "Slider", map[string]interface{}{
		"description": label, "value": value, "min": least, "max": most, "step": step, "readout_format": ".2f", "continuous_update": true,
	})}
}

// Value is the number.
func (w *FloatSlider) Value() float64 {
	v, _ := w.Get("value").(float64)
	return v
}

// SetValue changes the number.
func (w *FloatSlider) SetValue(v float64) error { return w.Set("value", v) }

// A Choice is one of several texts: a slider or a menu.
type Choice struct {
	*Model
	options []string
}

func newChoice(name, style, label string, options []string) *Choice {
	options = append([]string{}, options...) // a list for the front end, also when it is empty
	return &Choice{newModel(controls(name), style, map[string]interface{}{
		"description": label, "_options_labels": options, "index": first(options), "continuous_update": true,
	}), options}
}

// first is the place of the first option; nil where there is none.
func first(options []string) interface{} {
	if len(options) == 0 {
		return nil
	}
	return 0
}

// NewSelectionSlider makes a slider over texts.
func NewSelectionSlider(label string, options []string) *Choice {
	return newChoice("SelectionSlider", "Description", label, options)
}

// NewDropdown makes a menu.
func NewDropdown(label string, options []string) *Choice {
	return newChoice("Dropdown", "Description", label, options)
}

// SetOptions gives other texts to choose from. What was chosen stays so if it is among them; else the first one is.
func (w *Choice) SetOptions(options []string) error {
	index := first(options)
	if i := slices.Index(options, w.Value()); i >= 0 {
		index = i
	}
	w.options = append([]string{}, options...)
	if err := w.Set("_options_labels", w.options); err != nil {
		return err
	}
	return w.Set("index", index)
}

// Index is the place of the chosen text, -1 if there is none.
func (w *Choice) Index() int {
	if i := number(w.Get("index")); i >= 0 && i < len(w.options) {
		return i
	}
	return -1
}

// Value is the chosen text, "" if there is none.
func (w *Choice) Value() string {
	if i := w.Index(); i >= 0 {
		return w.options[i]
	}
	return ""
}

// SetValue chooses a text.
func (w *Choice) SetValue(v string) error {
	i := slices.Index(w.options, v)
	if i < 0 {
		return fmt.Errorf("%q is none of the options %q", v, w.options)
	}
	return w.Set("index", i)
}

// A SelectMultiple picks any number of texts.
type SelectMultiple struct {
	*Model
	options []string
}

// NewSelectMultiple makes a list to pick from.
func NewSelectMultiple(label string, options []string) *SelectMultiple {
	options = append([]string{}, options...)
	return &SelectMultiple{newModel(controls("SelectMultiple"), "Description", map[string]interface{}{
		"description": label, "_options_labels": options, "index": []int{}, "rows": min(max(len(options), 2), 12),
	}), options}
}

// Value are the picked texts, in the order of the options.
func (w *SelectMultiple) Value() []string {
	picked, _ := w.Get("index").([]int)
	var all []string
	for i, o := range w.options {
		if slices.Contains(picked, i) {
			all = append(all, o)
		}
	}
	return all
}

// SetValue picks texts.
func (w *SelectMultiple) SetValue(v []string) error {
	index := []int{}
	for _, s := range v {
		i := slices.Index(w.options, s)
		if i < 0 {
			return fmt.Errorf("%q is none of the options %q", s, w.options)
		}
		index = append(index, i)
	}
	return w.Set("index", index)
}

// A Checkbox is on or off.
type Checkbox struct{ *Model }

// NewCheckbox makes a box to tick.
func NewCheckbox(label string, value bool) *Checkbox {
	return &Checkbox{newModel(controls("Checkbox"), "Checkbox", map[string]interface{}{"description": label, "value": value, "indent": true})}
}

// Value tells whether it is ticked.
func (w *Checkbox) Value() bool {
	v, _ := w.Get("value").(bool)
	return v
}

// SetValue ticks it, or not.
func (w *Checkbox) SetValue(v bool) error { return w.Set("value", v) }

// A Text is a line that the reader types, or one that is shown.
type Text struct{ *Model }

// NewText makes a field to type into. It changes when the reader presses return or leaves it.
func NewText(label, value string) *Text {
	return &Text{newModel(controls("Text"), "Text", map[string]interface{}{"description": label, "value": value, "continuous_update": false})}
}

// NewLabel makes a line of text.
func NewLabel(text string) *Text {
	return &Text{newModel(controls("Label"), "Label", map[string]interface{}{"value": text})}
}

// NewHTML makes a piece of hypertext.
func NewHTML(text string) *Text {
	return &Text{newModel(controls("HTML"), "HTML", map[string]interface{}{"value": text})}
}

// Value is the text.
func (w *Text) Value() string {
	v, _ := w.Get("value").(string)
	return v
}

// SetValue changes the text.
func (w *Text) SetValue(v string) error { return w.Set("value", v) }

// A Button can be clicked.
type Button struct{ *Model }

// NewButton makes a button.
func NewButton(label string) *Button {
	return &Button{newModel(controls("Button"), "Button", map[string]interface{}{"description": label})}
}

// OnClick calls f when the button is clicked: on the kernel's own queue, never beside a running cell.
func (w *Button) OnClick(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clicked = append(w.clicked, f)
}

// An Image is a picture that can be changed.
type Image struct{ *Model }

// NewImage makes a picture of a format such as "png", "jpeg" or "svg+xml".
func NewImage(format string, picture []byte) *Image {
	m := newModel(controls("Image"), "", map[string]interface{}{"format": format, "value": picture})
	m.binary = "value"
	return &Image{m}
}

// SetValue changes the picture.
func (w *Image) SetValue(picture []byte) error { return w.Set("value", picture) }

// A Play counts on by itself, as a film does.
type Play struct{ *Model }

// NewPlay makes a player from least to most, one step an interval.
func NewPlay(least, most, step int, interval time.Duration) *Play {
	return &Play{newModel(controls("Play"), "Description", map[string]interface{}{
		"value": least, "min": least, "max": most, "step": step, "interval": int(interval.Milliseconds()), "playing": false, "repeat": false, "show_repeat": true,
	})}
}

// Value is the number it has reached.
func (w *Play) Value() int { return number(w.Get("value")) }

// SetValue goes to a number.
func (w *Play) SetValue(v int) error { return w.Set("value", v) }

func number(v interface{}) int {
	switch n := v.(type) {
	case int:
		return n
	case float64: // after nothing was chosen, what JSON says has no type to follow
		return int(n)
	}
	return -1 // nothing is chosen
}
