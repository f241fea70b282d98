//go:build !windows

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/kvnotes/kvnotes/kernel/bind"
	"github.com/kvnotes/kvnotes/kernel/display"
	"github.com/kvnotes/kvnotes/kernel/internal/interp"
	"github.com/kvnotes/kvnotes/kernel/internal/server"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run CONNECTION_FILE",
		Short: "serve a notebook; Jupyter calls this",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return runKernel(args[0]) },
	}
}

const banner = "Go (kvnotes): key-value caches of language models, compressed and looked at. %help lists the kernel's own commands."

func runKernel(connection string) error {
	c, err := server.ReadConnection(connection)
	if err != nil {
		return err
	}
	in, err := interp.New()
	if err != nil {
		return err
	}
	interp.Documentation = bind.Documentation
	data, err := userData()
	if err != nil {
		return err
	}
	log, err := originalStderr()
	if err != nil {
		return err
	}
	s, err := server.New(c, server.Options{
		Evaluator: evaluator{in}, Explain: explain, Log: log, History: filepath.Join(data, "kvnotes", "history.jsonl"),
		Info: map[string]interface{}{
			"implementation": "kvnotes", "implementation_version": version, "banner": banner,
			"language_info": map[string]interface{}{
				"name": "go", "version": strings.TrimPrefix(runtime.Version(), "go"), "mimetype": "text/x-go", "file_extension": ".go",
				"pygments_lexer": "go", "codemirror_mode": "go", "nbconvert_exporter": "",
			},
			"help_links": []map[string]string{},
		},
	})
	if err != nil {
		return err
	}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt) // a front end that ignores interrupt_mode sends SIGINT
	defer signal.Stop(interrupts)
	go func() {
		for range interrupts {
			s.Interrupt()
		}
	}()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go watchParent(ctx, stop)
	return s.Run(ctx)
}

// watchParent calls stop when the process that started this one has ended: a kernel whose front end was killed would
// hold its models in memory for ever. Jupyter says by JPY_PARENT_PID that it wants this.
func watchParent(ctx context.Context, stop func()) {
	parent := os.Getppid()
	if os.Getenv("JPY_PARENT_PID") != strconv.Itoa(parent) {
		return
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for ctx.Err() == nil {
		if os.Getppid() != parent {
			stop()
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}

// originalStderr is standard error as it is before cells write to it, opened again: its descriptor is redirected.
func originalStderr() (io.Writer, error) {
	fd, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), os.Stderr.Name()), nil
}

// evaluator runs cells with a context that shows progress as bars.
type evaluator struct{ *interp.Interp }

func (e evaluator) Eval(ctx context.Context, code string) (display.Data, bool, error) {
	return e.Interp.Eval(progress.With(ctx, bars()), code)
}

func (e evaluator) Call(ctx context.Context, f func()) error {
	return e.Interp.Call(progress.With(ctx, bars()), f)
}

// patience is how long a cell works before its progress is shown: quick cells show none.
const patience = 400 * time.Millisecond

// bars shows one line for a cell, which says what the cell is doing now and changes in place.
func bars() progress.Func {
	var mu sync.Mutex
	var line *display.Bar
	started := time.Now()
	return func(stage string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(started) < patience {
			return
		}
		if line == nil {
			line = display.NewBar(stage, total)
		}
		line.Show(stage, done, total)
	}
}

// explain turns an error of a cell into what is shown.
func explain(err error) server.Failure {
	var c *interp.CellError
	if errors.As(err, &c) {
		return server.Failure{Name: c.Name, Value: c.Value, Traceback: c.Traceback}
	}
	name := "error"
	if errors.Is(err, interp.ErrInterrupted) {
		name = "interrupted"
	}
	return server.Failure{Name: name, Value: err.Error(), Traceback: []string{"\x1b[31m" + name + "\x1b[0m: " + err.Error()}}
}
