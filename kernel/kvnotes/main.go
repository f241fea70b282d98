// Kvnotes is the command of the project: the Jupyter kernel, models, questions, benchmarks.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root := &cobra.Command{
		Use:           "kvnotes",
		Short:         "key-value caches of language models, compressed and looked at",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(kernelCommand(), doctorCommand(), pullCommand(), askCommand(), evalCommand(), benchCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			err = errors.New("stopped")
		}
		fmt.Fprintln(os.Stderr, "kvnotes:", err)
		os.Exit(1)
	}
}
