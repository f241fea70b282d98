package tensor

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// workers are the goroutines that share the work of Parallel with its caller.
var workers struct {
	mu   sync.Mutex // held while a Parallel runs
	wake []chan struct{}
	once sync.Once

	// the work at hand
	f     func(i int)
	n     int64
	next  atomic.Int64
	left  sync.WaitGroup
	panic atomic.Pointer[interface{}]
}

// SetThreads says how many goroutines work at the same time, the caller included; at least 1.
func SetThreads(n int) {
	workers.once.Do(func() {})
	workers.mu.Lock()
	defer workers.mu.Unlock()
	setThreads(n)
}

func setThreads(n int) {
	n = max(n, 1)
	for len(workers.wake) > n-1 {
		last := len(workers.wake) - 1
		close(workers.wake[last])
		workers.wake = workers.wake[:last]
	}
	for len(workers.wake) < n-1 {
		wake := make(chan struct{}, 1)
		workers.wake = append(workers.wake, wake)
		go func() {
			for range wake {
				takeTasks()
				workers.left.Done()
			}
		}()
	}
}

// Threads is how many goroutines work at the same time.
func Threads() int {
	workers.mu.Lock()
	defer workers.mu.Unlock()
	startWorkers()
	return len(workers.wake) + 1
}

func startWorkers() {
	workers.once.Do(func() { setThreads(runtime.NumCPU()) })
}

// takeTasks takes one task after the other until none is left.
func takeTasks() {
	defer func() {
		if r := recover(); r != nil {
			workers.panic.CompareAndSwap(nil, &r)
		}
	}()
	for {
		i := workers.next.Add(1) - 1
		if i >= workers.n {
			return
		}
		workers.f(int(i))
	}
}

// Parallel calls f for 0 .. n-1, on all threads. A call while another one runs, from inside it or from elsewhere,
// does its work alone. A panic of f comes out of Parallel.
func Parallel(n int, f func(i int)) {
	if n <= 1 || !workers.mu.TryLock() {
		for i := range n {
			f(i)
		}
		return
	}
	defer workers.mu.Unlock()
	startWorkers()
	workers.f, workers.n = f, int64(n)
	workers.next.Store(0)
	workers.panic.Store(nil)
	helpers := min(len(workers.wake), n-1)
	workers.left.Add(helpers)
	for _, wake := range workers.wake[:helpers] {
		wake <- struct{}{}
	}
	takeTasks()
	workers.left.Wait()
	workers.f = nil
	if r := workers.panic.Load(); r != nil {
		panic(*r)
	}
}
