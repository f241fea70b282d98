package llm_test

import (
	"context"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/internal/invented"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// trainAll registers the methods that learn something with weights invented for the needle model, for one test.
func trainAll(t *testing.T) {
	t.Helper()
	before := kvpress.Methods()
	t.Cleanup(func() {
		for _, m := range before {
			kvpress.Register(m)
		}
	})
	c := loadNeedle(t).Config
	invented.Register(kvpress.Layer{Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, Dim: c.Dim, Width: c.Width})
	kvpress.Register(kvpress.Method{Name: "restorekv", Press: summed(t)})
}

// spellingOf is a press to try a method with on the needle model, where it keeps less than everything.
func spellingOf(m kvpress.Method) string {
	switch m.Name {
	case "perlayer": // one ratio for each layer
		return "perlayer(keydiff, ratios=0.1/0.2/0.3/0.4/0.5/0.6)"
	case "simlayerkv": // a threshold at which some layers are lazy
		return "simlayerkv(threshold=0.09, recent=64)"
	}
	return m.Spelling()
}

// pageBytes is what a page takes whose keys have so many channels, in 4 bytes a number, or in bits beside a lowest
// number and a step for each channel of keys and each value.
func pageBytes(dim, channels, bits int) int64 {
	if bits == 0 {
		return int64(4 * (channels + dim) * tensor.PageRows)
	}
	return int64((channels+dim)*tensor.PageRows*bits/8 + (4+2)*(channels+tensor.PageRows))
}

// planned is what plans say that a cache takes: whole pages, the last one of a head with room for more, and so many rows
// that the press puts behind the context.
func planned(s *llm.Session, plans []kvpress.Plan, behind int) int64 {
	c := s.Model().Config
	var bytes int64
	for layer := range c.Layers {
		for h := range c.KVHeads {
			channels, bits, kept := c.Dim, 0, s.Len()
			if plans != nil {
				kept, bits = len(plans[layer].Keep[h]), plans[layer].Bits
				if plans[layer].Channels != nil {
					channels = len(plans[layer].Channels[h])
				}
			}
			kept += behind
			for i := 0; i*tensor.PageRows < kept; i++ {
				switch full := kept / tensor.PageRows; {
				case i == full: // whole keys will be appended
					bytes += pageBytes(c.Dim, c.Dim, 0)
				case i == full-1: // the newest pairs stay as they are
					bytes += pageBytes(c.Dim, channels, 0)
				default:
					bytes += pageBytes(c.Dim, channels, bits)
				}
			}
		}
	}
	return bytes
}

// TestEveryPressFreesWhatItsPlanSays compares, for every method of the catalogue, the bytes of the pages that a cache
// holds after the press with those of its plan's pairs, heads and channels, in a copy and in place.
func TestEveryPressFreesWhatItsPlanSays(t *testing.T) {
	trainAll(t)
	whole := prefilled(t, 700)
	before := whole.Bytes().KV
	if before != planned(whole, nil, 0) {
		t.Errorf("whole: %d bytes, its pages take %d", before, planned(whole, nil, 0))
	}
	spellings := []string{
		"composed(adakv(snapkv):0.3, think(ratio=0.25))", "composed(think(ratio=0.5), merging(knorm):0.5)",
		"composed(adakv(knorm):0.5, quantise(bits=8))", "composed(snapkv:0.5, think(ratio=0.5), quantise(bits=4))",
	}
	for _, m := range kvpress.Methods() {
		spellings = append(spellings, spellingOf(m))
	}
	for _, spelling := range spellings {
		t.Run(spelling, func(t *testing.T) {
			p := parse(t, spelling)
			copied := press(t, whole, spelling)
			behind := max(0, copied.Next()-whole.Next()) // less than 0 where the keys moved together
			after, want := copied.Bytes(), planned(whole, copied.Plans(), behind)
			if after.KV != want {
				t.Errorf("%d bytes are allocated, the plan's pages take %d", after.KV, want)
			}
			if after.Live > after.KV {
				t.Errorf("the pairs take %d bytes of %d", after.Live, after.KV)
			}
			if copied.Plans() != nil && after.KV >= before { // others act while the model answers
				t.Errorf("%d of %d bytes are left: nothing is freed", after.KV, before)
			}
			inPlace := press(t, whole, "knorm:0")
			if err := inPlace.PressInPlace(p); err != nil {
				t.Fatal(err)
			}
			if got := inPlace.Bytes().KV; got != want {
				t.Errorf("in place %d bytes are allocated, the plan's pages take %d", got, want)
			}
			t.Logf("%-44s %8d of %8d bytes: %.3f", p.Name(), after.KV, before, float64(after.KV)/float64(before))
		})
	}
	if whole.Bytes().KV != before {
		t.Error("the source changed")
	}
}

// TestAnswersLeaveNothing: presses that act while the model answers leave the session whole.
func TestAnswersLeaveNothing(t *testing.T) {
	s := press(t, prefilled(t, 300), "prefill_decoding(knorm:0.5, decoding(knorm):100tok)")
	before := s.Bytes().KV
	if _, err := s.AskTokens(context.Background(), question, 50, nil, nil); err != nil {
		t.Fatal(err)
	}
	if after := s.Bytes().KV; after != before {
		t.Errorf("%d bytes before an answer, %d after", before, after)
	}
}

// narrow is the processor with a cache that says it stores numbers in 2 bytes.
type narrow struct{ llm.Backend }

func (narrow) PairBytes(dim int) int { return 2 * 2 * dim }

// TestFullIsOfTheBackend: what a context takes uncompressed depends on how the backend stores numbers.
func TestFullIsOfTheBackend(t *testing.T) {
	full := func(b llm.Backend) int64 {
		m, err := llm.Load("needle", b)
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Prefill(context.Background(), "The warehouse of Lisbon keeps 42 crates.", llm.Record{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Bytes().Full
	}
	if wide, half := full(cpu.New()), full(narrow{cpu.New()}); wide != 2*half || half == 0 {
		t.Errorf("%d bytes in numbers of 4 bytes, %d in numbers of 2", wide, half)
	}
}
