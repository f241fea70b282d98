package kvnotes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readme returns the README and its blocks of code in one language, in order; "" is the language of commands.
func readme(t *testing.T, language string) (text string, blocks []string) {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text = string(b)
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		if m[1] == language {
			blocks = append(blocks, m[2])
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("the README has no block of language %q", language)
	}
	return text, blocks
}

func TestReadmeProgramPrintsWhatItSays(t *testing.T) {
	_, programs := readme(t, "go")
	_, prints := readme(t, "text")
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(programs[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if string(out) != prints[0] {
		t.Errorf("the program prints\n%s\nthe README says\n%s", out, prints[0])
	}
}

func TestReadmeCommandsExist(t *testing.T) {
	text, blocks := readme(t, "")
	kvnotes := filepath.Join(t.TempDir(), "kvnotes")
	if out, err := exec.Command("go", "build", "-o", kvnotes, "./kernel/kvnotes").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(strings.Join(blocks, "")) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "bin/kvnotes" {
			continue
		}
		path := words[1:2]
		if words[1] == "kernel" || words[1] == "eval" && len(words) > 2 && !strings.HasPrefix(words[2], "-") {
			path = words[1:3]
		}
		help, err := exec.Command(kvnotes, append(path, "--help")...).CombinedOutput()
		if err != nil || !strings.Contains(string(help), strings.Join(path, " ")) {
			t.Errorf("%q: %v\n%s", line, err, help)
		}
		for _, w := range words {
			if strings.HasPrefix(w, "--") && !strings.Contains(string(help), w) {
				t.Errorf("%q: there is no %s", line, w)
			}
		}
	}
	targets := regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(text, -1)
	if len(targets) < 2 {
		t.Error("the README does not begin with make demo and make test")
	}
	for _, m := range targets {
		if out, err := exec.Command("make", "-n", m[1]).CombinedOutput(); err != nil {
			t.Errorf("make %s: %v\n%s", m[1], err, out)
		}
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
