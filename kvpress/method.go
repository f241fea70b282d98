package kvpress

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// A Method is an entry of the catalogue of presses. It holds a prototype: either a Scorer, which any budget rule can
// use, or a Press with a budget rule of its own. The exported fields of a prototype that is a struct are its
// parameters: numbers, booleans and strings by name, inner scorers and presses by place.
type Method struct {
	Name    string // as it is spelled, lower case: "snapkv"
	Paper   string // "arXiv 2404.14469"; empty for a baseline
	Example string // a spelling to try it with, where the name with ":0.5" behind it, or around snapkv, makes no press
	Scorer  Scorer
	Press   Press
}

// Spelling is a whole press to try the method with, such as "snapkv:0.5" or "adakv(snapkv):0.5".
func (m Method) Spelling() string {
	if m.Example != "" {
		return m.Example
	}
	prototype := reflect.ValueOf(m.Press)
	if m.Scorer != nil {
		prototype = reflect.ValueOf(m.Scorer)
	}
	if prototype.Kind() == reflect.Struct {
		for _, t := range []reflect.Type{scorerType, pressType} {
			if f, ok := fieldOf(prototype, t); ok && f.IsNil() {
				return m.Name + "(snapkv):0.5"
			}
		}
	}
	return m.Name + ":0.5"
}

var catalogue struct {
	sync.RWMutex
	methods map[string]Method
	changes int
}

// Register adds a method to the catalogue; a second one of the same name replaces the first. It works from a
// notebook cell too: the method then appears in menus.
func Register(m Method) {
	catalogue.Lock()
	defer catalogue.Unlock()
	if catalogue.methods == nil {
		catalogue.methods = map[string]Method{}
	}
	catalogue.methods[m.Name] = m
	catalogue.changes++
}

// Changes counts the calls of Register: who keeps what depends on the catalogue, such as a menu, sees that it is out of
// date.
func Changes() int {
	catalogue.RLock()
	defer catalogue.RUnlock()
	return catalogue.changes
}

// Methods lists the catalogue, by name.
func Methods() []Method {
	catalogue.RLock()
	defer catalogue.RUnlock()
	var all []Method
	for _, m := range catalogue.methods {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// MethodNamed looks a method up by its name.
func MethodNamed(name string) (Method, error) {
	catalogue.RLock()
	m, ok := catalogue.methods[name]
	catalogue.RUnlock()
	if ok {
		return m, nil
	}
	var names []string
	nearest := ""
	for _, m := range Methods() {
		names = append(names, m.Name)
		if nearest == "" || distance(name, m.Name) < distance(name, nearest) {
			nearest = m.Name
		}
	}
	if distance(name, nearest) <= 2 {
		return Method{}, fmt.Errorf("there is no press %q: did you mean %q?", name, nearest)
	}
	return Method{}, fmt.Errorf("there is no press %q: the presses are %s", name, strings.Join(names, ", "))
}

// distance is the number of letters to change, add or drop to make b of a.
func distance(a, b string) int {
	row := span(0, len(b)+1)
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
