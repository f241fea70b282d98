package interp

import (
	"strings"

	basereflect "github.com/cosmos72/gomacro/base/reflect"
	"github.com/cosmos72/gomacro/xreflect"

	"github.com/kvnotes/kvnotes/kernel/display"
)

// show turns the values of an expression into what is shown.
func (in *Interp) show(values []xreflect.Value, types []xreflect.Type) (display.Data, bool, error) {
	var texts []string
	var only display.Data
	for i, v := range values {
		if !v.IsValid() {
			continue
		}
		x := basereflect.ValueInterface(v)
		if x == nil {
			continue
		}
		d, ok, err := in.render(x, types[i])
		if err != nil {
			return d, false, err
		}
		if !ok {
			d = display.Value(x)
		}
		only = d
		texts = append(texts, display.Text(x))
	}
	switch len(texts) {
	case 0:
		return display.Data{}, false, nil
	case 1:
		return only, true, nil
	}
	return display.Data{Data: display.MIMEMap{display.MIMETypeText: strings.Join(texts, " ")}}, true, nil
}

// render asks a value how it wants to be shown. Methods of types declared in cells are emulated by the interpreter:
// the value is converted to each display interface that its type pretends to implement.
func (in *Interp) render(x interface{}, t xreflect.Type) (d display.Data, ok bool, err error) {
	defer recovered(&err)
	if d, ok := display.Render(x); ok {
		return d, true, nil
	}
	if t == nil || !t.Named() {
		return d, false, nil
	}
	d.Data = display.MIMEMap{}
	for _, face := range in.shown {
		if !t.Implements(face) {
			continue
		}
		convert := in.gomacro.Comp.Converter(t, face)
		if convert == nil {
			continue
		}
		if more, ok := display.Render(basereflect.ValueInterface(convert(xreflect.ValueOf(x)))); ok {
			for format, content := range more.Data {
				d.Data[format] = content
			}
		}
	}
	if len(d.Data) == 0 {
		return d, false, nil
	}
	d.Data[display.MIMETypeText] = display.Text(x)
	return d, true, nil
}
