package llm_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// BenchmarkPress times the most used presses on a kept prefill of 2,048 tokens of SmolLM2, with what they ask for
// recorded during the prefill. One operation plans all layers and copies what stays.
func BenchmarkPress(b *testing.B) {
	if _, err := hub.Find("smollm2"); err != nil {
		b.Skipf("NOT RUN: %v", err)
	}
	m, err := llm.Load("smollm2", cpu.New())
	if err != nil {
		b.Fatal(err)
	}
	list, err := kvpress.ParseList(strings.Join([]string{
		"random:0.5", "knorm:0.5", "streaming_llm:0.5", "snapkv:0.5", "tova:0.5", "keydiff:0.5", "expected_attention:0.5", "adakv(snapkv):0.5",
		"criticalkv(snapkv):0.5", "pyramidkv:0.5",
	}, ","))
	if err != nil {
		b.Fatal(err)
	}
	record, err := m.Light(list...)
	if err != nil {
		b.Fatal(err)
	}
	s, err := m.PrefillTokens(context.Background(), someTokens(m, 2048, 1), record)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, p := range list {
		b.Run(p.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pressed, err := s.Press(p)
				if err != nil {
					b.Fatal(err)
				}
				pressed.Close()
			}
		})
	}
}
