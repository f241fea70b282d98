package kvnotes_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write again what tests compare: NOTICE, the list in docs/architecture.md")

// signs tells licences apart by words that only they have; the first that fits is the one.
var signs = []struct{ name, words string }{
	{"Apache-2.0", `Apache License\s+Version 2\.0`},
	{"MPL-2.0", `Mozilla Public License,? Version 2\.0`},
	{"OFL-1.1", `SIL OPEN FONT LICENSE`},
	{"FTL", `FreeType Project LICENSE|FreeType License`},
	{"BSD-3-Clause", `(?s)Redistribution and use in source and binary forms.*(Neither the names? of|The names? of|nor the names)`},
	{"BSD-2-Clause", `Redistribution and use in source and binary forms`},
	{"ISC", `Permission to use, copy, modify, and/or distribute`},
	{"MIT", `Permission is hereby granted, free of charge`},
	{"CC-BY-4.0", `Attribution 4\.0 International`},
}

// required lists the modules of go.mod, "path version" each.
func required(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range mod.Require {
		all = append(all, r.Path+" "+r.Version)
	}
	slices.Sort(all)
	return all
}

// TestNoticeNamesEveryDependency keeps NOTICE in step with go.mod. With -update it reads the licence files in the module
// cache and writes the list again.
func TestNoticeNamesEveryDependency(t *testing.T) {
	modules := required(t)
	text, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(text), "\n# Modules\n")
	if !found {
		t.Fatal("NOTICE has no line that begins the list of modules")
	}
	if *update {
		head += "\n# Modules\n\n"
		for _, m := range modules {
			head += licenceOf(t, m) + "\n"
		}
		if err := os.WriteFile("NOTICE", []byte(head), 0o644); err != nil {
			t.Fatal(err)
		}
		text = []byte(head)
	}
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^(\S+ v\S+): \S+`).FindAllStringSubmatch(string(text), -1) {
		named = append(named, m[1])
	}
	if !slices.Equal(named, modules) {
		differs := func(a, b []string) string {
			return strings.Join(slices.DeleteFunc(slices.Clone(a), func(m string) bool { return slices.Contains(b, m) }), ", ")
		}
		t.Errorf("NOTICE lacks [%s] and has too much [%s]: go test . -run Notice -update writes it again", differs(modules, named), differs(named, modules))
	}
}

// licenceOf reads the files of a module that say how it may be used: "path version: licences; holders".
func licenceOf(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", strings.Replace(module, " ", "@", 1)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ Dir string }
	if err := json.Unmarshal(out, &at); err != nil {
		t.Fatal(err)
	}
	var names, holders []string
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "licenses/*", "THIRD_PARTY_LICENSES/*"} {
		files, err := filepath.Glob(filepath.Join(at.Dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, holder := readLicence(t, file)
			for _, s := range signs {
				if !regexp.MustCompile(`(?i)` + s.words).MatchString(text) {
					continue
				}
				if !slices.Contains(names, s.name) {
					names = append(names, s.name)
				}
				if holder != "" && !slices.Contains(holders, holder) && len(holders) < 3 {
					holders = append(holders, holder)
				}
				break
			}
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s: the licence in %s is none of those known here", module, at.Dir)
	}
	line := fmt.Sprintf("%s: %s", module, strings.Join(names, " AND "))
	if len(holders) > 0 {
		line += "; " + strings.Join(holders, "; ")
	}
	return line
}

func readLicence(t *testing.T, file string) (text, holder string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return "", ""
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.Trim(line, " \t\r\n*#/-")
		if regexp.MustCompile(`(?i)^copyright .*(\d{4}|authors)`).MatchString(line) {
			return string(b), line
		}
	}
	return string(b), ""
}
