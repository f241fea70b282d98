package interp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cosmos72/gomacro/atomic"
	"github.com/cosmos72/gomacro/base"
	"github.com/cosmos72/gomacro/fast"
	"github.com/cosmos72/gomacro/gls"
)

// A runner is the goroutine that cells run on. The interpreter keeps its state by goroutine, so the interpreter must
// be made, and always be used, on the same one.
type runner struct {
	work  chan func()
	state *fast.Run // the interpreter's state of this goroutine
}

func newRunner() *runner {
	r := &runner{work: make(chan func())}
	go func() {
		for f := range r.work {
			f()
		}
	}()
	return r
}

// do runs f on the runner and waits for it.
func (r *runner) do(f func()) {
	done := make(chan struct{})
	r.work <- func() { defer close(done); f() }
	<-done
}

const (
	// patience is how long a stopped cell may take until it is left behind.
	patience = 200 * time.Millisecond
	// repeat is how often a cell is told to stop: it may recover from the first panic.
	repeat = 20 * time.Millisecond
)

// onRunner runs f, which stands for a cell, on the runner. When ctx ends, the interpreted code that f started is
// stopped. Code that is inside a compiled call, such as a channel receive, cannot be: it is left behind on its
// goroutine, where it ends as soon as that call returns, and cells go on in a new scope on a new goroutine.
func (in *Interp) onRunner(ctx context.Context, f func()) error {
	r := in.runner
	done := make(chan struct{})
	in.goroutines.next()
	r.work <- func() { defer close(done); f() }
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	again := time.NewTicker(repeat)
	defer again.Stop()
	give := time.NewTimer(patience)
	defer give.Stop()
	for begin := time.Now(); ; {
		told := in.goroutines.interrupt(r.state, time.Since(begin) > patience/2)
		select {
		case <-done:
			calm(told)
			return ErrInterrupted // also when it ended well: what follows it must not run
		case <-again.C:
		case <-give.C:
			calm(told[1:]) // they serve later cells; the runner's goes on being told
			return in.leave(r, done)
		}
	}
}

// calm takes interrupts back that goroutines did not see.
func calm(states []*fast.Run) {
	for _, state := range states {
		state.Signals.Async = base.SigNone
	}
}

// leave gives up on the cell that runs on r.
func (in *Interp) leave(r *runner, done chan struct{}) error {
	where := in.doing()
	in.goroutines.leave(r.state, where)
	go func() { // nothing that is interpreted happens there any more
		for {
			r.state.Signals.Async = base.SigInterrupt
			select {
			case <-done:
				in.goroutines.ended(r.state)
				close(r.work)
				return
			case <-time.After(repeat):
			}
		}
	}()
	in.runner = newRunner()
	var err error
	in.runner.do(func() { err = in.newScope() })
	if err != nil {
		return err
	}
	return fmt.Errorf("%w. %s is inside compiled code that does not look at ctx: it was left behind and ends when that call returns", ErrInterrupted, where)
}

// newScope goes on in a scope inside the present one, on the calling goroutine.
func (in *Interp) newScope() error {
	in.compile.Lock()
	defer in.compile.Unlock()
	inner := fast.NewInnerInterp(in.gomacro, "main", "main")
	in.enter() // registers this goroutine with the interpreter
	state := in.goroutines.state(gls.GoID())
	if state == nil {
		return errors.New("the interpreter does not know its own goroutine: restart the kernel")
	}
	state.Signals.Async = base.SigNone
	inner.PrepareEnv().Run = state
	in.gomacro, in.runner.state = inner, state
	return nil
}

// goroutines knows the goroutines that have run interpreted code.
type goroutines struct {
	mu      sync.Mutex
	cell    int                  // number of the present cell
	started map[*fast.Run]int    // by go statements of cells: the number of the cell
	left    map[*fast.Run]string // cells that were left behind: where they are
	all     map[uintptr]*fast.Run
	lock    *atomic.SpinLock // of all
}

// watch looks into the interpreter: the states of goroutines are not part of its API.
func (g *goroutines) watch(of *fast.IrGlobals) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := reflect.ValueOf(of).Elem()
	g.all = *(*map[uintptr]*fast.Run)(v.FieldByName("gls").Addr().UnsafePointer())
	g.lock = (*atomic.SpinLock)(v.FieldByName("lock").Addr().UnsafePointer())
	g.started, g.left = map[*fast.Run]int{}, map[*fast.Run]string{}
}

func (g *goroutines) state(id uintptr) *fast.Run {
	g.lock.Lock()
	defer g.lock.Unlock()
	return g.all[id]
}

func (g *goroutines) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cell++
}

// interrupt tells the runner's goroutine to stop, and those that the present cell started. With everyone it also tells
// those of compiled code that call functions of cells, which the cell may wait for; they are returned with the
// runner's, since they go on to other work afterwards.
func (g *goroutines) interrupt(runner *fast.Run, everyone bool) (told []*fast.Run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lock.Lock()
	defer g.lock.Unlock()
	runner.Signals.Async = base.SigInterrupt
	told = append(told, runner)
	for _, state := range g.all {
		cell, started := g.started[state]
		switch {
		case state == runner || g.left[state] != "":
		case started && cell == g.cell:
			state.Signals.Async = base.SigInterrupt
		case !started && everyone:
			state.Signals.Async = base.SigInterrupt
			told = append(told, state)
		}
	}
	return told
}

func (g *goroutines) leave(state *fast.Run, where string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left[state] = where
}

// ended forgets a goroutine for good: the interpreter knows goroutines by an address that the next one may get, which
// must not inherit the interrupt.
func (g *goroutines) ended(state *fast.Run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.left, state)
	g.lock.Lock()
	defer g.lock.Unlock()
	state.Signals.Async = base.SigNone
	maps.DeleteFunc(g.all, func(_ uintptr, s *fast.Run) bool { return s == state })
}

// begin is called at the begin of a goroutine that a cell starts.
func (g *goroutines) begin() {
	state := g.state(gls.GoID())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started[state] = g.cell
}

// end is called at its end; a panic is reported and goes no further.
func (g *goroutines) end(panicked interface{}) {
	state := g.state(gls.GoID())
	g.mu.Lock()
	delete(g.started, state)
	g.mu.Unlock()
	state.Signals.Async = base.SigNone // not for the next goroutine at the same address
	switch panicked.(type) {
	case nil, base.Signal:
	default:
		fmt.Fprintf(os.Stderr, "panic in a goroutine: %v\n", panicked)
	}
}

// ours tells whether a goroutine runs a cell, or was started by one.
func (g *goroutines) ours(id uintptr, runner *fast.Run) bool {
	state := g.state(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	_, started := g.started[state]
	return state == runner || started || g.left[state] != ""
}

// Left says which interrupted cells still run, because a compiled call in them has not returned.
func (in *Interp) Left() string {
	in.goroutines.mu.Lock()
	defer in.goroutines.mu.Unlock()
	if len(in.goroutines.left) == 0 {
		return ""
	}
	where := slices.Sorted(maps.Values(in.goroutines.left))
	return "still inside compiled code that does not look at ctx, from interrupted cells: " + strings.Join(where, "; ")
}
