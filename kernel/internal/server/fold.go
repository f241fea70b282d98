package server

import (
	"fmt"
	"strings"
	"sync"
)

const (
	foldAt   = 1 << 20 // bytes of a cell's output that are shown: a browser chokes on much more
	foldTail = 1 << 12 // and of its end, when there was more
)

// A fold leaves out the middle of a cell's output when there is too much of it.
type fold struct {
	mu       sync.Mutex
	cell     string // id of its request
	shown    int    // bytes so far
	left     int    // bytes that are left out
	tail     string // the last of them
	tailName string // the stream they were written to
}

// take returns what to show of some text of a cell.
func (f *fold) take(cell, name, text string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cell != f.cell {
		f.cell, f.shown, f.left, f.tail = cell, 0, 0, ""
	}
	room := foldAt - f.shown
	if len(text) <= room {
		f.shown += len(text)
		return text
	}
	show := strings.ToValidUTF8(text[:max(room, 0)], "")
	f.shown = foldAt
	f.left += len(text) - len(show)
	f.tail += text[len(show):]
	f.tailName = name
	if from := len(f.tail) - foldTail; from > 0 {
		f.tail = strings.ToValidUTF8(f.tail[from:], "")
	}
	return show
}

// end returns, when the cell ends, how much was left out and the last of it; nothing if all was shown.
func (f *fold) end(cell string) (name, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cell != f.cell || f.left == 0 {
		return "", ""
	}
	text = fmt.Sprintf("\n... %d bytes of output are left out here: a cell shows %d ...\n%s", max(f.left-len(f.tail), 0), foldAt, f.tail)
	name, f.left, f.tail = f.tailName, 0, ""
	return name, text
}
