package hub

import (
	"context"
	"crypto/sha1" // git names contents by it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"
)

// A temporary error may be gone after a while.
type temporary struct{ error }

func (t temporary) Unwrap() error { return t.error }

// A step is a temporary error after something was reached that never had been before.
type step struct{ error }

func (s step) Unwrap() error { return s.error }

// A slowDown is the server's wish to be asked later.
type slowDown struct{ after time.Duration }

func (s slowDown) Error() string { return "the server asks to slow down" }

// longestWait is how long a server's wish to be asked later is heeded.
const longestWait = 2 * time.Minute

// try calls f again, after pauses, as long as it fails with temporary errors. Attempts that were steps do not count: a
// large file may come over a line that breaks off often.
func (c *client) try(ctx context.Context, f func() error) error {
	pause := c.pause
	for attempt := 1; ; attempt++ {
		err := f()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, reached := errors.AsType[step](err); reached {
			attempt, pause = 0, c.pause
		}
		_, passes := errors.AsType[temporary](err)
		wish, wished := errors.AsType[slowDown](err)
		if err == nil || attempt >= c.attempts || !passes && !wished {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(max(pause, min(wish.after, longestWait))):
		}
		pause *= 2
	}
}

// get asks for an address, from a byte on, and turns answers other than success into errors that tell the cure.
func (c *client) get(ctx context.Context, address string, from int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: check HF_ENDPOINT", err)
	}
	request.Header.Set("User-Agent", userAgent)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if from > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, temporary{fmt.Errorf("no answer: %w: is there a network, or a proxy to set as HTTPS_PROXY? Models that are in the cache already are opened without", err)}
	}
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusPartialContent {
		return response, nil
	}
	response.Body.Close()
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized && c.token == "":
		return nil, errors.New("the hub knows no such model, or it is private or gated: check the spelling, and set HF_TOKEN to a token of an account that may read it")
	case code == http.StatusUnauthorized:
		return nil, errors.New("the hub knows no such model for this token: check the spelling and HF_TOKEN")
	case code == http.StatusForbidden:
		return nil, errors.New("the model is gated: accept its terms on its page, then set HF_TOKEN to a token of that account")
	case code == http.StatusNotFound:
		return nil, errors.New("the hub has no such model, revision or file: check the spelling")
	case code == http.StatusRequestedRangeNotSatisfiable:
		return nil, errNoSuchRange
	case code == http.StatusProxyAuthRequired:
		return nil, errors.New("the proxy wants a name and a password: write them into HTTPS_PROXY and HTTP_PROXY, as http://name:password@host:port")
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "":
		return nil, slowDown{retryAfter(response.Header.Get("Retry-After"))}
	case code >= 500:
		return nil, temporary{fmt.Errorf("the server answers %s", response.Status)}
	}
	return nil, fmt.Errorf("the server answers %s", response.Status)
}

// retryAfter reads a number of seconds, or a date; 0 where it is neither.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(seconds, math.MaxInt32)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return time.Until(at)
	}
	return 0
}

var errNoSuchRange = errors.New("the server has no such part of the file")

// fetch brings one file to a path, unless it is there. What an earlier attempt left beside it is continued, and the
// path appears when the whole content has the right hash. The bytes that are there are counted.
func (c *client) fetch(ctx context.Context, address, path string, f remoteFile, count func(int64)) error {
	if info, err := os.Stat(path); err == nil && info.Size() == f.size {
		count(f.size)
		return nil
	}
	part, err := os.OpenFile(path+".incomplete", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer part.Close()
	have, err := part.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	count(have)
	restart := func() error {
		count(-have)
		have = 0
		if err := part.Truncate(0); err != nil {
			return err
		}
		_, err := part.Seek(0, io.SeekStart)
		return err
	}
	if have > f.size {
		if err := restart(); err != nil {
			return err
		}
	}
	most := have
	err = c.try(ctx, func() error {
		if have < f.size || f.size == 0 {
			err := c.resume(ctx, address, part, f.size, &have, restart, count)
			if errors.Is(err, errNoSuchRange) {
				return errors.Join(temporary{err}, restart())
			}
			if lost, ok := errors.AsType[temporary](err); ok && have > most {
				most = have
				return step{lost}
			}
			if err != nil {
				return err
			}
		}
		got, err := hashOf(part, f)
		if err != nil {
			return err
		}
		if got != f.hash {
			return errors.Join(temporary{fmt.Errorf("the hash is %s, %s is wanted: the download is damaged", got, f.hash)}, restart())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := part.Sync(); err != nil {
		return err
	}
	if err := part.Close(); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// resume fetches the rest of a file and writes it behind what is there.
func (c *client) resume(ctx context.Context, address string, to io.Writer, size int64, have *int64, restart func() error, count func(int64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stalled := time.AfterFunc(c.stall, cancel)
	defer stalled.Stop()
	response, err := c.get(ctx, address, *have)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK && *have > 0 { // the server cannot begin in the middle
		if err := restart(); err != nil {
			return err
		}
	}
	buffer := make([]byte, 1<<20)
	for {
		n, err := response.Body.Read(buffer)
		stalled.Reset(c.stall)
		if int64(n) > size-*have {
			return errors.Join(fmt.Errorf("the server sends more than the %d bytes that the hub promises", size), restart())
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
		*have += int64(n)
		count(int64(n))
		if errors.Is(err, io.EOF) && *have == size {
			return nil
		}
		if err != nil {
			return temporary{fmt.Errorf("the connection broke off at byte %d of %d: %w", *have, size, err)}
		}
	}
}

// hashOf reads a file from its beginning: sha256, or git's sha1 of small files. Afterwards writing goes on at its end.
func hashOf(file io.ReadSeeker, f remoteFile) (string, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if len(f.hash) == 2*sha1.Size {
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", f.size)
	}
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
