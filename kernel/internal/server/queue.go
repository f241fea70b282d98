package server

import (
	"sync"
	"time"

	"github.com/kvnotes/kvnotes/kernel/internal/wire"
)

// A job is a request that runs code and waits for its turn.
type job struct {
	message *wire.Message
	came    time.Time
	channel string // of comm_msg: the channel
}

// A queue holds jobs in the order they came. It never makes the sender wait.
type queue struct {
	mu     sync.Mutex
	jobs   []job
	filled chan struct{} // has something when there may be jobs
}

func newQueue() *queue { return &queue{filled: make(chan struct{}, 1)} }

func (q *queue) put(j job) {
	q.mu.Lock()
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// take returns the next job. Stale says that another message of the same channel waits behind it, with no cell between
// them: what this one says is already out of date.
func (q *queue) take() (j job, stale, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		return j, false, false
	}
	j, q.jobs = q.jobs[0], q.jobs[1:]
	for _, next := range q.jobs {
		if next.channel == "" {
			break
		}
		if j.channel != "" && next.channel == j.channel {
			return j, true, true
		}
	}
	return j, false, true
}
