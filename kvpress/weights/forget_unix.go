//go:build unix

package weights

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forget tells the system that mapped memory is not needed for now: it is read from the file again when somebody asks.
func forget(data []byte) {
	page := uintptr(os.Getpagesize())
	at := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	from := (at+page-1)/page*page - at
	if uintptr(len(data)) < from+page {
		return
	}
	whole := (uintptr(len(data)) - from) / page * page
	_ = unix.Madvise(data[from:from+whole], unix.MADV_DONTNEED) // where it cannot be, memory is freed later
}
