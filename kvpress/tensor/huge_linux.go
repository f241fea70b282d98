package tensor

import (
	"syscall"
	"unsafe"
)

// hugeBytes is the size of a huge page.
const hugeBytes = 2 << 20

// hugePages asks the system to hold new weights, before they are first written to, in pages of 2 MiB. They are read from
// end to end for every token: with pages of 4 KiB one core spends more time on looking up where they are than on
// reading them. Where the system gives none nothing changes.
func hugePages[T any](x []T) {
	if len(x) == 0 {
		return
	}
	from := uintptr(unsafe.Pointer(&x[0]))
	to := (from + uintptr(len(x))*unsafe.Sizeof(x[0]) + hugeBytes - 1) &^ (hugeBytes - 1)
	from &^= hugeBytes - 1 // what lies around is other weights, or is not touched
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_HUGEPAGE)
}
