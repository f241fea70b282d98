// Package file writes files so that a half-written one is never found.
package file

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes a file under another name beside it, and renames it when all of it is on the disk. A file that was there
// stays as it was when anything fails.
func Replace(path string, mode fs.FileMode, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the renaming nothing is left there
	for _, step := range []func() error{func() error { return write(f) }, func() error { return f.Chmod(mode) }, f.Sync} {
		if err := step(); err != nil {
			f.Close()
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Bytes is what Replace writes when the text is at hand.
func Bytes(text []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}
}
