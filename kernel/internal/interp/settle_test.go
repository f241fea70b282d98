package interp

import "testing"

// Types of a package are taken in in the order of a Go map: a fault in that shows in some interpreters only.
func TestElementsOfSlicesHaveMethods(t *testing.T) {
	for i := range 100 {
		in := start(t)
		got := text(in, `
import "github.com/kvnotes/kvnotes/kvpress/llm"
import "github.com/kvnotes/kvnotes/viz"

func bytes(sessions []*llm.Session) (sum float64) {
	for _, s := range sessions {
		sum += float64(s.Bytes().KV)
	}
	return sum
}
var _ viz.Timing
all := []*llm.Session{}
for _, s := range all {
	s.Close()
}
bytes(all)`)
		if got != "0" {
			t.Fatalf("interpreter %d: %s, want 0", i, got)
		}
	}
}

func TestTypesOfCellsKeepTheirPlaceholder(t *testing.T) {
	in := start(t)
	got := text(in, `
type Node struct { Name string; Next *Node; Kids []*Node }
import "container/list"
n := &Node{Name: "a", Kids: []*Node{{Name: "b"}}}
n.Next = n.Kids[0]
list.New().Len()
n.Next.Name + n.Kids[0].Name`)
	if got != "bb" {
		t.Errorf("%s, want bb", got)
	}
}
