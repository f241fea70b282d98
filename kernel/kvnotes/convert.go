package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/kvpress/hub"
)

func convertCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "convert FILE.gguf FOLDER",
		Short: "turn a GGUF file into a Hugging Face folder that every command takes as a model",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			folder := filepath.Clean(args[1])
			if _, err := os.Stat(folder); err == nil {
				return fmt.Errorf("%s is already there: name a new folder", folder)
			}
			made, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+".part-")
			if err != nil {
				return err
			}
			if err := hub.Convert(cmd.Context(), args[0], made, hub.Progress(terminalBar(cmd.ErrOrStderr()))); err != nil {
				return errors.Join(err, os.RemoveAll(made))
			}
			if err := os.Rename(made, folder); err != nil {
				return errors.Join(err, os.RemoveAll(made))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is in %s\n", filepath.Base(args[0]), folder)
			return nil
		},
	}
}
