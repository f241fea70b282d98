//go:build unix

package eval

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps other writers off a file until it is closed, or its holder killed.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
