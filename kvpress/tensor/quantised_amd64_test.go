//go:build amd64 && !noasm

package tensor

// eachKind calls f for every kind of assembly that this processor can run.
func eachKind(f func(kind string)) {
	if !fast {
		return
	}
	before := wide
	defer func() { wide = before }()
	wide = false
	f("AVX2")
	if wide = before; wide {
		f("AVX-512")
	}
}
