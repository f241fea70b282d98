package server

import "os"

// writeToDescriptor writes to Go's files: on Windows only they are caught.
func writeToDescriptor(fd int, text string) {
	f := os.Stdout
	if fd == 2 {
		f = os.Stderr
	}
	_, _ = f.WriteString(text)
}
