package llm

import (
	"errors"

	"github.com/kvnotes/kvnotes/kvpress"
)

// PrefillDecoding presses the context with one press, and compresses with another while the model answers. It is the
// spelling of two calls: session.Press(first), then Press(second) on what that returns.
type PrefillDecoding struct {
	Presses []kvpress.Press // two: for the context, and a decoding or cam press
}

func init() {
	kvpress.Register(kvpress.Method{Name: "prefill_decoding", Example: "prefill_decoding(snapkv:0.5, decoding(keydiff, every=64):512tok)", Press: PrefillDecoding{}})
}

// Name spells the press, such as "prefill_decoding(snapkv:0.5, decoding(keydiff:512tok))".
func (p PrefillDecoding) Name() string { return kvpress.Spell("prefill_decoding", p) }

// Plan is an error: the press acts on a session.
func (p PrefillDecoding) Plan(*kvpress.Layer) (kvpress.Plan, error) {
	return kvpress.Plan{}, errors.New("prefill_decoding takes a press for the context and a decoding or cam press: write prefill_decoding(snapkv:0.5, decoding(keydiff:512tok)) and give it to Session.Press")
}
