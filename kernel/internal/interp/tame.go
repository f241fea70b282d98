package interp

import (
	"errors"
	"fmt"
	"log"
	"reflect"
	"time"

	"github.com/cosmos72/gomacro/base"
	"github.com/cosmos72/gomacro/fast"
	"github.com/cosmos72/gomacro/gls"
	"github.com/cosmos72/gomacro/imports"

	"github.com/kvnotes/kvnotes/kernel/display"
)

// tame replaces the few functions of the standard library that would end the kernel, or could not be interrupted.
func (in *Interp) tame() {
	replace := func(path, name string, f interface{}) { imports.Packages[path].Binds[name] = reflect.ValueOf(f) }
	replace("time", "Sleep", in.sleep)
	replace("time", "AfterFunc", func(d time.Duration, f func()) *time.Timer {
		return time.AfterFunc(d, func() {
			defer func() { in.goroutines.end(recover()) }()
			in.enter()
			in.goroutines.begin()
			f()
		})
	})
	replace("os", "Exit", func(code int) {
		panic(fmt.Errorf("os.Exit(%d): a cell cannot end the kernel; to start afresh, restart it or use %%reset", code))
	})
	replace("runtime", "Goexit", func() { panic(errors.New("runtime.Goexit: a cell cannot end its goroutine")) })
	replace("log", "Fatal", func(v ...interface{}) { panic(errors.New(fmt.Sprint(v...))) })
	replace("log", "Fatalf", func(format string, v ...interface{}) { panic(fmt.Errorf(format, v...)) })
	replace("log", "Fatalln", func(v ...interface{}) { panic(errors.New(fmt.Sprintln(v...))) })
	log.SetFlags(log.LstdFlags)
	replace("fmt", "Scan", func(to ...interface{}) (int, error) { return scan(fmt.Sscan, to) })
	replace("fmt", "Scanln", func(to ...interface{}) (int, error) { return scan(fmt.Sscanln, to) })
	replace("fmt", "Scanf", func(format string, to ...interface{}) (int, error) {
		return scan(func(line string, to ...interface{}) (int, error) { return fmt.Sscanf(line, format, to...) }, to)
	})
}

// scan reads values from a line that the reader is asked for.
func scan(read func(line string, to ...interface{}) (int, error), to []interface{}) (int, error) {
	line, err := display.Input("")
	if err != nil {
		return 0, err
	}
	return read(line, to...)
}

// sleep is time.Sleep, but ends when the cell is interrupted.
func (in *Interp) sleep(d time.Duration) {
	in.cell.Lock()
	ctx := in.running
	in.cell.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	if !in.goroutines.ours(gls.GoID(), in.runner.state) {
		<-timer.C
		return
	}
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(base.SigInterrupt)
	}
}

const (
	// deepest is how deep functions of cells may call each other. At some million calls the process would die.
	deepest = 300_000
	// look is how often the depth is looked at.
	look = 5 * time.Millisecond
)

// limitDepth stops code that calls itself without end, until the returned function is called.
func (in *Interp) limitDepth(state *fast.Run) (stop func()) {
	done := make(chan struct{})
	too := false
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		tick := time.NewTicker(look)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if env := state.CurrEnv; env != nil && env.CallDepth > deepest {
					too = true
					state.Signals.Async = base.SigInterrupt
				}
			}
		}
	}()
	return func() {
		close(done)
		<-finished
		if too {
			if r := recover(); r != nil {
				state.Signals.Async = base.SigNone
				panic(fmt.Errorf("functions call each other more than %d deep: is there a recursion without an end?", deepest))
			}
		}
	}
}
