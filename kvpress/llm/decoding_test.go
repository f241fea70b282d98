package llm_test

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

func answer(t testing.TB, s *llm.Session, question []int, n int) llm.Answer {
	t.Helper()
	a, err := s.AskTokens(context.Background(), question, n, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLongAnswersStayBounded lets presses work through 2,000 tokens and follows every head's length.
func TestLongAnswersStayBounded(t *testing.T) {
	const context, question, long, target, every = 300, 9, 2000, 80, 16
	whole := prefilled(t, context)
	c := whole.Model().Config
	for _, spelling := range []string{
		"decoding(knorm:80tok, every=16)", "decoding(streaming_llm, every=16):80tok", "decoding(snapkv, every=16):80tok",
		"decoding(expected_attention, every=16):80tok", "decoding(adakv(knorm), every=16):80tok", "cam(keydiff, every=16):80tok",
		"prefill_decoding(adakv(snapkv):0.5, decoding(adakv(tova), every=16):80tok)",
	} {
		s := press(t, whole, spelling)
		a := answer(t, s, someTokens(s.Model(), question, 3), long)
		if len(a.Compressions) < (long-every)/every {
			t.Errorf("%s: %d compressions", spelling, len(a.Compressions))
		}
		last := context
		for layer := range c.Layers {
			lens := make([]int, c.KVHeads)
			for h := range lens {
				lens[h] = len(s.Kept(layer, h))
			}
			for i, e := range a.Compressions {
				sum := 0
				for h := range lens {
					lens[h] += e.Next - last
					// The compression belongs to the step that brought the last pair.
					if !strings.Contains(spelling, "adakv") && i > 0 && lens[h] > target+every {
						t.Fatalf("%s: layer %d: KV head %d holds %d pairs at position %d", spelling, layer, h, lens[h], e.Next)
					}
					lens[h] -= len(e.Evicted[layer][h])
					sum += lens[h]
				}
				if sum != target*c.KVHeads {
					t.Fatalf("%s: layer %d: %v pairs after the compression at position %d, the budget is %d per head", spelling, layer, lens, e.Next, target)
				}
				last = e.Next
			}
			last = context
		}
		if most := int64(c.Layers * c.KVHeads * (target + every) * 2 * c.Dim * 4); a.KV > most {
			t.Errorf("%s: %d bytes at the end, at most %d are wanted", spelling, a.KV, most)
		}
	}
}

func TestDecodingLeavesTheSessionAlone(t *testing.T) {
	whole := prefilled(t, 200)
	question := someTokens(whole.Model(), 6, 5)
	before := answer(t, whole, question, 40)
	s := press(t, whole, "decoding(knorm, every=4):50tok")
	first := answer(t, s, question, 40)
	second := answer(t, s, question, 40)
	if !reflect.DeepEqual(first.Tokens, second.Tokens) || !reflect.DeepEqual(first.Compressions, second.Compressions) {
		t.Error("a second answer differs from the first")
	}
	if lens := s.Lens(); lens[0][0] != 200 {
		t.Errorf("the session holds %v pairs after its answers", lens)
	}
	if again := answer(t, whole, question, 40); !reflect.DeepEqual(again.Tokens, before.Tokens) {
		t.Error("the source changed")
	}
	file := filepath.Join(t.TempDir(), "session")
	if err := s.Save(file); err != nil {
		t.Fatal(err)
	}
	loaded, err := whole.Model().LoadSession(file)
	if err != nil {
		t.Fatal(err)
	}
	if third := answer(t, loaded, question, 40); !reflect.DeepEqual(third.Compressions, first.Compressions) {
		t.Error("a loaded session answers otherwise")
	}
}

// TestDecodingWithRoomChangesNothing gives so much room that nothing has to go.
func TestDecodingWithRoomChangesNothing(t *testing.T) {
	whole := prefilled(t, 120)
	question := someTokens(whole.Model(), 6, 5)
	want := logits(t, whole, question)
	for _, spelling := range []string{"decoding(knorm, every=1):500tok", "decoding(snapkv, every=2):0", "cam(knorm, every=1):500tok", "dms(knorm, threshold=-1e30, decoding=true, window=8)"} {
		if got := logits(t, press(t, whole, spelling), question); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: logits differ from those without a press", spelling)
		}
	}
}

// TestRatioWhileDecoding counts a ratio of all tokens seen, not of those that are left.
func TestRatioWhileDecoding(t *testing.T) {
	s := press(t, prefilled(t, 200), "decoding(keydiff, every=10):0.5")
	a := answer(t, s, someTokens(s.Model(), 10, 5), 91)
	left := 200
	for i, e := range a.Compressions {
		came := 10
		if left += came - len(e.Evicted[0][0]); left != e.Next/2 {
			t.Errorf("compression %d: %d pairs are left of %d", i, left, e.Next)
		}
	}
	if len(a.Compressions) != 10 {
		t.Errorf("%d compressions in 100 tokens", len(a.Compressions))
	}
}

// TestThinKThenDecoding: keys that ThinK cut stay cut, and those that come later stay whole.
func TestThinKThenDecoding(t *testing.T) {
	whole := prefilled(t, 200)
	question := someTokens(whole.Model(), 6, 5)
	cut := press(t, whole, "think(ratio=0.5)")
	want := answer(t, cut, question, 60)
	roomy := answer(t, press(t, cut, "decoding(streaming_llm(sinks=300), every=8):400tok"), question, 60)
	if !reflect.DeepEqual(roomy.Tokens, want.Tokens) {
		t.Error("decoding with room changes the answers of a session with shorter keys")
	}
	twice := press(t, cut, "streaming_llm:150tok")
	once := press(t, whole, "composed(think(ratio=0.5), streaming_llm:150tok)")
	if !reflect.DeepEqual(logits(t, twice, question), logits(t, once, question)) {
		t.Error("shorter keys change when some of them go")
	}
}

func TestDecodingErrors(t *testing.T) {
	whole := prefilled(t, 100)
	for spelling, want := range map[string]string{
		"decoding(think(ratio=0.5))":                       "think(ratio=0.5) has no budget of its own",
		"decoding(knorm, every=-1):50tok":                  "every is -1: at least 1",
		"cam(knorm, spread=-1):50tok":                      "spread is -1: at least 1",
		"composed(knorm:0.5, decoding(knorm):50tok)":       "acts while the model answers",
		"prefill_decoding(knorm:0.5, snapkv:0.5)":          "takes a press for the context and a decoding or cam press",
		"decoding(decoding(knorm)):50tok":                  "has no budget of its own",
		"adakv(knorm):0.5 then cam":                        "keeps the same tokens in all",
		"decoding(kvzip, every=2):50tok then ask":          "runs the model again",
		"decoding(snapkv, every=2, buffer=3):50tok and no": "6 tokens, the window is 64: lower Window",
	} {
		head, _, _ := strings.Cut(spelling, " and no")
		head, _, _ = strings.Cut(head, " then ask")
		s := whole
		if before, _, ok := strings.Cut(head, " then cam"); ok {
			s, head = press(t, whole, before), "cam(knorm, every=2):20tok"
		}
		p, err := kvpress.Parse(head)
		if err != nil {
			t.Errorf("%s: %v", spelling, err)
			continue
		}
		s, err = s.Press(p)
		if err == nil {
			_, err = s.AskTokens(context.Background(), []int{11, 12, 13}, 5, nil, nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", spelling, err, want)
		}
	}
}
