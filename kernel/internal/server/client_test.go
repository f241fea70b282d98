package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/kvnotes/kvnotes/kernel/display"
	"github.com/kvnotes/kvnotes/kernel/internal/wire"
)

// fake is an evaluator without a language: code is the name of a function.
type fake struct {
	cells map[string]func(ctx context.Context) (display.Data, bool, error)
	left  string
}

func (f *fake) Eval(ctx context.Context, code string) (display.Data, bool, error) {
	if c, ok := f.cells[code]; ok {
		return c(ctx)
	}
	return display.Data{}, false, fmt.Errorf("unknown cell %q", code)
}

func (f *fake) Call(_ context.Context, call func()) error {
	call()
	return nil
}

func (f *fake) Left() string { return f.left }

func (f *fake) Complete(code string, cursor int) ([]string, int, int) {
	return []string{code + "!"}, 0, cursor
}

func (f *fake) Inspect(code string, _ int) (string, bool) { return "about " + code, code != "" }

func (f *fake) IsComplete(code string) (string, string) {
	if code == "open" {
		return "incomplete", "\t"
	}
	return "complete", ""
}

// A client is a front end.
type client struct {
	t                                *testing.T
	shell, control, stdin, iopub, hb zmq4.Socket
	key                              []byte
	received                         map[zmq4.Socket]chan *wire.Message
	server                           *Server
	done                             chan error
}

const patience = 20 * time.Second

// serve starts a server and connects a client to it. The client hears what is published once it has subscribed.
func serve(t *testing.T, f *fake) *client {
	t.Helper()
	var s *Server
	var at Connection
	var err error
	for range 100 { // another process may take a free port before the server does
		at = freePorts(t)
		if s, err = New(at, Options{Evaluator: f, History: filepath.Join(t.TempDir(), "history"), Log: io.Discard}); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &client{t: t, key: []byte(at.Key), server: s, done: make(chan error, 1), received: map[zmq4.Socket]chan *wire.Message{}}
	go func() { k.done <- s.Run(ctx) }()
	id := zmq4.WithID(zmq4.SocketIdentity("client"))
	k.shell, k.control, k.stdin = zmq4.NewDealer(ctx, id), zmq4.NewDealer(ctx, id), zmq4.NewDealer(ctx, id)
	k.iopub, k.hb = zmq4.NewSub(ctx), zmq4.NewReq(ctx)
	for _, d := range []struct {
		socket zmq4.Socket
		port   int
	}{{k.shell, at.Shell}, {k.control, at.Control}, {k.stdin, at.Stdin}, {k.iopub, at.IOPub}, {k.hb, at.Heartbeat}} {
		if err := d.socket.Dial(at.address(d.port)); err != nil {
			t.Fatal(err)
		}
		if d.socket == k.hb {
			continue
		}
		messages := make(chan *wire.Message, 1<<16)
		k.received[d.socket] = messages
		go func() {
			for {
				raw, err := d.socket.Recv()
				if err != nil {
					return
				}
				m, err := wire.Parse(raw.Frames, k.key)
				if err != nil {
					t.Errorf("the server sent a broken message: %v", err)
					continue
				}
				messages <- m
			}
		}()
	}
	t.Cleanup(func() {
		stop()
		select {
		case err := <-k.done:
			if err != nil {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("the server does not end")
		}
		for _, socket := range []zmq4.Socket{k.shell, k.control, k.stdin, k.iopub, k.hb} {
			socket.Close()
		}
	})
	return k
}

func freePorts(t *testing.T) Connection {
	t.Helper()
	c := Connection{Transport: "tcp", IP: "127.0.0.1", Key: "secret", Scheme: "hmac-sha256"}
	for _, port := range []*int{&c.Shell, &c.Control, &c.Stdin, &c.IOPub, &c.Heartbeat} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return c
}

func (c *client) subscribe() {
	if err := c.iopub.SetOption(zmq4.OptionSubscribe, ""); err != nil {
		c.t.Fatal(err)
	}
}

// send sends a request and returns its id.
func (c *client) send(on zmq4.Socket, kind string, body interface{}) string {
	m, err := wire.New(kind, "client", nil, body)
	if err != nil {
		c.t.Fatal(err)
	}
	frames, err := m.Frames(c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := on.SendMulti(zmq4.NewMsgFrom(frames...)); err != nil {
		c.t.Fatal(err)
	}
	return m.Header.ID
}

// next is the next message on a socket that answers a request; an empty id means any.
func (c *client) next(on zmq4.Socket, id string) (*wire.Message, content) {
	c.t.Helper()
	for {
		select {
		case m := <-c.received[on]:
			var parent wire.Header
			var body content
			if err := errors.Join(json.Unmarshal(m.Parent, &parent), json.Unmarshal(m.Content, &body)); err != nil {
				c.t.Fatal(err)
			}
			if id == "" || parent.ID == id {
				return m, body
			}
		case <-time.After(patience):
			c.t.Fatal("no answer comes")
		}
	}
}

// published are the messages about a request, from busy to idle.
func (c *client) published(id string) (kinds []string, bodies []content) {
	c.t.Helper()
	for {
		m, body := c.next(c.iopub, id)
		kinds, bodies = append(kinds, m.Header.Type), append(bodies, body)
		if m.Header.Type == "status" && body["execution_state"] == "idle" {
			if bodies[0]["execution_state"] != "busy" {
				c.t.Errorf("the first message about a request is %s %v, not busy", kinds[0], bodies[0])
			}
			return kinds[1 : len(kinds)-1], bodies[1 : len(bodies)-1]
		}
	}
}

// execute runs a cell and returns its reply and what was published between busy and idle.
func (c *client) execute(code string) (reply content, kinds []string, bodies []content) {
	c.t.Helper()
	id := c.send(c.shell, "execute_request", content{"code": code, "allow_stdin": true})
	_, reply = c.next(c.shell, id)
	kinds, bodies = c.published(id)
	return reply, kinds, bodies
}
