//go:build unix

package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// redirect makes file descriptors 1 and 2 the given files, for Go and C code alike.
func redirect(stdout, stderr *os.File) (restore func(), err error) {
	var saved []int
	restore = func() {
		for i, old := range saved {
			_ = unix.Dup2(old, i+1)
			_ = unix.Close(old)
		}
	}
	put := func(fd int, f *os.File) error {
		old, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		saved = append(saved, old)
		return unix.Dup2(int(f.Fd()), fd)
	}
	for i, f := range []*os.File{stdout, stderr} {
		if err := put(i+1, f); err != nil {
			restore() // the error must reach whoever started this program
			return nil, err
		}
	}
	return restore, nil
}
