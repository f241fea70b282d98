package interp

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"

	"github.com/cosmos72/gomacro/imports"
)

// checkImports refuses packages that are not compiled in, at once: the interpreter itself would start a compiler.
func checkImports(nodes []ast.Node) error {
	for _, n := range nodes {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.IMPORT {
			continue
		}
		for _, s := range d.Specs {
			spec, ok := s.(*ast.ImportSpec)
			if !ok {
				continue
			}
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if _, ok := imports.Packages[path]; !ok {
				return fmt.Errorf("package %q is not in this kernel: %s", path, instead(path))
			}
		}
	}
	return nil
}

// generic are packages of generic functions, which interpreted code cannot call.
var generic = map[string]string{
	"slices": "its functions are generic, which interpreted code cannot call: use package sort, or a loop",
	"maps":   "its functions are generic, which interpreted code cannot call: use a loop over the map",
	"cmp":    "its functions are generic, which interpreted code cannot call: compare with < and ==",
	"iter":   "iterators are generic, which interpreted code cannot call: use a loop",
}

// instead says what to do about a package that is not there.
func instead(path string) string {
	if why, ok := generic[path]; ok {
		return why
	}
	last := path[strings.LastIndex(path, "/")+1:]
	var near, all []string
	for p := range imports.Packages {
		all = append(all, p)
		if strings.Contains(p, last) {
			near = append(near, p)
		}
	}
	slices.Sort(near)
	slices.Sort(all)
	if len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return "there are " + strings.Join(all, ", ")
}
