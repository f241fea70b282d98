package kvpress

import (
	"fmt"
	"strings"
	"testing"
)

// Whatever the catalogue says can be set, the spelling sets.
func TestMethodsDescribeThemselves(t *testing.T) {
	values := map[string]string{"int": "3", "uint64": "3", "float64": "0.5", "bool": "true", "string": "x", "[]float64": "0.25/0.5"}
	for _, m := range Methods() {
		var args []string
		switch m.Inner() {
		case "scorer":
			args = append(args, "keydiff")
		case "press":
			args = append(args, "knorm")
		case "presses":
			args = append(args, "knorm", "knorm")
		}
		for _, p := range m.Parameters() {
			args = append(args, p.Name+"="+values[p.Kind])
		}
		spelling := m.Name
		if len(args) > 0 {
			spelling += "(" + strings.Join(args, ", ") + ")"
		}
		if m.TakesBudget() {
			spelling += ":0.5"
		}
		press, err := Parse(spelling)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, p := range m.Parameters() {
			if !strings.Contains(press.Name(), p.Name+"=") {
				t.Errorf("%s does not say %s", press.Name(), p.Name)
			}
		}
		if !strings.HasPrefix(m.Type(), "github.com/kvnotes/kvnotes/kvpress.") {
			t.Errorf("%s is of type %q", m.Name, m.Type())
		}
	}
}

func TestWithScorer(t *testing.T) {
	for spelling, want := range map[string]string{"adakv(knorm):0.5": "adakv(keydiff):0.5", "knorm:0.25": "keydiff:0.25", "think": ""} {
		p, err := Parse(spelling)
		if err != nil {
			t.Fatal(err)
		}
		other, err := WithScorer(p, KeyDiff{})
		if want == "" {
			if err == nil {
				t.Errorf("%s took a scorer", spelling)
			}
			continue
		}
		if err != nil || other.Name() != want || p.Name() != spelling {
			t.Errorf("%s with another scorer is %v, %v; want %s", spelling, other, err, want)
		}
	}
	before := Changes()
	m, err := MethodNamed("knorm")
	if err != nil {
		t.Fatal(err)
	}
	Register(m)
	if Changes() != before+1 {
		t.Error(fmt.Sprint("a registration was not counted: ", before, " then ", Changes()))
	}
}
