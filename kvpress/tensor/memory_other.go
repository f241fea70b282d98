//go:build !linux

package tensor

import "unsafe"

// hugePages and collapse do nothing: large pages are the system's business.
func hugePages(unsafe.Pointer, int) {}

func collapse(unsafe.Pointer, int) {}
