package interp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A line that begins with % is a command to the kernel, one that begins with $ a command to the system. They stand
// at the top of a cell.
const magicHelp = `lines at the top of a cell:
  %help              this text
  %cd DIR            change the folder; without DIR, to the home folder
  %time              run what follows, in this line and below, and say how long it took
  %timeit            run what follows again and again for a second; say the median time
  %mem               memory that the kernel uses
  %who               names that cells have declared
  %packages          packages that cells can import
  %reset             forget everything that cells have declared
  %go111module off   accepted and ignored: packages are compiled into this kernel
  %%bash             give the rest of the cell to bash
  $ COMMAND          run a command
`

// magic reports whether code begins with a line for the kernel.
func magic(code string) bool {
	code = strings.TrimSpace(code)
	return strings.HasPrefix(code, "%") || strings.HasPrefix(code, "$")
}

// magics runs the lines for the kernel at the top of a cell and returns the cell with these lines emptied.
func (in *Interp) magics(ctx context.Context, code string) (string, error) {
	lines := strings.Split(code, "\n")
	for i, line := range lines {
		line = strings.TrimSpace(line)
		rest := strings.Join(lines[i+1:], "\n")
		if line == "" {
			continue
		}
		if !magic(line) {
			break
		}
		lines[i] = ""
		if line[0] == '$' {
			if err := shell(ctx, "bash", "-c", line[1:]); err != nil {
				return "", err
			}
			continue
		}
		name, argument, _ := strings.Cut(line, " ")
		argument = strings.TrimSpace(argument)
		switch name {
		case "%%bash":
			return "", shell(ctx, "bash", "-c", rest)
		case "%time", "%timeit": // lines keep their numbers, for errors
			return "", in.timed(ctx, strings.Repeat("\n", i)+argument+"\n"+rest, name == "%timeit")
		}
		if err := in.magicLine(name, argument); err != nil {
			return "", err
		}
	}
	return strings.Join(lines, "\n"), nil
}

func (in *Interp) magicLine(name, argument string) error {
	switch name {
	case "%help":
		_, _ = os.Stdout.WriteString(magicHelp)
	case "%cd":
		if argument == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return err
			}
			argument = home
		}
		return os.Chdir(argument)
	case "%go111module":
		if argument != "on" && argument != "off" {
			return fmt.Errorf("%%go111module %s: say on or off", argument)
		}
	case "%mem":
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(os.Stdout, "%.1f MB in use, %.1f MB from the system, %d goroutines\n", float64(m.HeapAlloc)/1e6, float64(m.Sys)/1e6, runtime.NumGoroutine())
	case "%who":
		for _, line := range in.names() {
			fmt.Fprintln(os.Stdout, line)
		}
	case "%packages":
		fmt.Fprintln(os.Stdout, strings.Join(packages(), "\n"))
	case "%reset":
		return in.Reset()
	default:
		return fmt.Errorf("there is no command %s\n%s", name, magicHelp)
	}
	return nil
}

// names lists what cells have declared, each with its type.
func (in *Interp) names() []string {
	in.compile.Lock()
	defer in.compile.Unlock()
	declared := map[string]string{}
	for c := in.gomacro.Comp; c != nil; c = c.Outer {
		for name, bind := range c.Binds {
			if _, inner := declared[name]; !inner && !in.own[name] {
				declared[name] = bind.Type.String()
			}
		}
		for name := range c.Types {
			if _, inner := declared[name]; !inner && !in.own[name] {
				declared[name] = "type"
			}
		}
	}
	width := 0
	for name := range declared {
		width = max(width, len(name))
	}
	var lines []string
	for name, kind := range declared {
		lines = append(lines, fmt.Sprintf("%-*s  %s", width, name, kind))
	}
	slices.Sort(lines)
	return lines
}

// noteOwn notes the names that are there before any cell.
func (in *Interp) noteOwn() {
	in.own = map[string]bool{}
	for c := in.gomacro.Comp; c != nil; c = c.Outer {
		for name := range c.Binds {
			in.own[name] = true
		}
		for name := range c.Types {
			in.own[name] = true
		}
	}
}

// timed runs code once, or for about a second, and says how long it took.
func (in *Interp) timed(ctx context.Context, code string, often bool) error {
	var took []time.Duration
	for begin := time.Now(); ; {
		start := time.Now()
		if _, _, err := in.Eval(ctx, code); err != nil {
			return err
		}
		took = append(took, time.Since(start))
		if !often || time.Since(begin) > time.Second || len(took) == 1000 {
			break
		}
	}
	slices.Sort(took)
	fmt.Fprintf(os.Stdout, "%v", took[len(took)/2])
	if often {
		fmt.Fprintf(os.Stdout, " (median of %d runs, fastest %v)", len(took), took[0])
	}
	fmt.Fprintln(os.Stdout)
	return nil
}

// shell runs a command; its output is the kernel's, which goes to the cell.
func shell(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.WaitDelay = time.Second
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		return fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
	}
	return nil
}
