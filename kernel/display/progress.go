package display

import (
	"fmt"
	"html"
	"strconv"
	"sync"
	"time"
)

// A Bar shows how far something is, in one line that changes in place.
type Bar struct {
	mu     sync.Mutex
	title  string
	total  int64
	done   int64
	start  time.Time
	drawn  time.Time
	handle Handle
	shown  bool
	ended  bool // all steps were done when it was last set
}

// redraw is how often a bar is drawn again at most.
const redraw = 100 * time.Millisecond

// Progress starts a bar of n steps; 0 means that the number is not known.
func Progress(n int64) *Bar { return NewBar("", n) }

// NewBar starts a bar with a title.
func NewBar(title string, n int64) *Bar { return &Bar{title: title, total: n, start: time.Now()} }

// Add takes n steps.
func (b *Bar) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(b.done + n)
}

// Set says how many steps are done.
func (b *Bar) Set(done int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(done)
}

// Show says how far another stage is, in the same line. A stage that begins anew has its own time, too.
func (b *Bar) Show(title string, done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if title != b.title || done < b.done {
		b.title, b.start = title, time.Now()
	}
	b.total = total
	b.set(done)
}

func (b *Bar) set(done int64) {
	b.done = done
	last := b.total > 0 && done >= b.total && !b.ended
	b.ended = b.total > 0 && done >= b.total
	if !last && time.Since(b.drawn) < redraw {
		return
	}
	b.drawn = time.Now()
	d := Data{Data: MIMEMap{MIMETypeText: b.text(), MIMETypeHTML: b.html()}}
	// A bar that cannot be shown is no reason to fail what it measures.
	if !b.shown {
		b.handle, _ = ShowHandle(d)
		b.shown = true
		return
	}
	_ = Update(b.handle, d)
}

// text is the bar as a line.
func (b *Bar) text() string {
	took := time.Since(b.start)
	line := b.title
	if line != "" {
		line += " "
	}
	line += strconv.FormatInt(b.done, 10)
	if b.total > 0 {
		line += fmt.Sprintf(" of %d", b.total)
	}
	line += fmt.Sprintf(", %s", took.Round(100*time.Millisecond))
	if b.done > 0 && b.done < b.total {
		line += fmt.Sprintf(", %s left", time.Duration(float64(took)*float64(b.total-b.done)/float64(b.done)).Round(100*time.Millisecond))
	}
	if s := took.Seconds(); s >= 0.1 && b.done > 0 { // what took no time has no rate
		line += fmt.Sprintf(", %.3g/s", float64(b.done)/s)
	}
	return line
}

func (b *Bar) html() string {
	return fmt.Sprintf(`<div style="font-family:monospace"><progress value="%d" max="%d" style="width:240px;vertical-align:middle"></progress> %s</div>`,
		b.done, max(b.total, 1), html.EscapeString(b.text()))
}
