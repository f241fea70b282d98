package llm_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// summed is a RestoreKV for the needle model whose adapter changes a little.
func summed(t testing.TB) llm.RestoreKV {
	t.Helper()
	c := loadNeedle(t).Config
	small := func(rows, cols, salt int) tensor.Mat {
		m := tensor.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = float32((i*7+salt*13)%11-5) / 50
		}
		return m
	}
	return llm.RestoreKV{Budget: kvpress.Ratio(0.5), Trained: llm.Restorer{Embeddings: small(3, c.Width, 1), Adapter: map[string]llm.LoRA{
		"layers.0.self_attn.v_proj": {In: small(2, c.Width, 2), Out: small(c.KVHeads*c.Dim, 2, 3)},
		"layers.1.mlp.down_proj":    {In: small(2, c.Inner, 4), Out: small(c.Width, 2, 5)},
	}}}
}

// TestRestoreKV: the rows take the place of as many pairs, questions follow behind them, and pressing the session itself
// gives the same as pressing a copy.
func TestRestoreKV(t *testing.T) {
	whole := prefilled(t, 300)
	for _, b := range []kvpress.Budget{kvpress.Ratio(0.5), kvpress.Tokens(100), kvpress.Bytes(whole.Bytes().Full / 4)} {
		p := summed(t)
		p.Budget = b
		plain, err := whole.Press(llm.KVzip{Budget: b})
		if err != nil {
			t.Fatal(err)
		}
		s, err := whole.Press(p)
		if err != nil {
			t.Fatal(err)
		}
		if s.Next() != whole.Next()+3 || s.Bytes().Live != plain.Bytes().Live {
			t.Errorf("%v: questions follow at %d, %d bytes are held, kvzip holds %d", b, s.Next(), s.Bytes().Live, plain.Bytes().Live)
		}
		if kept := s.Kept(0, 0); kept[len(kept)-1] != 302 {
			t.Errorf("%v: the last kept position is %d", b, kept[len(kept)-1])
		}
		again := prefilled(t, 300)
		if err := again.PressInPlace(p); err != nil {
			t.Fatal(err)
		}
		if got, want := logits(t, again, question), logits(t, s, question); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: pressed in place, it answers differently", b)
		}
	}
	p := summed(t)
	p.Budget = kvpress.Ratio(0)
	s, err := whole.Press(p)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := logits(t, s, question), logits(t, whole, question); !reflect.DeepEqual(got, want) {
		t.Error("at ratio 0 it changes the answer")
	}
}

// TestReplaysAreRefused: a press that runs the model again cannot work layer by layer, and says so by name.
func TestReplaysAreRefused(t *testing.T) {
	m := loadNeedle(t)
	n := 0
	for _, method := range kvpress.Methods() {
		if method.Press == nil || !llm.RunsAgain(method.Press) {
			continue
		}
		n++
		p := parse(t, method.Spelling())
		_, err := m.PrefillTokensWith(context.Background(), someTokens(m, 50, 7), p)
		if err == nil || !strings.Contains(err.Error(), method.Name+" runs the model again over the whole context: use Session.Press") {
			t.Errorf("%s: %v", method.Name, err)
		}
		pressed := press(t, prefilled(t, 100), "knorm:0.5")
		if _, err := pressed.Press(p); err == nil || !strings.Contains(err.Error(), "press the whole session") {
			t.Errorf("%s on a pressed session: %v", method.Name, err)
		}
	}
	if n < 4 {
		t.Errorf("%d presses run the model again", n)
	}
}

// TestReplaysObeyBudgets: ratios, counts and bytes, in chunks of any length, leave as many pairs as they say; a context
// that is stopped stops the replay.
func TestReplaysObeyBudgets(t *testing.T) {
	whole := prefilled(t, 203)
	c := whole.Model().Config
	for _, spelling := range []string{"kvzip", "kvzip(chunk=50)", "kvgrad", "kvgrad(chunk=77, sinks=-1)", "kvcompose", "kvcompose(headwise=true)"} {
		for budget, want := range map[string]int{
			"0.5": 203 * c.Layers * c.KVHeads / 2, "40tok": 40 * c.Layers * c.KVHeads, "0": 203 * c.Layers * c.KVHeads,
		} {
			kept := 0
			for _, plan := range press(t, whole, spelling+":"+budget).Plans() {
				kept += plan.Kept()
			}
			slack := 1 // odd numbers of pairs
			if spelling == "kvcompose" {
				slack = c.Layers * c.KVHeads // a head that wins nothing keeps a pair
			}
			if kept < want || kept > want+slack {
				t.Errorf("%s:%s keeps %d pairs, %d are wanted", spelling, budget, kept, want)
			}
		}
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if _, err := whole.PressContext(ctx, parse(t, spelling+":0.5")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, stopped: %v", spelling, err)
		}
	}
	for spelling, want := range map[string]string{
		"kvgrad(chunk=-3):0.5": "chunk is -3: at least one token", "kvzip(chunk=-3):0.5": "chunk is -3: at least one token",
		"kvcompose(task=sum):0.5": "it is max or mean",
	} {
		if _, err := whole.Press(parse(t, spelling)); !errors.Is(err, kvpress.ErrBadParameter) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", spelling, err, want)
		}
	}
}

// TestKVgradKnowsItsBlocks: a model whose MLP bends otherwise is refused, not differentiated wrongly.
func TestKVgradKnowsItsBlocks(t *testing.T) {
	folder := tiny(t, func(config map[string]interface{}) { config["hidden_act"] = "gelu_pytorch_tanh" }, nil)
	m, err := llm.Load(folder, cpu.New())
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.PrefillTokens(context.Background(), []int{1, 2, 3, 4, 5, 6, 7, 8}, llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Press(parse(t, "kvgrad:0.5")); err == nil || !strings.Contains(err.Error(), "use kvzip") {
		t.Errorf("%v does not tell the cure", err)
	}
}
