package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// output catches what is written to standard output and standard error, also by C code, and hands it on.
type output struct {
	streams []*stream
	restore func()
}

// A stream is one of the two.
type stream struct {
	name    string
	read    *os.File
	write   *os.File
	mark    []byte        // written behind everything else, to know that all before has been read; its first byte is never part of text
	reached chan struct{} // the mark was read
	ended   chan struct{}
	use     sync.Mutex
}

// captureOutput starts to catch; emit is called with what was written.
func captureOutput(emit func(name, text string)) (*output, error) {
	o := &output{restore: func() {}}
	for _, name := range []string{"stdout", "stderr"} {
		r, w, err := os.Pipe()
		if err != nil {
			o.close()
			return nil, fmt.Errorf("capturing %s: %w", name, err)
		}
		s := &stream{name: name, read: r, write: w, mark: append([]byte{0xff}, rand.Text()...), reached: make(chan struct{}), ended: make(chan struct{})}
		o.streams = append(o.streams, s)
		go s.copy(emit)
	}
	restore, err := redirect(o.streams[0].write, o.streams[1].write)
	if err != nil {
		o.close()
		return nil, fmt.Errorf("capturing what cells write: %w", err)
	}
	o.restore = restore
	return o, nil
}

const (
	pause  = 20 * time.Millisecond // between two messages of a stream
	enough = 1 << 18               // bytes that are handed on without a pause
)

// copy hands on what arrives, without the marks.
func (s *stream) copy(emit func(name, text string)) {
	defer close(s.ended)
	var pending []byte
	var last time.Time // something was handed on
	chunk := make([]byte, 1<<16)
	for {
		// Many small writes become one message: what comes soon after the last waits a little for more.
		var wait time.Time
		if len(pending) > 0 {
			wait = last.Add(pause)
		}
		paused := s.read.SetReadDeadline(wait) == nil // where pipes have no deadlines, each write is handed on
		n, err := s.read.Read(chunk)
		pending = append(pending, chunk[:n]...)
		for {
			at := bytes.Index(pending, s.mark)
			if at < 0 {
				break
			}
			s.emit(emit, pending[:at])
			pending = pending[at+len(s.mark):]
			s.reached <- struct{}{}
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			s.emit(emit, pending)
			return
		}
		if paused && time.Since(last) < pause && len(pending) < enough {
			continue
		}
		whole := len(pending) - unfinished(pending, s.mark)
		s.emit(emit, pending[:whole])
		pending = append(pending[:0], pending[whole:]...)
		last = time.Now()
	}
}

func (s *stream) emit(emit func(name, text string), text []byte) {
	if len(text) > 0 {
		emit(s.name, string(bytes.ToValidUTF8(text, []byte("\uFFFD"))))
	}
}

// unfinished is how many bytes at the end may belong to a mark or a letter that has not arrived whole.
func unfinished(b, mark []byte) int {
	for n := min(len(b), len(mark)-1); n > 0; n-- {
		if bytes.HasPrefix(mark, b[len(b)-n:]) {
			return n
		}
	}
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n
			}
			break
		}
	}
	return 0
}

// drain returns when all that was written before has been handed on.
func (o *output) drain() {
	for _, s := range o.streams {
		s.use.Lock()
		if _, err := s.write.Write(s.mark); err == nil {
			select {
			case <-s.reached:
			case <-s.ended:
			}
		}
		s.use.Unlock()
	}
}

// close stops catching and hands on the rest.
func (o *output) close() {
	o.restore()
	for _, s := range o.streams {
		s.write.Close()
		<-s.ended
		s.read.Close()
	}
}
