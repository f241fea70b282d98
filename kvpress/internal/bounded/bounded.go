// Package bounded lets tests ask how much memory and time some bytes from strangers take.
package bounded

import (
	"runtime/metrics"
	"testing"
	"time"
)

// Limits of one input: what it may allocate in all, live or not, and how long it may take.
const (
	mostBytes = 1 << 30
	mostTime  = 10 * time.Second
)

// Run fails a test when f goes past the limits. What other goroutines allocate meanwhile counts too.
func Run(t testing.TB, f func()) {
	t.Helper()
	before, began := allocated(), time.Now()
	f()
	if n := allocated() - before; n > mostBytes {
		t.Errorf("one input made %d MB, at most %d may be made", n>>20, mostBytes>>20)
	}
	if took := time.Since(began); took > mostTime {
		t.Errorf("one input took %v", took)
	}
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
