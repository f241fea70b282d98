package server

import (
	"strings"
	"testing"
)

// TestFold writes pieces of many sizes and counts what comes out.
func TestFold(t *testing.T) {
	for _, piece := range []int{1 << 10, 100_003, foldAt - 1, foldAt, 3 * foldAt} {
		var f fold
		written, shown := "", ""
		for i := 0; len(written) < 3*foldAt; i++ {
			text := strings.Repeat(string(rune('a'+i%26)), piece-2) + "é"
			written += text
			shown += f.take("one", "stdout", text)
		}
		if !strings.HasPrefix(written, shown) || len(shown) > foldAt || len(shown) < foldAt-4 {
			t.Errorf("pieces of %d: %d bytes are shown", piece, len(shown))
		}
		name, text := f.end("one")
		note, tail, ok := strings.Cut(strings.TrimPrefix(text, "\n"), " ...\n")
		if name != "stdout" || !ok || !strings.Contains(note, "left out") || !strings.HasSuffix(written, tail) || len(tail) < foldTail-4 {
			t.Errorf("pieces of %d: at the end came %q", piece, note)
		}
		if _, text := f.end("one"); text != "" {
			t.Error("the note comes twice")
		}
		if got := f.take("two", "stdout", "short"); got != "short" {
			t.Errorf("the next cell shows %q", got)
		}
		if _, text := f.end("two"); text != "" {
			t.Error("a short cell has a note")
		}
	}
}
