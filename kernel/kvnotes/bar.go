package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"

	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// terminalBar shows one bar per stage, where w is a terminal; elsewhere nothing.
func terminalBar(w io.Writer) progress.Func {
	nothing := func(string, int64, int64) {}
	f, ok := w.(*os.File)
	if !ok {
		return nothing
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nothing
	}
	var bar *progressbar.ProgressBar
	stage := ""
	return func(now string, done, total int64) {
		if total == 0 {
			total = -1 // not known: a spinner
		}
		if bar == nil || now != stage {
			stage = now
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(now),
				progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount())
		}
		// A bar that cannot be drawn is no reason to fail what it measures.
		_ = bar.Set64(done)
	}
}
