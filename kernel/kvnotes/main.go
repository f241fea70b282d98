//go:debug gotypesalias=0

// Kvnotes is the command of the project: the Jupyter kernel, models, questions, benchmarks.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress/trained"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // what does not look at ctx is ended by a second interrupt
	var learnt []string
	root := &cobra.Command{
		Use:           "kvnotes",
		Short:         "key-value caches of language models, compressed and looked at",
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			for _, t := range learnt {
				method, path, ok := strings.Cut(t, "=")
				if !ok {
					return fmt.Errorf("--trained %s: write METHOD=PATH, such as qfilter=Llama-3.1-8B_qfilt", t)
				}
				if err := trained.Use(method, path); err != nil {
					return err
				}
			}
			return nil
		},
	}
	root.PersistentFlags().StringArrayVar(&learnt, "trained", nil, "what a method learnt beforehand, as METHOD=PATH (file, folder, or ORG/NAME of the hub); may be repeated")
	root.AddCommand(kernelCommand(), doctorCommand(), pullCommand(), convertCommand(), askCommand(), evalCommand(), benchCommand(), measureCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			err = errors.New("stopped")
		}
		fmt.Fprintln(os.Stderr, "kvnotes:", err)
		os.Exit(1)
	}
}
