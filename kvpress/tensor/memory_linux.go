package tensor

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugeBytes is the size of a huge page.
const hugeBytes = 2 << 20

// hugePages asks the system to hold new memory, before it is first written to, in pages of 2 MiB: with pages of 4 KiB a
// core spends much of its time on looking up where they are. Where the system gives none nothing changes.
func hugePages(data unsafe.Pointer, size int) {
	advise((uintptr(data)+hugeBytes-1)&^(hugeBytes-1), (uintptr(data)+uintptr(size))&^(hugeBytes-1), unix.MADV_HUGEPAGE)
}

// collapse moves what is in small pages, because they were in use before for something else, into huge ones.
func collapse(data unsafe.Pointer, size int) {
	advise(uintptr(data)&^(hugeBytes-1), (uintptr(data)+uintptr(size))&^(hugeBytes-1), unix.MADV_COLLAPSE)
}

func advise(from, to uintptr, advice uintptr) {
	if from < to {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, advice)
	}
}
