package tensor

import (
	"slices"
	"sync"
	"unsafe"
	"weak"
)

// chunkBytes is the size of a chunk, which small weights share.
const chunkBytes = 16 << 20

// chunks are those with room left, perhaps. The weights in a chunk hold it; the list does not.
var chunks struct {
	mu   sync.Mutex
	list []*chunk
}

// A chunk is memory of which the first bytes are taken.
type chunk struct {
	data weak.Pointer[byte]
	used int
}

// weightMemory is memory for n numbers of a weight: in pages as large as the system gives, which is more than most weights
// of a small model fill, so that these share them.
func weightMemory[T byte | uint16 | float32](n int) []T {
	var number T
	size := n * int(unsafe.Sizeof(number))
	if size > chunkBytes/4 {
		data := make([]T, n)
		hugePages(unsafe.Pointer(unsafe.SliceData(data)), size)
		return data
	}
	chunks.mu.Lock()
	defer chunks.mu.Unlock()
	c, data := chunkWith(size)
	from := unsafe.Add(unsafe.Pointer(data), c.used)
	c.used += (size + 63) &^ 63 // the next one begins with a line of the cache
	return unsafe.Slice((*T)(from), n)
}

// chunkWith finds or makes a chunk with room for so many bytes.
func chunkWith(size int) (*chunk, *byte) {
	for _, c := range chunks.list {
		if data := c.data.Value(); data != nil && c.used+size <= chunkBytes {
			return c, data
		}
	}
	data := unsafe.SliceData(make([]byte, chunkBytes))
	hugePages(unsafe.Pointer(data), chunkBytes)
	c := &chunk{data: weak.Make(data)}
	chunks.list = append(slices.DeleteFunc(chunks.list, func(c *chunk) bool { return c.data.Value() == nil }), c)
	return c, data
}

// settled says that weights are written.
func settled[T byte | uint16 | float32](data []T) {
	if len(data) > 0 {
		collapse(unsafe.Pointer(unsafe.SliceData(data)), len(data)*int(unsafe.Sizeof(data[0])))
	}
}
