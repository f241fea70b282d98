//go:build !amd64 || noasm

package tensor

// eachKind has no assembly to show.
func eachKind(func(kind string)) {}
