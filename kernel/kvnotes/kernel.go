package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/cuda"
	"github.com/kvnotes/kvnotes/kernel/bind"
	"github.com/kvnotes/kvnotes/kernel/display"
	"github.com/kvnotes/kvnotes/kernel/internal/interp"
	"github.com/kvnotes/kvnotes/kernel/internal/server"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// kernelName is the folder of the kernelspec, and displayName what front ends call it. A binary with the CUDA backend has
// a kernelspec of its own.
var kernelName, displayName = kernelNames(cuda.Built)

func kernelNames(cuda bool) (name, display string) {
	if cuda {
		return "kvnotes-cuda", "Go (kvnotes, CUDA)"
	}
	return "kvnotes", "Go (kvnotes)"
}

//go:embed logo-64x64.png
var logo []byte

func kernelCommand() *cobra.Command {
	c := &cobra.Command{Use: "kernel", Short: "the Jupyter kernel: install, uninstall, list, run"}
	c.AddCommand(installCommand(), uninstallCommand(), listCommand(), runCommand())
	return c
}

// A place is where kernelspecs lie.
type place struct {
	user, sysPrefix bool
	prefix          string
}

func (p *place) flags(c *cobra.Command) {
	c.Flags().BoolVar(&p.user, "user", false, "for this user (the default)")
	c.Flags().BoolVar(&p.sysPrefix, "sys-prefix", false, "into the active Python environment")
	c.Flags().StringVar(&p.prefix, "prefix", "", "below a folder, such as that of a Python environment")
	c.MarkFlagsMutuallyExclusive("user", "sys-prefix", "prefix")
}

// folder is the folder of our kernelspec.
func (p *place) folder() (string, error) {
	switch {
	case p.prefix != "":
		return filepath.Join(p.prefix, "share", "jupyter", "kernels", kernelName), nil
	case p.sysPrefix:
		out, err := exec.Command("python3", "-c", "import sys; print(sys.prefix)").Output()
		if err != nil {
			return "", fmt.Errorf("asking python3 for its prefix: %w", err)
		}
		return filepath.Join(strings.TrimSpace(string(out)), "share", "jupyter", "kernels", kernelName), nil
	}
	data, err := userData()
	return filepath.Join(data, "kernels", kernelName), err
}

// userData is where Jupyter keeps what belongs to a user.
func userData() (string, error) {
	if dir := os.Getenv("JUPYTER_DATA_DIR"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Jupyter"), nil
	case "windows":
		return filepath.Join(os.Getenv("APPDATA"), "jupyter"), nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "jupyter"), nil
	}
	return filepath.Join(home, ".local", "share", "jupyter"), nil
}

func installCommand() *cobra.Command {
	var p place
	var echarts string
	c := &cobra.Command{
		Use:   "install",
		Short: "make Jupyter know this kernel",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := p.folder()
			if err != nil {
				return err
			}
			if err := install(dir, echarts); err != nil {
				return fmt.Errorf("installing the kernel into %s: %w", dir, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "kernel %q is in %s\n", kernelName, dir)
			return nil
		},
	}
	p.flags(c)
	c.Flags().StringVar(&echarts, "echarts", os.Getenv("KVNOTES_ECHARTS"), "echarts.min.js, for interactive charts without a network")
	return c
}

// install writes the kernelspec: into a folder beside it first, so that a half-written one is never found.
func install(dir, echarts string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	spec, err := json.MarshalIndent(map[string]interface{}{
		"argv":           []string{self, "kernel", "run", "{connection_file}"},
		"display_name":   displayName,
		"language":       "go",
		"interrupt_mode": "message",
		"metadata":       map[string]interface{}{"debugger": false},
	}, "", "  ")
	if err != nil {
		return err
	}
	files := map[string][]byte{"kernel.json": append(spec, '\n'), "logo-64x64.png": logo}
	if echarts != "" {
		if files["echarts.min.js"], err = os.ReadFile(echarts); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "."+kernelName+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(temporary, name), text, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(temporary, dir)
}

func uninstallCommand() *cobra.Command {
	var p place
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "make Jupyter forget this kernel",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := p.folder()
			if err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(dir, "kernel.json")); err != nil {
				return fmt.Errorf("there is no kernel in %s: kvnotes kernel list shows where it is", dir)
			}
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", dir)
			return nil
		},
	}
	p.flags(c)
	return c
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "say where the kernel is installed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			specs := installed()
			if len(specs) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "not installed: kvnotes kernel install")
			}
			for _, s := range specs {
				fmt.Fprintf(cmd.OutOrStdout(), "%s -> %s\n", s.dir, s.binary)
			}
			return nil
		},
	}
}

// A spec is an installed kernelspec of ours.
type spec struct{ dir, binary string }

// installed finds our kernelspecs in the places where Jupyter looks.
func installed() []spec {
	var roots []string
	if dir, err := userData(); err == nil {
		roots = append(roots, dir)
	}
	for _, prefix := range []string{os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX"), ".venv", "/usr/local", "/usr"} {
		if prefix != "" {
			roots = append(roots, filepath.Join(prefix, "share", "jupyter"))
		}
	}
	var all []spec
	for _, root := range roots {
		for _, cuda := range []bool{false, true} {
			name, _ := kernelNames(cuda)
			dir := filepath.Join(root, "kernels", name)
			text, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
			if err != nil {
				continue
			}
			var k struct {
				Argv []string `json:"argv"`
			}
			if json.Unmarshal(text, &k) == nil && len(k.Argv) > 0 {
				all = append(all, spec{dir, k.Argv[0]})
			}
		}
	}
	return all
}

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

// version is the version of the project.
const version = "0.1.0"

// originalStderr is standard error as it is before cells write to it.
func originalStderr() (io.Writer, error) { return duplicate(os.Stderr) }

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
