//go:build unix

package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// redirect makes file descriptors 1 and 2 the given files, for Go and C code alike.
func redirect(stdout, stderr *os.File) (restore func(), err error) {
	var saved []int
	put := func(fd int, f *os.File) error {
		old, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		saved = append(saved, old)
		return unix.Dup2(int(f.Fd()), fd)
	}
	if err := put(1, stdout); err != nil {
		return nil, err
	}
	if err := put(2, stderr); err != nil {
		return nil, err
	}
	return func() {
		for i, old := range saved {
			_ = unix.Dup2(old, i+1)
			_ = unix.Close(old)
		}
	}, nil
}
