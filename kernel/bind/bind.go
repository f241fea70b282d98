// Package bind lets interpreted Go reach the packages of this project. A blank import is enough, in this kernel or
// in any other that is built on gomacro and gophernotes:
//
//	import _ "github.com/kvnotes/kvnotes/kernel/bind"
//
// A cell may then import "github.com/kvnotes/kvnotes/kvpress" and the others. The files of this package are
// generated; run go generate after changing what a cell can reach.
package bind

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"maps"
	"sync"

	"github.com/gopherdata/gophernotes/imports"

	"github.com/kvnotes/kvnotes/viz"
)

func init() { viz.Document(Documentation) } // the tuner's controls tell what they are for

//go:generate go run ./gen -out .

// extend adds names to the tables of a package, which may be new.
func extend(path string, more imports.Package) {
	p, ok := imports.Packages[path]
	if !ok {
		imports.Packages[path] = more
		return
	}
	p.Binds = merged(p.Binds, more.Binds)
	p.Types = merged(p.Types, more.Types)
	p.Proxies = merged(p.Proxies, more.Proxies)
	p.Untypeds = merged(p.Untypeds, more.Untypeds)
	p.Wrappers = merged(p.Wrappers, more.Wrappers)
	imports.Packages[path] = p
}

func merged[V any](all, more map[string]V) map[string]V {
	if all == nil {
		return more
	}
	maps.Copy(all, more)
	return all
}

// packed is the documentation of the standard library: JSON, compressed.
//
//go:embed std_docs.json.gz
var packed []byte

var documentation struct {
	sync.Mutex
	texts  map[string]string
	opened bool // packed has been read
}

func document(texts map[string]string) {
	documentation.Lock()
	defer documentation.Unlock()
	documentation.texts = merged(documentation.texts, texts)
}

// Documentation is the signature and doc comment of a name that cells can reach, by "path.Name", "path.Type.Method" or
// "path.Type.Field", or what a package says of itself, by its path; "" if there is none.
func Documentation(name string) string {
	documentation.Lock()
	defer documentation.Unlock()
	if text := documentation.texts[name]; text != "" {
		return text
	}
	if !documentation.opened {
		documentation.opened = true
		if r, err := gzip.NewReader(bytes.NewReader(packed)); err == nil {
			// The file is part of the program: it is whole, as a test sees to.
			_ = json.NewDecoder(r).Decode(&documentation.texts)
		}
	}
	return documentation.texts[name]
}
