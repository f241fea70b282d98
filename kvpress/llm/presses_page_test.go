package llm_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/internal/reference"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

var update = flag.Bool("update", false, "write the table of presses again")

// TestTableOfPresses makes the table in docs/presses.md from the catalogue and from what each press does on the needle
// model: when it acts, what it needs, what it frees. Only what a press keeps is written by hand.
func TestTableOfPresses(t *testing.T) {
	repo, err := reference.Repository()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(repo, "docs", "presses.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := regexp.MustCompile("(?m)^\\| press \\|.*\n(\\|.*\n)+").Find(text)
	if old == nil {
		t.Fatal("docs/presses.md has no table that begins with press")
	}
	keeps := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| \\[?`([a-z_]+)`[^|]*\\| ([^|]*[^| ]) *\\|").FindAllStringSubmatch(string(old), -1) {
		keeps[row[1]] = row[2]
	}
	files := registrations(t, repo)
	table := row("press", "what it keeps", "acts in", "needs", "frees", "agrees with", "paper") + "|---|---|---|---|---|---|---|\n"
	untaught := untaught(t)
	trainAll(t)
	ctx := context.Background()
	whole := prefilled(t, 700)
	bare, err := loadNeedle(t).PrefillTokens(ctx, whole.Tokens(), llm.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range kvpress.Methods() {
		if keeps[m.Name] == "" {
			t.Errorf("%s: add a row that says what it keeps: | `%s` | what it keeps |, and run this test with -update", m.Name, m.Name)
		}
		spelling := strings.Replace(spellingOf(m), "(snapkv", "(keydiff", 1) // an inner scorer that needs little
		spelling = strings.Replace(spelling, "512tok", "128tok", 1)          // an answer that soon is too long
		if slices.ContainsFunc(m.Parameters(), func(p kvpress.Parameter) bool { return p.Name == "decoding" }) {
			spelling = strings.Replace(spelling, ")", ", decoding=true)", 1)
		}
		s := press(t, whole, spelling)
		a, err := s.AskTokens(ctx, question, 80, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", spelling, err)
		}
		var acts []string
		if s.Plans() != nil {
			acts = append(acts, "prefill")
		}
		if len(a.Compressions) > 0 {
			acts = append(acts, "answers")
		}
		table += row("[`"+m.Name+"`]("+files[m.Name]+")", keeps[m.Name], strings.Join(acts, ", "), needs(t, m, spelling, bare, untaught[m.Name]), frees(s, a), agrees(m.Name), m.Paper)
	}
	if string(old) == table {
		return
	}
	if !*update {
		t.Fatalf("the table of presses is out of date: go test ./kvpress/llm -run TableOfPresses -update writes\n%s", table)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), string(old), table, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// row writes a line of a table.
func row(cells ...string) string {
	line := "|"
	for _, c := range cells {
		if c != "" {
			c += " "
		}
		line += " " + c + "|"
	}
	return line + "\n"
}

// registrations finds the file of each method.
func registrations(t *testing.T, repo string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"kvpress/*.go", "kvpress/llm/*.go"} {
		paths, err := filepath.Glob(filepath.Join(repo, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`Method\{Name: "([a-z_]+)"`).FindAllSubmatch(text, -1) {
				if !strings.HasSuffix(path, "_test.go") {
					found[string(m[1])] = "../" + filepath.ToSlash(filepath.Join(filepath.Dir(pattern), filepath.Base(path)))
				}
			}
		}
	}
	return found
}

// untaught are the methods that cannot work before somebody has taught them.
func untaught(t *testing.T) map[string]bool {
	t.Helper()
	all, s := map[string]bool{}, prefilled(t, 300)
	for _, m := range kvpress.Methods() {
		_, err := s.Press(parse(t, spellingOf(m)))
		all[m.Name] = err != nil && strings.Contains(err.Error(), "load those of this model")
		if err != nil && !all[m.Name] {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	return all
}

// needs says what a press must be given.
func needs(t *testing.T, m kvpress.Method, spelling string, bare *llm.Session, untaught bool) string {
	t.Helper()
	var all []string
	if untaught {
		all = append(all, "trained weights")
	}
	if m.Press != nil && llm.RunsAgain(m.Press) {
		return strings.Join(append(all, "the model again"), ", ")
	}
	s, err := bare.Press(parse(t, spelling))
	if err == nil {
		_, err = s.AskTokens(context.Background(), question, 80, nil, nil)
	}
	switch {
	case errors.Is(err, kvpress.ErrNotRecorded):
		all = append(all, "hidden states")
	case err != nil:
		t.Errorf("%s: %v", spelling, err)
	case m.Inner() != "":
		all = append(all, "what `inner` needs")
	default:
		all = append(all, "keys and values")
	}
	return strings.Join(all, ", ")
}

// frees says which memory a pressed session has let go of.
func frees(s *llm.Session, a llm.Answer) string {
	alike, layers, channels, bits := true, true, false, false
	lens := s.Lens()
	for _, e := range a.Compressions {
		for layer := range lens {
			for h := range lens[layer] {
				lens[layer][h] -= len(e.Evicted[layer][h])
			}
		}
	}
	fewer := lens[0][0] < s.Len()
	for _, heads := range lens {
		for _, n := range heads {
			alike, layers = alike && n == lens[0][0], layers && n == heads[0]
			fewer = fewer || n < s.Len()
		}
	}
	for _, p := range s.Plans() {
		channels, bits = channels || p.Channels != nil, bits || p.Bits != 0
	}
	switch {
	case channels:
		return "key channels"
	case bits:
		return "bits"
	case !fewer:
		return "nothing"
	case alike:
		return "pairs, as many in every head"
	case layers:
		return "pairs, layer by layer"
	}
	return "pairs, head by head"
}

// agrees names what the method is compared with.
func agrees(method string) string {
	names, compat := reference.Originals(method)
	for i, name := range names {
		names[i] = "`" + name + "`"
	}
	if compat {
		return strings.Join(names, ", ") + " with `compat`"
	}
	return strings.Join(names, ", ")
}
