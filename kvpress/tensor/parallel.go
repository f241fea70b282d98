package tensor

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// workers share the work of Parallel with its caller. Between two calls of a model there are microseconds: a helper
// looks out for the next one for a while before it goes to sleep.
var workers struct {
	mu      sync.Mutex // held while a Parallel runs
	helpers []*helper
	once    sync.Once

	// the work at hand
	f      func(i int)
	shares []share // of the caller, and of each helper
	panic  atomic.Pointer[interface{}]
	turn   atomic.Int64 // odd while there is work to join
	inside atomic.Int64 // helpers that may be at it
	waits  atomic.Bool  // the caller sleeps until none is inside
	empty  chan struct{}
}

// A helper is a goroutine.
type helper struct {
	number  int // its share
	asleep  atomic.Bool
	retired atomic.Bool
	wake    chan struct{}
}

// A share is a run of tasks that one thread does in their order, so that it reads on in memory where it was.
type share struct {
	left atomic.Uint64 // the first task, and 32 bits further down the end
	_    [56]byte      // what other threads write to is another line of the cache
}

func (s *share) set(first, end int) { s.left.Store(uint64(first)<<32 | uint64(end)) }

// take takes the first task that is left, or the last one.
func (s *share) take(last bool) (task int, ok bool) {
	for {
		left := s.left.Load()
		first, end := left>>32, left&(1<<32-1)
		if first == end {
			return 0, false
		}
		task, rest := first, left+1<<32
		if last {
			task, rest = end-1, left-1
		}
		if s.left.CompareAndSwap(left, rest) {
			return int(task), true
		}
	}
}

// patience is how many looks a helper, or a caller that waits for helpers, takes before it sleeps: some 50 microseconds.
const patience = 1500

// SetThreads says how many goroutines work at the same time, the caller included; at least 1.
func SetThreads(n int) {
	workers.once.Do(func() {})
	workers.mu.Lock()
	defer workers.mu.Unlock()
	setThreads(n)
}

func setThreads(n int) {
	n = max(n, 1)
	if workers.empty == nil {
		workers.empty = make(chan struct{}, 1)
	}
	for len(workers.helpers) > n-1 {
		last := len(workers.helpers) - 1
		workers.helpers[last].retired.Store(true)
		workers.helpers[last].rouse()
		workers.helpers = workers.helpers[:last]
	}
	for len(workers.helpers) < n-1 {
		h := &helper{number: len(workers.helpers) + 1, wake: make(chan struct{}, 1)}
		workers.helpers = append(workers.helpers, h)
		go h.work()
	}
	workers.shares = make([]share, n)
}

// Threads is how many goroutines work at the same time.
func Threads() int {
	workers.mu.Lock()
	defer workers.mu.Unlock()
	startWorkers()
	return len(workers.helpers) + 1
}

func startWorkers() {
	workers.once.Do(func() { setThreads(runtime.NumCPU()) })
}

// rouse wakes a helper that sleeps.
func (h *helper) rouse() {
	if h.asleep.CompareAndSwap(true, false) {
		h.wake <- struct{}{}
	}
}

// work joins one turn after the other.
func (h *helper) work() {
	done := int64(0)
	for looks := 0; !h.retired.Load(); looks++ {
		turn := workers.turn.Load()
		switch {
		case turn%2 == 1 && turn != done:
			// Once inside with the turn still open, the caller waits for this helper.
			workers.inside.Add(1)
			if workers.turn.Load() == turn {
				takeTasks(h.number)
			}
			if workers.inside.Add(-1) == 0 && workers.waits.CompareAndSwap(true, false) {
				workers.empty <- struct{}{}
			}
			done, looks = turn, 0
		case looks < patience:
			pause()
		default:
			h.asleep.Store(true)
			// Who opens a turn or retires a helper does so before looking for sleepers; so one of both sees the other.
			if (workers.turn.Load() != turn || h.retired.Load()) && h.asleep.CompareAndSwap(true, false) {
				continue
			}
			<-h.wake
			looks = 0
		}
	}
}

// takeTasks does the tasks of a thread's own share, and then what others have not come to, from the end of theirs.
func takeTasks(own int) {
	defer func() {
		if r := recover(); r != nil {
			caught := r // here, for its address makes it an allocation
			workers.panic.CompareAndSwap(nil, &caught)
		}
	}()
	for i := range workers.shares {
		s := &workers.shares[(own+i)%len(workers.shares)]
		for {
			task, ok := s.take(i > 0)
			if !ok {
				break
			}
			workers.f(task)
		}
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
	workers.f = f
	threads := min(len(workers.shares), n)
	for i := range workers.shares {
		workers.shares[i].set(min(i, threads)*n/threads, min(i+1, threads)*n/threads)
	}
	workers.panic.Store(nil)
	workers.turn.Add(1)
	for _, h := range workers.helpers[:threads-1] {
		h.rouse()
	}
	takeTasks(0)
	workers.turn.Add(1)
	await()
	workers.f = nil
	if r := workers.panic.Load(); r != nil {
		panic(*r)
	}
}

// await returns when no helper is inside.
func await() {
	for range patience {
		if workers.inside.Load() == 0 {
			return
		}
		pause()
	}
	workers.waits.Store(true)
	if workers.inside.Load() == 0 && workers.waits.CompareAndSwap(true, false) {
		return
	}
	<-workers.empty
}
