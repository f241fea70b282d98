//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// duplicate opens a file again, so that it stays what it is when its descriptor is redirected.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
