//go:build cuda && cgo

package cuda

import (
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"reflect"
	"strings"
	"testing"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// meddling is a backend that lets a test do something at every attention.
type meddling struct {
	*Backend
	attend func(c *Cache, a llm.Attention)
}

func (m meddling) Attend(dst, qkv llm.Buf, c llm.Cache, a llm.Attention) {
	m.attend(c.(*Cache), a)
	m.Backend.Attend(dst, qkv, c, a)
}

// longNeedle loads the embedded model for contexts of several row blocks.
func longNeedle(t *testing.T, b llm.Backend) (*llm.LLM, []int) {
	t.Helper()
	m, err := llm.Load("needle", b)
	if err != nil {
		t.Fatal(err)
	}
	m.Config.MaxPositions = 20000
	n := 9000
	if testing.Short() {
		n = 4200
	}
	return m, randomTokens(m, n)
}

// TestPressBesidePrefill presses layers while the next ones are computed, and keeps what a press keeps of a whole prefill,
// pair by pair: numbers come by themselves and are those of their layer.
func TestPressBesidePrefill(t *testing.T) {
	b, err := New(Options{})
	if err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	defer b.Close()
	m, ids := longNeedle(t, b)
	whole, err := m.PrefillTokens(context.Background(), ids, llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	voted, err := m.PrefillTokens(context.Background(), ids, llm.Record{Windows: []int{64, 16}, Moments: []int{4}})
	if err != nil {
		t.Fatal(err)
	}
	defer voted.Close()
	for _, spelling := range []string{"adasnapkv:0.5", "snapkv(window=16):0.9", "knorm:0.5", "adakv(expected_attention):0.7", "lagkv:0.5"} {
		p, err := kvpress.Parse(spelling)
		if err != nil {
			t.Fatal(err)
		}
		want, err := whole.Press(p)
		if err != nil {
			t.Fatal(err)
		}
		same := func(how string, got *llm.Session, err error) {
			if err != nil {
				t.Fatalf("%s %s: %v", spelling, how, err)
			}
			for layer := range m.Config.Layers {
				for h := range m.Config.KVHeads {
					if !reflect.DeepEqual(got.Kept(layer, h), want.Kept(layer, h)) {
						t.Fatalf("%s %s: layer %d, KV head %d keeps other pairs", spelling, how, layer, h)
					}
				}
				if !reflect.DeepEqual(got.Plans()[layer].Scores, want.Plans()[layer].Scores) {
					t.Errorf("%s %s: layer %d: other scores", spelling, how, layer)
				}
			}
			if a, b := asked(t, got), asked(t, want); !reflect.DeepEqual(a, b) {
				t.Errorf("%s %s: %v is answered, %v is expected", spelling, how, a, b)
			}
			got.Close()
		}
		got, err := m.PrefillTokensWith(context.Background(), ids, p)
		same("while prefilling", got, err)
		got, err = voted.Press(p)
		same("from what was recorded", got, err)
		want.Close()
	}
}

// TestStoppedPrefills stops prefills while numbers of a layer are on their way: nothing is held afterwards, and the next
// prefill gets its own numbers.
func TestStoppedPrefills(t *testing.T) {
	made, err := New(Options{})
	if err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	defer made.Close()
	b := made.(*Backend)
	p, err := kvpress.Parse("adasnapkv:0.5")
	if err != nil {
		t.Fatal(err)
	}
	stop, layer := context.CancelFunc(nil), 0
	m, ids := longNeedle(t, meddling{b, func(_ *Cache, a llm.Attention) {
		if stop != nil && a.Layer == layer {
			stop()
		}
	}})
	kept := func() (kept [][]int) {
		s, err := m.PrefillTokensWith(context.Background(), ids, p)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for layer := range m.Config.Layers {
			kept = append(kept, s.Kept(layer, 0))
		}
		return kept
	}
	want := kept()
	held, _ := b.Memory()
	for layer = 1; layer < m.Config.Layers; layer++ {
		for _, with := range []bool{false, true} {
			var ctx context.Context
			ctx, stop = context.WithCancel(context.Background())
			var s *llm.Session
			if with {
				s, err = m.PrefillTokensWith(ctx, ids, p)
			} else {
				s, err = m.PrefillTokens(ctx, ids, llm.Record{Windows: []int{64}})
			}
			if stop = nil; !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped in layer %d: %v", layer, err)
			}
			if s != nil {
				s.Close()
			}
		}
	}
	if got := kept(); !reflect.DeepEqual(got, want) {
		t.Error("after prefills that were stopped, other pairs stay")
	}
	if now, _ := b.Memory(); now > held+1<<20 {
		t.Errorf("%d bytes are held after prefills that were stopped, %d before", now, held)
	}
}

// TestBrokenCard makes the card stumble while votes are on their way, in a process of its own, for the card serves that
// no more: the prefill says so.
func TestBrokenCard(t *testing.T) {
	made, err := New(Options{})
	if err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	if os.Getenv("KVNOTES_BROKEN") == "" {
		made.Close()
		for _, how := range []string{"record", "with"} {
			c := osexec.Command(os.Args[0], "-test.run", "^TestBrokenCard$", "-test.v")
			c.Env = append(os.Environ(), "KVNOTES_BROKEN="+how)
			if text, err := c.CombinedOutput(); err != nil || !strings.Contains(string(text), "--- PASS") {
				t.Errorf("%s: %v: %s", how, err, text)
			}
		}
		return
	}
	m, ids := longNeedle(t, meddling{made.(*Backend), func(c *Cache, a llm.Attention) {
		if a.Layer == 2 && a.Positions[0] == 0 { // the votes of layer 1 may be there or not
			c.device.enter()
			defer c.device.leave()
			c.device.launch("lengths_bf16", size{x: 1, y: 1, threads: 256}, cu.DevicePtr(1<<20), cu.DevicePtr(1<<20), &lens{64}, int32(1), int32(64), int32(1), int32(0))
		}
	}})
	if os.Getenv("KVNOTES_BROKEN") == "record" {
		_, err = m.PrefillTokens(context.Background(), ids, llm.Record{Windows: []int{64}})
	} else {
		p, parseErr := kvpress.Parse("adasnapkv:0.5")
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		_, err = m.PrefillTokensWith(context.Background(), ids, p)
	}
	t.Log(err)
	says(t, err, "prefill", "the card has stopped", "start the program again")
}
