package tensor

import "os"

// A level is a set of instructions that the loops in assembly may use.
type level int

const (
	plain  level = iota // Go alone
	avx2                // AVX2 and FMA
	avx512              // AVX-512 F, BW, DQ and VL, and VNNI where there is
)

// levels are their names, as KVNOTES_CPU spells them.
var levels = [...]string{"go", "avx2", "avx512"}

// active is the level in use. Tests change it.
var active = wanted(os.Getenv("KVNOTES_CPU"), supported())

// wanted is the level of that name, or the best that the processor has where it has less or the name is none.
func wanted(name string, best level) level {
	for l, known := range levels {
		if known == name {
			return min(level(l), best)
		}
	}
	return best
}

// Instructions tells which loops are in use: "avx512" or "avx2" for those in assembly, "go" for their twins. The best
// that the processor has is taken; the environment variable KVNOTES_CPU asks for less, and the build tag noasm leaves
// the assembly out. Products have the same bits with avx2 and avx512.
func Instructions() string { return levels[active] }
