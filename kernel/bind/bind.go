// Package bind lets interpreted Go reach the packages of this project. A blank import is enough, in this kernel or
// in any other that is built on gomacro and gophernotes:
//
//	import _ "github.com/kvnotes/kvnotes/kernel/bind"
//
// A cell may then import "github.com/kvnotes/kvnotes/kvpress" and the others. The files of this package are
// generated; run go generate after changing what a cell can reach.
package bind

import "sync"

//go:generate go run ./gen -out . github.com/kvnotes/kvnotes/kernel/display github.com/kvnotes/kvnotes/kvpress github.com/kvnotes/kvnotes/kvpress/tensor github.com/kvnotes/kvnotes/kvpress/llm github.com/kvnotes/kvnotes/kvpress/cpu github.com/kvnotes/kvnotes/kvpress/hub github.com/kvnotes/kvnotes/kvpress/needle github.com/kvnotes/kvnotes/kvpress/eval github.com/kvnotes/kvnotes/kvpress/presstest github.com/kvnotes/kvnotes/kvpress/tokenizer github.com/kvnotes/kvnotes/kvpress/progress github.com/kvnotes/kvnotes/kvpress/weights github.com/kvnotes/kvnotes/viz github.com/kvnotes/kvnotes/viz/widget

var documentation struct {
	sync.Mutex
	texts map[string]string
}

func document(texts map[string]string) {
	documentation.Lock()
	defer documentation.Unlock()
	if documentation.texts == nil {
		documentation.texts = map[string]string{}
	}
	for name, text := range texts {
		documentation.texts[name] = text
	}
}

// Documentation returns signature and doc comment of every name that cells can reach, by "path.Name" or
// "path.Type.Method".
func Documentation() map[string]string {
	documentation.Lock()
	defer documentation.Unlock()
	return documentation.texts
}
