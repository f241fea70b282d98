package server

import "os"

// redirect replaces os.Stdout and os.Stderr; C code that writes by itself is not caught on Windows.
func redirect(stdout, stderr *os.File) (restore func(), err error) {
	out, errs := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = stdout, stderr
	return func() { os.Stdout, os.Stderr = out, errs }, nil
}
