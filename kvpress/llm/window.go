package llm

import (
	"errors"
	"fmt"
	"slices"
)

// The names that config.json gives to the layers.
const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
)

// parseWindows finds how far back each layer looks. Every family says it in its own way: layer_types lists the layers;
// without it, Mistral and Phi3 slide everywhere, Qwen from max_window_layers on if use_sliding_window says so, and
// Gemma3 but for every sixth layer. A window that no text can leave is none.
func parseWindows(raw rawConfig) ([]int, error) {
	windows := make([]int, raw.NumHiddenLayers)
	if raw.SlidingWindow < 0 {
		return nil, fmt.Errorf("sliding_window is %d: it should be positive", raw.SlidingWindow)
	}
	if len(raw.LayerTypes) > 0 && len(raw.LayerTypes) != len(windows) {
		return nil, fmt.Errorf("layer_types lists %d layers, num_hidden_layers is %d", len(raw.LayerTypes), len(windows))
	}
	for i := range windows {
		slides := false
		switch raw.Architectures[0] {
		case "MistralForCausalLM", "Phi3ForCausalLM":
			slides = true
		case "Qwen2ForCausalLM", "Qwen3ForCausalLM":
			if !raw.UseSlidingWindow {
				continue
			}
			slides = i >= raw.MaxWindowLayers
		case gemma3, gemma3Pictures:
			slides = (i+1)%raw.WindowPattern != 0
		default: // others have no windows, whatever is left in their files
			continue
		}
		if len(raw.LayerTypes) > 0 {
			switch raw.LayerTypes[i] {
			case fullAttention, slidingAttention:
				slides = raw.LayerTypes[i] == slidingAttention
			default:
				return nil, fmt.Errorf("layer_types: layer %d is %q: %s and %s are supported", i, raw.LayerTypes[i], fullAttention, slidingAttention)
			}
		}
		if slides && (raw.MaxPositions == 0 || raw.SlidingWindow < raw.MaxPositions) {
			windows[i] = raw.SlidingWindow
		}
	}
	return windows, nil
}

// mixed tells whether some layers look back over a window only, and others see the whole context.
func (c Config) mixed() bool { return slices.Max(c.Windows) > 0 && slices.Min(c.Windows) == 0 }

// spared is the window of a layer that presses leave whole: a layer that slides beside others that see the whole
// context. Where every layer slides, as in the first Mistral, all are pressed, as upstream does: the window, which counts
// pairs, then slides over what is kept.
func (c Config) spared(layer int) int {
	if !c.mixed() {
		return 0
	}
	return c.Windows[layer]
}

// errMoves is why keys stay where they are in a model with windows.
var errMoves = errors.New("keys cannot move together where some layers look back over a window: leave out rerotate")
