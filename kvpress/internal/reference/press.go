package reference

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// ErrNotBuilt reports a press of the reference that this project does not have, or not with these arguments.
var ErrNotBuilt = errors.New("not built")

// A Spec is how the reference writes a press: its Python class and arguments, presses inside presses.
type Spec struct {
	Name string                     `json:"name"`
	Args map[string]json.RawMessage `json:"args"`
}

// A class says how a Python class is spelled here. Arguments that are not listed are not built.
type class struct {
	name string
	args map[string]string // Python argument to our parameter
}

var classes = map[string]class{
	"RandomPress":            {"random", map[string]string{"seed": "seed"}},
	"KnormPress":             {"knorm", nil},
	"KeyDiffPress":           {"keydiff", nil},
	"StreamingLLMPress":      {"streaming_llm", map[string]string{"n_sink": "sinks"}},
	"SnapKVPress":            {"snapkv", map[string]string{"window_size": "window", "kernel_size": "kernel"}},
	"TOVAPress":              {"tova", nil},
	"ObservedAttentionPress": {"observed_attention", nil},
	"ExpectedAttentionPress": {"expected_attention", map[string]string{"n_future_positions": "future", "n_sink": "sinks", "epsilon": "epsilon", "use_covariance": "!no_covariance", "use_vnorm": "!no_value_norm"}},
	"AdaKVPress":             {"adakv", map[string]string{"alpha_safeguard": "floor"}},
	"AdaSnapKV(fork)":        {"adasnapkv", map[string]string{"window_size": "window", "kernel_size": "kernel", "floor_alpha": "floor"}},
	"KeyRerotationPress":     {"rerotate", nil},
}

// Press builds the press of a case; nil for none. Random numbers that the reference recorded are fed to it.
func (c *Case) Press() (kvpress.Press, error) {
	if c.Spec == nil {
		return nil, nil
	}
	text, ratio, err := c.Spec.spell()
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(text, ratio) {
		text += ratio
	}
	p, err := kvpress.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotBuilt, err)
	}
	if c.Spec.Name != "RandomPress" {
		return p, nil
	}
	name := c.Tensors["scores"]
	if _, shape, err := c.group.Floats(name); err == nil && len(shape) == 2 { // equal in all layers
		x, _, _ := c.group.Floats(name)
		return fed{p, []tensor.Mat{{Rows: shape[0], Cols: shape[1], Data: x}}}, nil
	}
	draws, err := c.group.Layers(name)
	return fed{p, draws}, err
}

// spell writes the press in this project's spelling, and the budget it ends with.
func (s *Spec) spell() (text, budget string, err error) {
	k, ok := classes[s.Name]
	if !ok {
		return "", "", fmt.Errorf("%w: %s", ErrNotBuilt, s.Name)
	}
	var args []string
	var names []string
	for name := range s.Args {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		raw := s.Args[name]
		switch name {
		case "compression_ratio":
			budget = ":" + string(raw)
			continue
		case "press", "base_press":
			var inner Spec
			if err := json.Unmarshal(raw, &inner); err != nil {
				return "", "", err
			}
			text, b, err := inner.spell()
			if err != nil {
				return "", "", err
			}
			budget = b
			args = append([]string{text}, args...)
			continue
		}
		ours, ok := k.args[name]
		if !ok {
			return "", "", fmt.Errorf("%w: %s(%s)", ErrNotBuilt, s.Name, name)
		}
		args = append(args, parameter(ours, string(raw)))
	}
	text = k.name
	if len(args) > 0 {
		text += "(" + strings.Join(args, ", ") + ")"
	}
	return text, budget, nil
}

// parameter writes one parameter. Here 0 means the default, so a 0 of the original becomes -1; an exclamation mark
// turns a boolean round.
func parameter(name, raw string) string {
	if strings.HasPrefix(name, "!") {
		return name[1:] + "=" + strconv.FormatBool(raw != "true")
	}
	if v, err := strconv.ParseFloat(raw, 64); err == nil && v == 0 && name != "epsilon" && name != "seed" {
		raw = "-1"
	}
	return name + "=" + raw
}

// fed hands recorded random numbers to a press, layer by layer.
type fed struct {
	kvpress.Press
	draws []tensor.Mat
}

func (f fed) Plan(l *kvpress.Layer) (kvpress.Plan, error) {
	view := *l
	view.Draws = f.draws[min(l.Index, len(f.draws)-1):][:1]
	return f.Press.Plan(&view)
}
