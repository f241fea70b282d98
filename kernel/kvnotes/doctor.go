package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A finding is one thing that doctor looked at.
type finding struct {
	ok   bool
	fact string
	cure string
}

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "check what this machine has, and say what to do about what is missing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bad := 0
			for _, look := range []func() finding{checkProgram, checkProcessor, checkJupyter, checkKernel, checkModel} {
				f := look()
				mark := "ok  "
				if !f.ok {
					mark = "--  "
					bad++
				}
				fmt.Fprintln(cmd.OutOrStdout(), mark+f.fact)
				if !f.ok {
					fmt.Fprintln(cmd.OutOrStdout(), "    "+f.cure)
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of the above want attention", bad)
			}
			return nil
		},
	}
}

func checkProgram() finding {
	return finding{true, fmt.Sprintf("kvnotes %s, built with %s for %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH), ""}
}

func checkProcessor() finding {
	kind := "assembly for AVX2 is in use"
	if !tensor.Assembly() {
		kind = "no AVX2: the plain Go loops are in use, which are several times slower"
	}
	return finding{true, fmt.Sprintf("%d cores; %s", runtime.NumCPU(), kind), ""}
}

func checkJupyter() finding {
	for _, name := range []string{"jupyter", filepath.Join(".venv", "bin", "jupyter")} {
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

func checkModel() finding {
	dir, err := hub.Find("smollm2")
	if err != nil {
		return finding{false, "the model smollm2 is not here (needle is part of the program)", "kvnotes pull smollm2"}
	}
	if err := hub.Verify(dir, true); err != nil {
		return finding{false, err.Error(), "remove the folder and run kvnotes pull smollm2"}
	}
	return finding{true, "smollm2 is in " + dir, ""}
}
