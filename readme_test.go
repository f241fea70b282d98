package kvnotes_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/hub"
)

// pages are the documents that hold commands.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all[path] = string(text)
		}
	}
	return all
}

// blocks are the pieces of code of a page in one of the languages, in order; "" is the language of commands.
func blocks(page string, languages ...string) []string {
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		if slices.Contains(languages, m[1]) {
			all = append(all, m[2])
		}
	}
	return all
}

// build makes the command that the pages call bin/kvnotes, in a folder that looks like the repository.
func build(t *testing.T) (folder, kvnotes string) {
	t.Helper()
	folder = t.TempDir()
	kvnotes = filepath.Join(folder, "bin", "kvnotes")
	if out, err := exec.Command("go", "build", "-o", kvnotes, "./kernel/kvnotes").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder, kvnotes
}

func TestReadmeProgramPrintsWhatItSays(t *testing.T) {
	page := pages(t)["README.md"]
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(blocks(page, "go")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := blocks(page, "text")[0]; string(out) != want {
		t.Errorf("the program prints\n%s\nthe README says\n%s", out, want)
	}
}

func TestDocumentedCommandsExist(t *testing.T) {
	_, kvnotes := build(t)
	found := 0
	for name, page := range pages(t) {
		for line := range strings.Lines(strings.Join(blocks(page, "", "sh"), "")) {
			words := strings.Fields(line)
			if len(words) < 2 || !strings.HasSuffix(words[0], "kvnotes") {
				continue
			}
			found++
			path := words[1:2]
			if words[1] == "kernel" || words[1] == "eval" && !strings.HasPrefix(words[2], "-") {
				path = words[1:3]
			}
			help, err := exec.Command(kvnotes, append(path, "--help")...).CombinedOutput()
			if err != nil || !strings.Contains(string(help), strings.Join(path, " ")) {
				t.Errorf("%s: %q: %v\n%s", name, line, err, help)
			}
			for _, w := range words {
				if strings.HasPrefix(w, "--") && !strings.Contains(string(help), w) {
					t.Errorf("%s: %q: there is no %s", name, line, w)
				}
			}
		}
		for _, m := range regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z-]*)").FindAllStringSubmatch(page, -1) {
			found++
			if out, err := exec.Command("make", "-n", m[1]).CombinedOutput(); err != nil {
				t.Errorf("%s: make %s: %v\n%s", name, m[1], err, out)
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(page, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: a link leads nowhere: %v", name, err)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d commands are found in all pages", found)
	}
}

// TestReadmeAndPageShowOneRun compares the speeds that the README quotes with the page that has all of them.
func TestReadmeAndPageShowOneRun(t *testing.T) {
	table := func(name string) []string {
		t.Helper()
		_, rest, ok := strings.Cut(pages(t)[name], "<!-- make bench-table -->\n")
		text, _, end := strings.Cut(rest, "<!-- end -->")
		if !ok || !end {
			t.Fatalf("%s has no marks of make bench-table", name)
		}
		return slices.Collect(strings.Lines(text))
	}
	whole, quoted := table(filepath.Join("docs", "speed.md")), table("README.md")
	if len(quoted) < 12 || len(quoted) >= len(whole) {
		t.Errorf("the README quotes %d of %d lines", len(quoted), len(whole))
	}
	for _, line := range quoted {
		if !slices.Contains(whole, line) {
			t.Errorf("docs/speed.md has not what the README says: %smake bench-table writes both", line)
		}
	}
}

// TestReadmeCommandsRun runs the commands of the README and of the pages, one after the other, as a reader does. Those that
// take minutes run with KVNOTES_LONG=1 only; make demo, make test and the pages' own make targets are what CI runs anyway.
func TestReadmeCommandsRun(t *testing.T) {
	model, err := hub.Find("smollm2")
	if err != nil {
		t.Skip("NOT RUN: make model fetches SmolLM2")
	}
	folder, _ := build(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	gguf := filepath.Join(model, "model.gguf")
	for link, target := range map[string]string{"kvpress": filepath.Join(here, "kvpress"), "model.gguf": gguf} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(gguf); err != nil {
		t.Logf("NOT RUN: the commands about model.gguf, which an older version did not keep: %v", err)
	}
	for _, dir := range []string{"build", filepath.Join("notebooks", "pictures")} {
		if err := os.MkdirAll(filepath.Join(folder, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// A page speaks of files that a reader has.
	row := `{"context": "Ada lives in Lima.", "question": "Where does Ada live?", "answer_prefix": "", "answers": ["Lima"], "task": "hotpotqa", "max_new_tokens": 8, "all_classes": null, "length": 5}` + "\n"
	if err := os.WriteFile(filepath.Join(folder, "hotpotqa.jsonl"), []byte(strings.Repeat(row, 3)), 0o600); err != nil {
		t.Fatal(err)
	}
	all := pages(t)
	names := slices.Sorted(maps.Keys(all)) // README.md comes before docs
	long, ran := regexp.MustCompile(`kvnotes (bench|eval|measure)|--trained`), 0
	for _, name := range names {
		for line := range strings.Lines(strings.Join(blocks(all[name], ""), "")) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "bin/kvnotes") || long.MatchString(line) && os.Getenv("KVNOTES_LONG") == "" {
				continue
			}
			if _, err := os.Stat(gguf); err != nil && regexp.MustCompile(`model\.gguf|build/model`).MatchString(line) {
				continue
			}
			ran++
			c, start := exec.Command("sh", "-c", line), time.Now()
			c.Dir = folder
			c.Env = append(os.Environ(), "JUPYTER_DATA_DIR="+filepath.Join(folder, "jupyter"))
			out, err := c.CombinedOutput()
			if doctor := strings.Contains(line, "doctor") && strings.Contains(string(out), "want attention"); err != nil && !doctor {
				t.Errorf("%s: %s: %v\n%s", name, line, err, out)
			}
			t.Logf("%5.1f s  %s: %s", time.Since(start).Seconds(), name, line)
		}
	}
	if ran < 4 {
		t.Errorf("only %d commands ran", ran)
	}
}

// TestContributingShowsARealPress keeps the press that the guide shows as its example the one that is there.
func TestContributingShowsARealPress(t *testing.T) {
	guide, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	press, err := os.ReadFile(filepath.Join("kvpress", "knorm.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(guide), "```go\n"+string(press)+"```") {
		t.Error("CONTRIBUTING.md does not show kvpress/knorm.go as it is: copy it there again")
	}
}
