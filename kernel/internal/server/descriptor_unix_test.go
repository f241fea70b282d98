//go:build unix

package server

import "golang.org/x/sys/unix"

// writeToDescriptor writes past Go's files, as C code does.
func writeToDescriptor(fd int, text string) { _, _ = unix.Write(fd, []byte(text)) }
