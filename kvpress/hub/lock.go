package hub

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// lock waits until nobody else, in this process or another, holds the lock of a path, and takes it. The file stays
// behind: were it removed, two could hold it at once.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(100 * time.Millisecond) // neither system can wait for a file and for a context
	defer again.Stop()
	for {
		taken, err := tryLock(f)
		if taken {
			return func() { f.Close() }, nil // closing unlocks, and so does the end of a process
		}
		if err == nil {
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-again.C:
				continue
			}
		}
		f.Close()
		return nil, err
	}
}
