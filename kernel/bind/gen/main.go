// Gen writes the bindings by which notebook cells reach compiled packages: their functions, variables, constants and
// types, proxies by which types of cells implement their interfaces, and the documentation of their names. Each package
// of this project has a file; what the standard library of this Go has beyond the interpreter's own tables is one more.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/cosmos72/gomacro/imports"
	"golang.org/x/tools/go/packages"
)

// module is where the packages of this project are.
const module = "github.com/kvnotes/kvnotes/"

// ours are the packages of this project that cells can import.
var ours = []string{
	"kernel/display", "kvpress", "kvpress/cpu", "kvpress/eval", "kvpress/hub", "kvpress/llm", "kvpress/needle", "kvpress/presstest",
	"kvpress/progress", "kvpress/tensor", "kvpress/tokenizer", "kvpress/weights", "viz", "viz/widget",
}

// left out of the standard library: what differs between operating systems, what only compilers need, and what is all
// generic (of slices, maps and cmp the interpreter has versions of its own).
var left = []string{
	"builtin", "cmp", "go/build", "iter", "log/syslog", "maps", "plugin", "runtime/cgo", "runtime/coverage", "runtime/race", "runtime/secret", "simd", "slices", "structs",
	"syscall", "testing/cryptotest", "testing/synctest", "unique", "unsafe", "weak",
}

func main() {
	out := flag.String("out", ".", "folder to write to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	paths := make([]string, len(ours))
	for i, p := range ours {
		paths[i] = module + p
	}
	loaded, err := load(paths...)
	if err != nil {
		return err
	}
	for _, p := range loaded {
		text, err := file([]*binding{bind(p, nil)}, documentation(p))
		if err != nil {
			return fmt.Errorf("%s: %w", p.PkgPath, err)
		}
		name := strings.ReplaceAll(strings.TrimPrefix(p.PkgPath, module), "/", "_") + "_bind.go"
		if err := os.WriteFile(filepath.Join(out, name), text, 0o644); err != nil {
			return err
		}
	}
	return standard(out)
}

func load(patterns ...string) ([]*packages.Package, error) {
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps}, patterns...)
	if err != nil {
		return nil, err
	}
	for _, p := range loaded {
		if len(p.Errors) > 0 && p.PkgPath != "builtin" { // whose types refer to themselves
			return nil, fmt.Errorf("%s: %w", p.PkgPath, p.Errors[0])
		}
	}
	return loaded, nil
}

// standard writes what the interpreter's tables lack, and the documentation of all that cells can reach.
func standard(out string) error {
	loaded, err := load("std", "builtin")
	if err != nil {
		return err
	}
	var all []*binding
	docs := map[string]string{}
	for _, p := range loaded {
		if strings.Contains(p.PkgPath, "internal") || strings.HasPrefix(p.PkgPath, "vendor/") {
			continue
		}
		skip := false
		for _, l := range left {
			skip = skip || p.PkgPath == l || strings.HasPrefix(p.PkgPath, l+"/")
		}
		there, known := imports.Packages[p.PkgPath]
		if known || !skip || p.PkgPath == "builtin" {
			maps.Copy(docs, documentation(p))
		}
		if skip {
			continue
		}
		has := map[string]bool{}
		for name := range there.Binds {
			has[name] = true
		}
		for name := range there.Types {
			has[name] = true
		}
		if b := bind(p, has); !b.empty() {
			all = append(all, b)
		}
	}
	text, err := file(all, nil)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "std_bind.go"), text, 0o644); err != nil {
		return err
	}
	text, err = packed(docs)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "std_docs.json.gz"), text, 0o644)
}
