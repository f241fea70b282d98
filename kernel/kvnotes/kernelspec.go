//go:build !windows

package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/cuda"
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
	c.Flags().StringVar(&echarts, "echarts", os.Getenv("KVNOTES_ECHARTS"), "echarts.min.js, for interactive charts without a network (as a rule the one beside this program, as releases have it)")
	return c
}

// install writes the kernelspec: into a folder beside it first, so that a half-written one is never found.
func install(dir, echarts string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if beside := filepath.Join(filepath.Dir(self), "echarts.min.js"); echarts == "" {
		if _, err := os.Stat(beside); err == nil {
			echarts = beside
		}
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
	prefixes := []string{os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX"), ".venv", "/usr/local", "/usr"}
	if self, err := os.Executable(); err == nil { // in the environment that a wheel was installed into
		prefixes = append([]string{filepath.Dir(filepath.Dir(self))}, prefixes...)
	}
	for _, prefix := range prefixes {
		if root := filepath.Join(prefix, "share", "jupyter"); prefix != "" && !slices.Contains(roots, root) {
			roots = append(roots, root)
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
				// A wheel's kernelspec says where its program is from where it lies itself, as Jupyter allows.
				binary := filepath.Clean(strings.ReplaceAll(k.Argv[0], "{resource_dir}", dir))
				all = append(all, spec{dir, binary})
			}
		}
	}
	return all
}

// kernelChecks are what doctor looks at for the kernel's sake.
var kernelChecks = []func() finding{checkPorts, checkJupyter, checkKernel}

// checkPorts tries what a kernel needs: ports of its own on this machine.
func checkPorts() finding {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return finding{false, "no port can be opened on 127.0.0.1: " + err.Error(), "allow programs to listen on the loopback address, or start Jupyter with --transport ipc"}
	}
	defer l.Close()
	return finding{true, "ports on 127.0.0.1 can be opened", ""}
}

func checkJupyter() finding {
	names := []string{"jupyter", filepath.Join(".venv", "bin", "jupyter")}
	if self, err := os.Executable(); err == nil {
		names = append([]string{filepath.Join(filepath.Dir(self), "jupyter")}, names...)
	}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "--version").Output()
		if err != nil {
			return finding{false, path + " does not run: " + err.Error(), "reinstall it: pip install jupyterlab"}
		}
		for _, line := range strings.Split(string(out), "\n") {
			if strings.HasPrefix(line, "jupyterlab") {
				return finding{true, path + " with " + strings.Join(strings.Fields(line), " "), ""}
			}
		}
		return finding{true, path, ""}
	}
	return finding{false, "Jupyter is not on the PATH", "pip install jupyterlab, or run make demo, which sets up .venv"}
}

func checkKernel() finding {
	specs := installed()
	if len(specs) == 0 {
		return finding{false, "the kernel is not installed", "kvnotes kernel install"}
	}
	for _, s := range specs {
		if _, err := os.Stat(s.binary); err != nil {
			return finding{false, fmt.Sprintf("the kernel in %s starts %s, which is not there", s.dir, s.binary), "kvnotes kernel install"}
		}
	}
	return finding{true, "the kernel is in " + specs[0].dir, ""}
}
