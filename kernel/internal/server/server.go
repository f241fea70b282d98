// Package server speaks Jupyter's messaging protocol: sockets, the order of busy, output and idle, and a table of
// handlers, one per request. It knows an Evaluator, and nothing about Go as a language.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/google/uuid"

	"github.com/kvnotes/kvnotes/kernel/display"
	"github.com/kvnotes/kvnotes/kernel/internal/wire"
	"github.com/kvnotes/kvnotes/viz/widget"
)

// An Evaluator runs cells. Eval and Call are called one at a time; the others may be called beside them.
type Evaluator interface {
	// Eval runs a cell until it ends or ctx does. The value of its last expression comes back; ok is false when
	// there is nothing to show.
	Eval(ctx context.Context, code string) (value display.Data, ok bool, err error)
	// Call runs a function that may be made of interpreted code, as if it were a cell.
	Call(ctx context.Context, f func()) error
	// Left says what goes on from cells that were interrupted and could not be stopped; "" when there is nothing.
	Left() string
	Complete(code string, cursor int) (matches []string, start, end int)
	Inspect(code string, cursor int) (text string, found bool)
	IsComplete(code string) (status, indent string)
}

// A Failure is an error that knows how it is shown.
type Failure struct {
	Name, Value string
	Traceback   []string
}

// Options are what a server needs beside its connection.
type Options struct {
	Evaluator Evaluator
	Explain   func(error) Failure    // turns an error of Eval into what is shown
	Info      map[string]interface{} // language_info, banner, ... of kernel_info_reply
	History   string                 // file that keeps the history; empty for none
	Log       io.Writer              // where the server says what it cannot say in the notebook
}

// A Server is a running kernel.
type Server struct {
	options    Options
	key        []byte
	session    string
	connection Connection

	shell, control, stdin, iopub, heartbeat *socket

	jobs    *queue // executed one after the other
	history *history
	comms   *comms
	output  *output
	fold    fold
	stop    context.CancelFunc
	ended   context.Context

	mu      sync.Mutex
	parent  *wire.Message      // whose output it is now
	running context.Context    // of the running cell, or the last one
	cancel  context.CancelFunc // of the running cell; nil when none runs
	count   int                // cells executed
	aborted time.Time          // requests that came before are not executed
	allow   bool               // the running cell may ask for input
	answers chan string
}

// A socket is a ZeroMQ socket that several goroutines may send on.
type socket struct {
	zmq4.Socket
	send sync.Mutex
}

// New opens the sockets.
func New(c Connection, o Options) (*Server, error) {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		options: o, key: []byte(c.Key), session: uuid.NewString(), connection: c, stop: stop, ended: ctx,
		jobs: newQueue(), history: openHistory(o.History), comms: newComms(), answers: make(chan string, 1), running: ctx,
	}
	for _, open := range []struct {
		to   **socket
		make func(context.Context, ...zmq4.Option) zmq4.Socket
		port int
	}{
		{&s.shell, zmq4.NewRouter, c.Shell},
		{&s.control, zmq4.NewRouter, c.Control},
		{&s.stdin, zmq4.NewRouter, c.Stdin},
		{&s.iopub, zmq4.NewXPub, c.IOPub},
		{&s.heartbeat, zmq4.NewRep, c.Heartbeat},
	} {
		*open.to = &socket{Socket: open.make(ctx)}
		if err := (*open.to).Listen(c.address(open.port)); err != nil {
			s.close()
			return nil, errors.Join(fmt.Errorf("listening on %s: %w", c.address(open.port), err), s.history.close())
		}
	}
	return s, nil
}

// close ends the loops and closes the sockets that are open.
func (s *Server) close() {
	s.stop()
	for _, k := range []*socket{s.shell, s.control, s.stdin, s.heartbeat, s.iopub} {
		if k != nil {
			k.Close()
		}
	}
}

// Run serves until a shutdown is asked for or ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var err error
	if s.output, err = captureOutput(s.stream); err != nil {
		return err
	}
	defer s.output.close()
	display.Connect(s)
	defer display.Connect(nil)
	widget.Connect(s)
	defer widget.Connect(nil)

	var loops sync.WaitGroup
	for _, loop := range []func(){
		s.beat, s.work,
		func() { s.receive(s.shell, s.fromShell) },
		func() { s.receive(s.control, s.fromControl) },
		func() { s.receive(s.stdin, s.fromStdin) },
	} {
		loops.Go(loop)
	}
	select {
	case <-ctx.Done():
	case <-s.ended.Done():
	}
	s.Interrupt()
	s.close()
	loops.Wait()
	return s.history.close()
}

func (s *Server) logf(format string, values ...interface{}) {
	if s.options.Log != nil {
		fmt.Fprintf(s.options.Log, "kvnotes kernel: "+format+"\n", values...)
	}
}

// beat answers heartbeats.
func (s *Server) beat() {
	for s.ended.Err() == nil {
		m, err := s.heartbeat.Recv()
		if err != nil {
			if s.closing(err) {
				return
			}
			continue
		}
		if err := s.heartbeat.Send(m); err != nil && s.closing(err) {
			return
		}
	}
}

// closing reports whether an error of a socket means that the server ends.
func (s *Server) closing(err error) bool {
	return s.ended.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, zmq4.ErrClosedConn)
}

// receive reads requests from a socket and hands them on.
func (s *Server) receive(from *socket, handle func(*wire.Message)) {
	for s.ended.Err() == nil {
		raw, err := from.Recv()
		if err != nil {
			if s.closing(err) {
				return
			}
			s.logf("receiving: %v", err)
			continue
		}
		m, err := wire.Parse(raw.Frames, s.key)
		if err != nil {
			s.logf("a message was dropped: %v", err)
			continue
		}
		s.guard(m, func() { handle(m) })
	}
}

// guard keeps a panic in a handler from ending the kernel.
func (s *Server) guard(m *wire.Message, f func()) {
	defer func() {
		if r := recover(); r != nil {
			s.logf("%s: panic: %v", m.Header.Type, r)
		}
	}()
	f()
}

// sendOn sends a message on a socket.
func (s *Server) sendOn(to *socket, m *wire.Message) {
	frames, err := m.Frames(s.key)
	if err != nil {
		s.logf("%s: %v", m.Header.Type, err)
		return
	}
	to.send.Lock()
	defer to.send.Unlock()
	if err := to.SendMulti(zmq4.NewMsgFrom(frames...)); err != nil && !s.closing(err) {
		s.logf("sending %s: %v", m.Header.Type, err)
	}
}

// reply answers a request on the socket it came from.
func (s *Server) reply(to *socket, request *wire.Message, kind string, content interface{}) {
	m, err := wire.New(kind, s.session, request, content)
	if err != nil {
		s.logf("%v", err)
		return
	}
	s.sendOn(to, m)
}

// publish tells all front ends something about a request.
func (s *Server) publish(parent *wire.Message, kind string, content interface{}) {
	m, err := wire.New(kind, s.session, parent, content)
	if err != nil {
		s.logf("%v", err)
		return
	}
	m.Identities = [][]byte{[]byte(kind)}
	s.sendOn(s.iopub, m)
}

// subscribed waits, for a moment at most, until somebody listens to what is published: the first cell's output would
// be lost to a front end that subscribes late.
func (s *Server) subscribed() {
	topics, ok := s.iopub.Socket.(zmq4.Topics)
	if !ok {
		return
	}
	give := time.NewTimer(time.Second)
	defer give.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for len(topics.Topics()) == 0 {
		select {
		case <-give.C:
			return
		case <-s.ended.Done():
			return
		case <-look.C:
		}
	}
}

// busy publishes the states around the handling of a request.
func (s *Server) busy(m *wire.Message, handle func()) {
	s.subscribed()
	s.publish(m, "status", map[string]string{"execution_state": "busy"})
	defer s.publish(m, "status", map[string]string{"execution_state": "idle"})
	s.guard(m, handle)
}

// fromShell handles what comes on the shell socket: what runs code waits for its turn, all else is answered at once.
func (s *Server) fromShell(m *wire.Message) {
	switch m.Header.Type {
	case "execute_request", "comm_open", "comm_msg", "comm_close":
		s.jobs.put(job{m, time.Now(), channelOf(m)})
	default:
		s.busy(m, func() { s.answer(s.shell, m) })
	}
}

func (s *Server) fromControl(m *wire.Message) {
	s.busy(m, func() { s.answer(s.control, m) })
	if m.Header.Type == "shutdown_request" {
		s.stop()
	}
}

// work runs jobs, one after the other.
func (s *Server) work() {
	for {
		select {
		case <-s.ended.Done():
			return
		case <-s.jobs.filled:
		}
		for j, stale, ok := s.jobs.take(); ok && s.ended.Err() == nil; j, stale, ok = s.jobs.take() {
			s.busy(j.message, func() { s.run(j, stale) })
		}
	}
}

func decode(m *wire.Message, into interface{}) error {
	if err := json.Unmarshal(m.Content, into); err != nil {
		return fmt.Errorf("%s: %w", m.Header.Type, err)
	}
	return nil
}
