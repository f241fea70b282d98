package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress/hub"
)

func pullCommand() *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use:   "pull MODEL",
		Short: "fetch a model: smollm2, or ORG/NAME of the Hugging Face hub",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			show := terminalBar(cmd.ErrOrStderr())
			dir, err := hub.Pull(cmd.Context(), args[0], hub.Progress(show))
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
