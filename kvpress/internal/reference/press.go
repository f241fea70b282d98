package reference

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// A class says how a Python class is spelled here. Arguments that are not listed are not built. Before our parameter
// may stand a mark: "!" turns a boolean round, "=" says that 0 is no default but a number like others, "?" that false
// means none; without a parameter the argument is read elsewhere.
type class struct {
	name string
	args map[string]string // Python argument to our parameter
}

var classes = map[string]class{
	"RandomPress":                   {"random", map[string]string{"seed": "=seed"}},
	"KnormPress":                    {"knorm", nil},
	"KeyDiffPress":                  {"keydiff", nil},
	"StreamingLLMPress":             {"streaming_llm", map[string]string{"n_sink": "sinks"}},
	"SnapKVPress":                   {"snapkv", map[string]string{"window_size": "window", "kernel_size": "kernel"}},
	"TOVAPress":                     {"tova", nil},
	"ObservedAttentionPress":        {"observed_attention", nil},
	"ExpectedAttentionPress":        {"expected_attention", map[string]string{"n_future_positions": "future", "n_sink": "sinks", "epsilon": "=epsilon", "use_covariance": "!no_covariance", "use_vnorm": "!no_value_norm"}},
	"AdaKVPress":                    {"adakv", map[string]string{"alpha_safeguard": "floor"}},
	"ExpectedAttentionStatsPress":   {"expected_attention_stats", map[string]string{"n_future_positions": "future", "n_sink": "sinks", "epsilon": "=epsilon", "use_covariance": "!no_covariance", "use_vnorm": "!no_value_norm"}},
	"QFilterPress":                  {"qfilter", nil},
	"LagKVPress":                    {"lagkv", map[string]string{"n_sink": "sinks", "lag_size": "lag", "cross_scoring": "cross_scoring"}},
	"LeverageScorePress":            {"leverage", map[string]string{"sketch_dimension": "sketch"}},
	"NonCausalAttnPress":            {"noncausal(compat=true)", map[string]string{"chunk_size": "chunk"}},
	"CompactorPress":                {"compactor(compat=true)", map[string]string{"sink_size_start": "sinks", "sink_size_end": "last", "chunk_size": "chunk", "sketch_dimension": "sketch", "blending": "blending"}},
	"CURPress":                      {"cur", map[string]string{"num_sinks": "sinks", "leverage_type": "leverage", "use_random_leverage": "random", "use_local_approximation": "?window", "local_window_size": "window"}},
	"CapPress":                      {"cap", map[string]string{"tau": "tau", "n_future_positions": "future", "n_sink": "sinks", "epsilon": "epsilon"}},
	"KVzapPress":                    {"kvzap", map[string]string{"model_type": ""}},
	"FastKVzipPress":                {"fastkvzip", map[string]string{"layerwise": "layerwise", "n_sink": "sinks", "window_size": "window", "window_ratio": "share"}},
	"PyramidKVPress":                {"pyramidkv", map[string]string{"window_size": "window", "kernel_size": "kernel", "beta": "beta"}},
	"ThinKPress":                    {"think", map[string]string{"key_channel_compression_ratio": "=ratio", "window_size": "window"}},
	"SimLayerKVPress":               {"simlayerkv(compat=true)", map[string]string{"lazy_threshold": "threshold", "n_last": "last", "n_recent": "recent", "n_initial": "initial"}},
	"DuoAttentionPress":             {"duo_attention", map[string]string{"head_compression_ratio": "=ratio"}},
	"CriticalKVPress":               {"criticalkv", map[string]string{"epsilon": "epsilon", "first_stage_ratio": "first_stage"}},
	"CriticalAdaKVPress":            {"critical_adakv", map[string]string{"alpha_safeguard": "floor", "epsilon": "epsilon", "first_stage_ratio": "first_stage"}},
	"LUKVPress":                     {"lukv", map[string]string{"sink": "sinks", "window": "window"}},
	"ChunkKVPress":                  {"chunkkv", map[string]string{"chunk_length": "length"}},
	"EntropyGatedChunkKVPress":      {"entropy_chunkkv(compat=true)", map[string]string{"chunk_length": "length", "low_entropy_chunk_length": "low"}},
	"ChunkPress":                    {"chunk(compat=true)", map[string]string{"chunk_length": "length"}},
	"BlockPress":                    {"block(compat=true)", map[string]string{"block_size": "size"}},
	"PerLayerCompressionPress":      {"perlayer", map[string]string{"compression_ratios": "ratios"}},
	"ComposedPress":                 {"composed", nil},
	"MergingPress":                  {"merging(compat=true)", map[string]string{"similarity_threshold": "=threshold", "merge_fraction": "fraction"}},
	"FinchPress":                    {"finch", map[string]string{"chunk_length": "chunk", "normalize_scores": "!no_normalize", "rerotate_keys": "!no_rerotate"}},
	"DMSPress":                      {"dms", map[string]string{"threshold": "=threshold", "sliding_window_size": "window", "decoding": "decoding"}},
	"DecodingPress":                 {"decoding(compat=true)", map[string]string{"compression_interval": "every", "hidden_states_buffer_size": "buffer"}},
	"CompressionRatioDecodingPress": {"decoding(compat=true)", map[string]string{"compression_interval": "every", "hidden_states_buffer_size": "buffer"}},
	"CAMPress":                      {"cam(compat=true)", map[string]string{"compression_interval": "every", "hidden_states_buffer_size": "buffer", "merge_budget": "spread"}},
	"PrefillDecodingPress":          {"prefill_decoding", nil},
	"AdaSnapKV(fork)":               {"adasnapkv(compat=true)", map[string]string{"window_size": "window", "kernel_size": "kernel", "floor_alpha": "floor"}},
	"KVzipPress":                    {"kvzip", map[string]string{"layerwise": "layerwise", "n_sink": "sinks", "kvzip_plus_normalization": "plus", "chunk_size": "chunk"}},
	"KVComposePress":                {"kvcompose", map[string]string{"structured": "!headwise", "agg_task": "task", "agg_group": "group", "agg_head": "heads", "add_v_norm": "value_norm", "add_mean_across_heads": "!no_mean", "keep_token_lower_bound": "least"}},
	"RestoreKVPress":                {"restorekv", map[string]string{"layerwise": "layerwise", "n_sink": "sinks", "kvzip_plus_normalization": "plus"}},
	"KVgradPress":                   {"kvgrad", map[string]string{"layerwise": "layerwise", "n_sink": "sinks", "chunk_size": "chunk"}},
	"KeyRerotationPress":            {"rerotate", nil},
}

// Originals are the Python classes that a method agrees with, in order; compat tells whether it has a parameter of that
// name, which repeats what these do wrong.
func Originals(method string) (names []string, compat bool) {
	for name, k := range classes {
		ours, args, _ := strings.Cut(k.name, "(")
		if ours == method {
			names, compat = append(names, name), compat || strings.Contains(args, "compat=")
		}
	}
	slices.Sort(names)
	return names, compat
}

// Press builds the press of a case; nil for none. Trained weights and random numbers are those that the reference
// recorded.
func (c *Case) Press() (kvpress.Press, error) {
	if c.Spec == nil {
		return nil, nil
	}
	var own []string
	if c.Context != "" {
		window, err := c.window()
		if err != nil {
			return nil, err
		}
		own = append(own, "window="+strconv.Itoa(window))
	}
	text, budget, err := c.Spec.spell(own...)
	if err != nil {
		return nil, err
	}
	forget, err := c.group.lend(c.Spec)
	defer forget()
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(text, "(")
	if _, err := kvpress.MethodNamed(name); err != nil { // presses that run the model again are package llm's
		return nil, fmt.Errorf("%w: %w", ErrNotBuilt, err)
	}
	p, err := kvpress.Parse(text + budget)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.ID, err)
	}
	draws, err := c.Draws()
	if err != nil || draws == nil || c.Spec.Name == "CAMPress" { // which draws more than once
		return p, err
	}
	return fed{p, draws}, nil
}

// spell writes the press in this project's spelling, with parameters that the reference does not list, and the budget
// that follows it.
func (s *Spec) spell(own ...string) (text, budget string, err error) {
	k, ok := classes[s.Name]
	if !ok {
		return "", "", fmt.Errorf("%w: %s", ErrNotBuilt, s.Name)
	}
	name, compat, _ := strings.Cut(k.name, "(")
	args := own
	if compat != "" {
		args = append(args, strings.TrimSuffix(compat, ")"))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Args)) {
		raw := string(s.Args[key])
		switch key {
		case "compression_ratio", "target_compression_ratio":
			budget = ":" + raw
			continue
		case "target_size":
			budget = ":" + raw + "tok"
			continue
		case "decoding_press": // comes after the other one
			continue
		case "prefilling_press":
			both := json.RawMessage("[" + raw + "," + string(s.Args["decoding_press"]) + "]")
			inner, _, err := spellInner(both)
			if err != nil {
				return "", "", err
			}
			args = append(args, inner)
			continue
		case "press", "presses", "base_press":
			inner, b, err := spellInner(s.Args[key])
			if err != nil {
				return "", "", err
			}
			args = append(args, inner)
			if b != "" {
				budget = b
			}
			continue
		}
		ours, ok := k.args[key]
		if !ok {
			return "", "", fmt.Errorf("%w: %s(%s)", ErrNotBuilt, s.Name, key)
		}
		if p := parameter(ours, raw); p != "" {
			args = append(args, p)
		}
	}
	if len(args) > 0 {
		name += "(" + strings.Join(args, ", ") + ")"
	}
	return name, budget, nil
}

// spellInner writes one press, whose budget goes to the outer one, or several presses, each with its own.
func spellInner(raw json.RawMessage) (text, budget string, err error) {
	var one Spec
	if json.Unmarshal(raw, &one) == nil {
		return one.spell()
	}
	var all []Spec
	if err := json.Unmarshal(raw, &all); err != nil {
		return "", "", err
	}
	var texts []string
	for _, s := range all {
		text, budget, err := s.spell()
		if err != nil {
			return "", "", err
		}
		texts = append(texts, text+budget)
	}
	return strings.Join(texts, ", "), "", nil
}

// all lists a press and those inside it.
func (s *Spec) all() []*Spec {
	specs := []*Spec{s}
	for _, key := range []string{"press", "presses", "base_press", "prefilling_press", "decoding_press"} {
		var one Spec
		var several []Spec
		if json.Unmarshal(s.Args[key], &one) == nil {
			several = []Spec{one}
		} else if json.Unmarshal(s.Args[key], &several) != nil {
			continue
		}
		for i := range several {
			specs = append(specs, several[i].all()...)
		}
	}
	return specs
}

// parameter writes one parameter, or nothing. Here 0 means a default, so a 0 of the original becomes -1.
func parameter(ours, raw string) string {
	switch {
	case ours == "" || raw == "null":
		return ""
	case ours[0] == '!':
		return ours[1:] + "=" + strconv.FormatBool(raw != "true")
	case ours[0] == '?' && raw == "false":
		return ours[1:] + "=-1"
	case ours[0] == '?':
		return ""
	case ours[0] == '=':
		return ours[1:] + "=" + raw
	}
	if v, err := strconv.ParseFloat(raw, 64); err == nil && v == 0 {
		raw = "-1"
	}
	raw = strings.NewReplacer(`"`, "", "[", "", "]", "", ", ", "/", ",", "/").Replace(raw)
	return ours + "=" + raw
}

// Draws are the random numbers of the case, one matrix per layer; nil when it drew none.
func (c *Case) Draws() ([]tensor.Mat, error) {
	if c.Spec.Name == "RandomPress" {
		x, shape, err := c.group.Floats(c.Tensors["scores"])
		if err != nil || len(shape) != 2 {
			return c.group.Layers(c.Tensors["scores"])
		}
		return []tensor.Mat{{Rows: shape[0], Cols: shape[1], Data: x}}, nil // equal in all layers
	}
	var all []tensor.Mat
	for c.Tensors["rand."+strconv.Itoa(len(all))] != "" {
		x, shape, err := c.group.Floats(c.Tensors["rand."+strconv.Itoa(len(all))])
		if err != nil {
			return nil, err
		}
		cols := shape[len(shape)-1]
		all = append(all, tensor.Mat{Rows: len(x) / cols, Cols: cols, Data: x})
	}
	return all, nil
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
