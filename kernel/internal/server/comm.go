package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/kvnotes/kvnotes/kernel/internal/wire"
	"github.com/kvnotes/kvnotes/viz/widget"
)

// comms are the open channels between parts of the front end, such as sliders, and the kernel.
type comms struct {
	mu      sync.Mutex
	open    map[string]*comm
	targets map[string]func(widget.Comm) widget.Receiver // what the front end may open
}

func newComms() *comms {
	return &comms{open: map[string]*comm{}, targets: map[string]func(widget.Comm) widget.Receiver{}}
}

// A comm is one channel.
type comm struct {
	id, target string
	server     *Server
	receive    widget.Receiver
}

// ID is the name of the channel on both sides.
func (c *comm) ID() string { return c.id }

// Send sends data to the front end.
func (c *comm) Send(data map[string]interface{}, buffers [][]byte) error {
	return c.send("comm_msg", content{"comm_id": c.id, "data": data}, nil, buffers)
}

// Close closes the channel.
func (c *comm) Close() error {
	c.server.comms.forget(c.id)
	return c.send("comm_close", content{"comm_id": c.id, "data": content{}}, nil, nil)
}

func (c *comm) send(kind string, body, metadata content, buffers [][]byte) error {
	m, err := wire.New(kind, c.server.session, c.server.current(), body)
	if err != nil {
		return err
	}
	if metadata != nil {
		m.Metadata = metadata
	}
	m.Buffers = buffers
	m.Identities = [][]byte{[]byte(kind)}
	c.server.sendOn(c.server.iopub, m)
	return nil
}

// Open opens a channel to the front end.
func (s *Server) Open(target string, data, metadata map[string]interface{}, buffers [][]byte, receive widget.Receiver) (widget.Comm, error) {
	c := &comm{id: uuid.NewString(), target: target, server: s, receive: receive}
	s.comms.remember(c)
	if err := c.send("comm_open", content{"comm_id": c.id, "target_name": target, "data": data}, metadata, buffers); err != nil {
		s.comms.forget(c.id)
		return nil, err
	}
	return c, nil
}

// Accept lets the front end open channels of a target.
func (s *Server) Accept(target string, opened func(widget.Comm) widget.Receiver) {
	s.comms.mu.Lock()
	defer s.comms.mu.Unlock()
	s.comms.targets[target] = opened
}

// Parent is the id of the request whose output it is now. What was written before has been delivered.
func (s *Server) Parent() string {
	s.output.drain()
	if m := s.current(); m != nil {
		return m.Header.ID
	}
	return ""
}

func (c *comms) remember(k *comm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[k.id] = k
}

func (c *comms) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, id)
}

// list describes the open channels of a target, or all.
func (c *comms) list(target string) content {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := content{}
	for id, k := range c.open {
		if target == "" || target == k.target {
			out[id] = content{"target_name": k.target}
		}
	}
	return out
}

// commRequest is the content of comm_open, comm_msg and comm_close.
type commRequest struct {
	ID     string                 `json:"comm_id"`
	Target string                 `json:"target_name"`
	Data   map[string]interface{} `json:"data"`
}

// channelOf is the channel of a comm_msg, "" for other messages.
func channelOf(m *wire.Message) string {
	var r commRequest
	if m.Header.Type != "comm_msg" || json.Unmarshal(m.Content, &r) != nil {
		return ""
	}
	return r.ID
}

// fromComm takes a comm message from the front end, as if it were a cell: an interrupt stops what it starts.
func (s *Server) fromComm(m *wire.Message, stale bool) {
	var r commRequest
	if err := decode(m, &r); err != nil {
		s.logf("%v", err)
		return
	}
	s.comms.mu.Lock()
	c, opened := s.comms.open[r.ID], s.comms.targets[r.Target]
	s.comms.mu.Unlock()
	switch {
	case m.Header.Type == "comm_open" && opened == nil: // nobody here knows the target
		s.publish(m, "comm_close", content{"comm_id": r.ID, "data": content{}})
	case m.Header.Type == "comm_open":
		c = &comm{id: r.ID, target: r.Target, server: s}
		c.receive = opened(c)
		s.comms.remember(c)
	case m.Header.Type == "comm_close":
		s.comms.forget(r.ID)
	case c != nil && c.receive != nil:
		err := s.cell(m, false, func(ctx context.Context) error {
			return s.options.Evaluator.Call(ctx, func() { c.receive(r.Data, m.Buffers, stale) })
		})
		s.output.drain()
		if err != nil {
			s.stream("stderr", strings.Join(s.failed(err).Traceback, "\n")+"\n")
		}
	}
}

// failed says how an error is shown.
func (s *Server) failed(err error) Failure {
	if s.options.Explain != nil {
		return s.options.Explain(err)
	}
	return Failure{Name: "error", Value: err.Error(), Traceback: []string{fmt.Sprint(err)}}
}
