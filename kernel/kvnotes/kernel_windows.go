package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// errNoKernel is why this program has no kernel on Windows.
var errNoKernel = errors.New("there is no kernel for Windows: its interpreter, gomacro, needs the package log/syslog, which Windows lacks. Install kvnotes in the Windows Subsystem for Linux; ask, eval, bench, pull and measure work here")

func kernelCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kernel",
		Short:              "the Jupyter kernel: not on Windows",
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return errNoKernel },
	}
}

// kernelChecks are what doctor looks at for the kernel's sake.
var kernelChecks = []func() finding{func() finding { return finding{true, errNoKernel.Error(), ""} }}
