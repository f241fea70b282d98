package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress/hub"
)

func pullCommand() *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use:   "pull MODEL [FILE...]",
		Short: "fetch a model: smollm2, or ORG/NAME[@REVISION] of the Hugging Face hub; or single files of it",
		Long: `pull fetches a model into the cache that Python's tools share, or, where files are named, these alone: what a press
learnt, for --trained METHOD=ORG/NAME or METHOD=ORG/NAME/FILE. It goes on where an earlier pull stopped.`,
		Example: "  kvnotes pull ORG/NAME@main\n  kvnotes pull ORG/NAME folder/gates.pt",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			show := terminalBar(cmd.ErrOrStderr())
			var dir string
			var err error
			if len(args) > 1 {
				dir, err = hub.PullFiles(cmd.Context(), args[0], args[1:], hub.Progress(show))
			} else {
				dir, err = hub.Pull(cmd.Context(), args[0], hub.Progress(show))
			}
			if err != nil {
				return err
			}
			if quiet {
				fmt.Fprintln(cmd.OutOrStdout(), dir)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is in %s\n", args[0], dir)
			return nil
		},
	}
	c.Flags().BoolVar(&quiet, "print-path", false, "print only the folder")
	return c
}
