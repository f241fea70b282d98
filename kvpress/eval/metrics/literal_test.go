package metrics

import (
	"strings"
	"testing"
)

func TestDict(t *testing.T) {
	for source, want := range map[string]map[Literal]Literal{
		`{}`:                                               {},
		" \n{ 'a' : \"b\\\"c\" , }\n":                      {`"a"`: `"b\"c"`},
		`{'a': 'b', 'a': 'c'}`:                             {`"a"`: `"c"`},
		`{1: -2.5, 1.0: 3, True: 4}`:                       {"1": "4"},
		`{('x', 1,): [None, (2,), {}]}`:                    {`("x", 1)`: `[None, (2), {}]`},
		`{'\x41\u00e9\101\q': ('x')}`:                      {`"Aé"+"A\\q"`: `"x"`},
		`{"北京": '\'😀'}`:                                    {`"北京"`: `"'😀"`},
		`{.5: 1e3, 12345678901234567890: 1e999, -0.0: ''}`: {"0.5": "1000", "12345678901234567890": "+Inf", "0": `""`},
	} {
		got, err := Dict(source)
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %v %v", source, got, err)
		}
		for k, v := range want {
			k = Literal(strings.ReplaceAll(string(k), `"+"`, ""))
			if got[k] != v {
				t.Errorf("%s: %v, want %v", source, got, want)
			}
		}
	}
	for _, source := range []string{
		"", "{", "}", "[]", "{'a'}", "{'a':}", "{'a': b}", "{'a': 'b'} x", "{'a': 'b' 'c': 'd'}", "{,}", "{'a': 'b',,}",
		"{[1]: 2}", "{{}: 2}", "{'a': f'x'}", "{'a': '''x'''}", "{'a': 1 + 1}", "{'a': print(1)}", "{'a': 'b\n'}", "{'a': '\\",
		"{'a': '\\x4'}", "{'a': '\\N{DASH}'}", "{'a': '\\U00110000'}", "{'a': 012}", "{'a': 1e}", "{'a': 1x}", "{'a': --1}", "{'a': Nonea}", "{'a': .}",
		strings.Repeat("{1:", 200) + strings.Repeat("}", 200), "dict(a=1)",
	} {
		if got, err := Dict(source); err == nil {
			t.Errorf("%s gives %v", source, got)
		}
	}
}

// What is read is one value only: spelled again it reads as the same.
func FuzzDict(f *testing.F) {
	for _, s := range []string{"{'a': \"b\"}", "{1: [2.5, (None,)], 'x': {}}", `{'\x41': '\n\q'}`, "{", "{'a': 1e400}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		d, err := Dict(source)
		if err != nil {
			return
		}
		var again strings.Builder
		again.WriteString("{")
		for k, v := range d {
			key, keyIsText := k.Text()
			value, valueIsText := v.Text()
			if !keyIsText || !valueIsText {
				return
			}
			again.WriteString(python(key) + ": " + python(value) + ",")
		}
		back, err := Dict(again.String() + "}")
		if err != nil || len(back) != len(d) {
			t.Fatalf("%q, spelled again %q: %v", source, again.String(), err)
		}
		for k, v := range d {
			if back[k] != v {
				t.Fatalf("%q: %s is %s, and then %s", source, k, v, back[k])
			}
		}
	})
}

// python spells a string.
func python(s string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'", "\n", "\\n", "\r", "\\r", "\x00", "\\x00").Replace(s) + "'"
}

func TestMended(t *testing.T) {
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"two classes behind one another", Classification("Date Date of birth", "Date of birth", []string{"Date", "Date of birth", "birth"}), 1},
		{"a fraction in a box", first(Boxed(`so \boxed{\frac{1}{2}}.`, `\frac{1}{2}`)), 1},
		{"the original cuts it", MATHOriginal(`so \boxed{\frac{1}{2}}.`, `\frac{1}{2}`), 0},
		{"a box that was cut off", first(Boxed(`so \boxed{7`, "7")), 0},
		{"no box at all", first(Boxed("7", "7")), 0},
		{"which the original takes for one", AIMEOriginal("7", "7"), 1},
		{"a label that is a string", CodeRun("The value is 7.", "7"), 1},
		{"decimals for a whole label", MathFind("7.0", "7"), 1},
		{"long sentences", RougeScores(strings.Repeat("x y ", 600), strings.Repeat("x z ", 600)).L.Recall, 0.5},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

func first(score float64, _ bool) float64 { return score }
