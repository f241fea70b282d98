//go:build !linux

package tensor

// hugePages does nothing: large pages are the system's business.
func hugePages[T any]([]T) {}
