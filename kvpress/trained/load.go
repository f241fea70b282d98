package trained

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/hub"
)

// loaders read what each method learnt, by the method's name.
var loaders = map[string]func(path string) (kvpress.Method, error){
	"qfilter": func(path string) (kvpress.Method, error) {
		s, err := QFilter(path)
		return kvpress.Method{Scorer: s}, err
	},
	"expected_attention_stats": func(path string) (kvpress.Method, error) {
		s, err := ExpectedAttentionStats(path)
		return kvpress.Method{Scorer: s}, err
	},
	"kvzap": func(path string) (kvpress.Method, error) {
		s, err := KVzap(path)
		return kvpress.Method{Scorer: s}, err
	},
	"duo_attention": func(path string) (kvpress.Method, error) {
		p, err := DuoAttention(path)
		return kvpress.Method{Press: p}, err
	},
	"lukv": func(path string) (kvpress.Method, error) {
		p, err := LUKV(path)
		return kvpress.Method{Press: p}, err
	},
	"restorekv": func(path string) (kvpress.Method, error) {
		p, err := RestoreKV(path)
		return kvpress.Method{Press: p}, err
	},
	"fastkvzip": func(path string) (kvpress.Method, error) {
		p, err := FastKVzip(path)
		return kvpress.Method{Press: p}, err
	},
}

// Use reads what a method learnt from its file or folder, or from a repository of the Hugging Face hub that was pulled
// (ORG/NAME or ORG/NAME/FILE), and registers the method with it, so that it can be spelled like any other:
// Use("qfilter", "nthngdy/Llama-3.1-8B_qfilt").
func Use(method, path string) error {
	load, ok := loaders[method]
	if !ok {
		return fmt.Errorf("%s learns nothing beforehand: those that do are %s", method, strings.Join(slices.Sorted(maps.Keys(loaders)), ", "))
	}
	known, err := kvpress.MethodNamed(method)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		parts := strings.SplitN(filepath.ToSlash(path), "/", 3)
		dir, err := hub.Find(strings.Join(parts[:min(2, len(parts))], "/"))
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		path = filepath.Join(append([]string{dir}, parts[min(2, len(parts)):]...)...)
	}
	read, err := load(path)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	known.Scorer, known.Press = read.Scorer, read.Press
	kvpress.Register(known)
	return nil
}
