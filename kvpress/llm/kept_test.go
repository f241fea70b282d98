package llm_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress/cpu"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// keeping is the needle model with a folder for prefills, which is not there yet.
func keeping(t *testing.T) (m *llm.LLM, folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "new", "prefills")
	m, err := llm.Load("needle", cpu.New(), llm.Options{Prefills: folder})
	if err != nil {
		t.Fatal(err)
	}
	return m, folder
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLongPrefillsAreKept(t *testing.T) {
	m, folder := keeping(t)
	read := func(n int, r llm.Record) *llm.Session {
		t.Helper()
		ids := prefilled(t, 1200).Tokens()[:n]
		s, err := m.PrefillTokens(context.Background(), ids, r)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	read(1023, llm.Full())
	read(1200, llm.KeysOnly())
	if found := files(t, folder); len(found) != 0 {
		t.Errorf("short contexts, and those with another record, are kept: %v", found)
	}
	first, again := read(1200, llm.Full()), read(1200, llm.Full())
	read(1199, llm.Full())
	found := files(t, folder)
	if len(found) != 2 {
		t.Fatalf("two contexts gave the files %v", found)
	}
	for path, mode := range map[string]os.FileMode{folder: 0o700, found[0]: 0o600} {
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%s is not for its owner only: %v, %v", path, info.Mode(), err)
		}
	}
	if first.PrefillSeconds() != again.PrefillSeconds() {
		t.Error("the second time the text was read anew")
	}
	for _, spelling := range []string{"knorm:0", "snapkv(window=16):0.5", "expected_attention:0.75", "observed_attention:0.5"} {
		if !reflect.DeepEqual(logits(t, press(t, again, spelling), question), logits(t, press(t, first, spelling), question)) {
			t.Errorf("%s answers differently from a prefill that was kept", spelling)
		}
	}
}

func TestKeptPrefillsThatCannotBeUsed(t *testing.T) {
	m, folder := keeping(t)
	ids := prefilled(t, 1100).Tokens()
	if _, err := m.PrefillTokens(context.Background(), ids, llm.Full()); err != nil {
		t.Fatal(err)
	}
	path := files(t, folder)[0]
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PrefillTokens(context.Background(), ids, llm.Full()); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove") {
		t.Errorf("a damaged file: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.PrefillTokens(stopped, ids, llm.Full()); err == nil || len(files(t, folder)) != 0 {
		t.Errorf("a prefill that was stopped: %v, files %v", err, files(t, folder))
	}
	if os.Geteuid() == 0 {
		t.Skip("NOT RUN: root may write to every folder")
	}
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PrefillTokens(context.Background(), ids, llm.Full()); err != nil || len(files(t, folder)) != 0 {
		t.Errorf("a folder that cannot be written to: %v, files %v", err, files(t, folder))
	}
}
