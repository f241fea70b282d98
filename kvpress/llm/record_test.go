package llm_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

func parsed(t testing.TB, spelling string) kvpress.Press {
	t.Helper()
	p, err := kvpress.Parse(spelling)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLightRecordsWhatPressesAskFor(t *testing.T) {
	m := loadNeedle(t)
	for spelling, want := range map[string]llm.Record{
		"knorm:0.5":                                    {},
		"streaming_llm:0.5":                            {},
		"leverage:0.5":                                 {},
		"snapkv(window=16):0.5":                        {Windows: []int{16}},
		"adakv(tova):0.5":                              {Windows: []int{1}},
		"expected_attention(sinks=2):0.5":              {Moments: []int{2}},
		"criticalkv(snapkv):0.5":                       {Windows: []int{64}, Norms: []int{1}},
		"observed_attention:0.5":                       {Sums: true},
		"composed(snapkv:0.3, knorm:0.5)":              {Windows: []int{64}},
		"noncausal:0.5":                                {Hidden: true},
		"kvzip:0.5":                                    {},
		"decoding(knorm:64tok)":                        {Hidden: true},
		"prefill_decoding(knorm:0.5, cam(knorm):9tok)": {Hidden: true},
	} {
		got, err := m.Light(parsed(t, spelling))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s asks for %+v, %v; want %+v", spelling, got, err, want)
		}
	}
	if _, err := m.Light(parsed(t, "qfilter:0.5")); err == nil {
		t.Error("a press without its trained weights is no error")
	}
}

// TestLightSessionsPressAlike compares sessions that recorded everything with those that recorded what a press needs.
func TestLightSessionsPressAlike(t *testing.T) {
	whole := prefilled(t, 300)
	m, question := whole.Model(), someTokens(whole.Model(), 6, 5)
	for _, spelling := range []string{"snapkv:0.5", "adakv(expected_attention):0.5", "criticalkv(tova):0.5", "observed_attention:0.5", "leverage:0.5", "cap:0.7"} {
		p := parsed(t, spelling)
		record, err := m.Light(p)
		if err != nil {
			t.Fatal(err)
		}
		light, err := m.PrefillTokens(context.Background(), whole.Tokens(), record)
		if err != nil {
			t.Fatal(err)
		}
		want := press(t, whole, spelling)
		same := func(what string, s *llm.Session) {
			t.Helper()
			got, err := s.Press(p)
			if err != nil {
				t.Errorf("%s: %s: %v", spelling, what, err)
				return
			}
			for layer := range m.Config.Layers {
				if !reflect.DeepEqual(got.Plans()[layer].Keep, want.Plans()[layer].Keep) {
					t.Errorf("%s: %s: layer %d keeps other pairs", spelling, what, layer)
				}
			}
			if !reflect.DeepEqual(logits(t, got, question), logits(t, want, question)) {
				t.Errorf("%s: %s: other logits", spelling, what)
			}
		}
		same("light", light)
		same("light again", light)
		file := filepath.Join(t.TempDir(), "light")
		if err := light.Save(file); err != nil {
			t.Fatal(err)
		}
		loaded, err := m.LoadSession(file)
		if err != nil {
			t.Fatal(err)
		}
		same("loaded", loaded)
		if b := light.Bytes().Record; b > whole.Bytes().Record/2 {
			t.Errorf("%s: the light record takes %d bytes", spelling, b)
		}
	}
}

func TestWhatWasNotRecordedIsAnError(t *testing.T) {
	m := loadNeedle(t)
	s, err := m.PrefillTokens(context.Background(), someTokens(m, 200, 7), llm.Record{Windows: []int{16}, Moments: []int{4}})
	if err != nil {
		t.Fatal(err)
	}
	for _, spelling := range []string{"snapkv(window=16):0.5", "expected_attention:0.5"} {
		if _, err := s.Press(parsed(t, spelling)); err != nil {
			t.Errorf("%s: %v", spelling, err)
		}
	}
	for _, spelling := range []string{"snapkv(window=17):0.5", "expected_attention(sinks=3):0.5", "observed_attention:0.5", "noncausal:0.5"} {
		if _, err := s.Press(parsed(t, spelling)); !errors.Is(err, kvpress.ErrNotRecorded) {
			t.Errorf("%s: %v", spelling, err)
		}
	}
	// Votes on all pairs do not count once some are gone; moments of queries do.
	pressed := press(t, s, "knorm:0.5")
	if _, err := pressed.Press(parsed(t, "snapkv(window=16):0.5")); !errors.Is(err, kvpress.ErrNotRecorded) {
		t.Errorf("votes after a press: %v", err)
	}
	if _, err := pressed.Press(parsed(t, "expected_attention:0.5")); err != nil {
		t.Errorf("moments after a press: %v", err)
	}
}
