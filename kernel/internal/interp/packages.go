package interp

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cosmos72/gomacro/imports"
)

// importSpecs are the imports among nodes.
func importSpecs(nodes []ast.Node) (specs []*ast.ImportSpec) {
	for _, n := range nodes {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.IMPORT {
			continue
		}
		for _, s := range d.Specs {
			if spec, ok := s.(*ast.ImportSpec); ok {
				specs = append(specs, spec)
			}
		}
	}
	return specs
}

// checkImports refuses packages that are not compiled in, at once: the interpreter itself would start a compiler.
func checkImports(nodes []ast.Node) error {
	for _, spec := range importSpecs(nodes) {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if _, ok := imports.Packages[path]; !ok {
			return fmt.Errorf("package %q is not in this kernel: %s", path, instead(path))
		}
	}
	return nil
}

// reachable tells whether a package is meant for cells: the interpreter's own are not.
func reachable(path string) bool {
	for _, prefix := range []string{"github.com/cosmos72/", "github.com/mattn/", "github.com/peterh/", "golang.org/x/", "plugin"} {
		if strings.HasPrefix(path, prefix) {
			return false
		}
	}
	return true
}

// packages lists what cells can import.
func packages() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(imports.Packages)), func(path string) bool { return !reachable(path) })
}

// instead says what to do about a package that is not there.
func instead(path string) string {
	if path == "iter" {
		return "iterators are generic, which interpreted code cannot call: use a loop"
	}
	last := path[strings.LastIndex(path, "/")+1:]
	var near []string
	for _, p := range packages() {
		if strings.Contains(p, last) {
			near = append(near, p)
		}
	}
	if len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return "nothing is fetched or compiled at run time. There are " + strings.Join(packages(), ", ")
}
