package viz

import (
	"fmt"
	"html"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/viz/widget"
)

var documentation struct {
	sync.Mutex
	of func(name string) string
}

// Document says where the doc comments of names such as "path.Type.Field" are found: the tuner makes its controls from
// them. The bindings of the kernel call it.
func Document(of func(name string) string) {
	documentation.Lock()
	defer documentation.Unlock()
	documentation.of = of
}

// comment is the doc comment of a field, "" where none is known.
func comment(name string) string {
	documentation.Lock()
	defer documentation.Unlock()
	if documentation.of == nil {
		return ""
	}
	_, text, _ := strings.Cut(documentation.of(name), "\n\n")
	return strings.Join(strings.Fields(text), " ")
}

// A knob is the control of one parameter of a press.
type knob struct {
	parameter kvpress.Parameter
	comment   string
	usual     float64 // what 0 means, as the comment says it; 0 when it does not
	control   control
	text      func() string // as it is spelled; "" for the default
}

// A control is a widget that the reader changes.
type control interface {
	widget.Widget
	OnChange(f func())
}

var usual = regexp.MustCompile(`\b0 means (\d+(?:\.\d+)?)\b`)

// knobsOf makes the controls of a method's parameters.
func knobsOf(m kvpress.Method) []*knob {
	var all []*knob
	for _, p := range m.Parameters() {
		k := &knob{parameter: p, comment: comment(m.Type() + "." + p.Field)}
		if found := usual.FindStringSubmatch(k.comment); found != nil {
			k.usual, _ = strconv.ParseFloat(found[1], 64) // digits and a point are a number
		}
		k.make()
		all = append(all, k)
	}
	return all
}

// make chooses the control: a slider around a default that the comment tells, a box to tick, or a field to type into.
func (k *knob) make() {
	// Where 0 itself has a meaning, a negative value stands for it.
	negative := strings.Contains(k.comment, "negative means")
	switch {
	case k.parameter.Kind == "bool":
		box := widget.NewCheckbox(k.parameter.Name, false)
		k.control, k.text = box, func() string {
			if box.Value() {
				return "true"
			}
			return ""
		}
	case k.parameter.Kind == "int" && k.usual >= 1:
		least := 1
		if negative {
			least = 0
		}
		slider := widget.NewIntSlider(k.parameter.Name, int(k.usual), least, max(16, 4*int(k.usual)))
		k.control, k.text = slider, func() string { return k.spell(float64(slider.Value())) }
	case k.parameter.Kind == "float64" && k.usual > 0:
		most := 1.0
		if k.usual > 1 {
			most = 4 * k.usual
		}
		slider := widget.NewFloatSlider(k.parameter.Name, k.usual, 0, most, most/100)
		k.control, k.text = slider, func() string { return k.spell(slider.Value()) }
	default:
		field := widget.NewText(k.parameter.Name, "")
		k.control, k.text = field, func() string { return strings.TrimSpace(field.Value()) }
	}
}

// spell is a slider's number in the spelling of the press.
func (k *knob) spell(v float64) string {
	switch {
	case math.Abs(v-k.usual) < 1e-9:
		return ""
	case v == 0:
		return "-1"
	}
	return strconv.FormatFloat(round(v), 'f', -1, 64)
}

// row is the control with its comment beside it.
func (k *knob) row() widget.Widget {
	return widget.NewHBox(k.control, widget.NewHTML(fmt.Sprintf(`<span style="opacity:.7">%s</span>`, html.EscapeString(k.comment))))
}

// spelled lists the parameters that are not as usual, such as "window=16".
func spelled(knobs []*knob) []string {
	var all []string
	for _, k := range knobs {
		if v := k.text(); v != "" {
			all = append(all, k.parameter.Name+"="+v)
		}
	}
	return all
}
