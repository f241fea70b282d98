package server

import (
	"encoding/json"
	"sync"

	"github.com/google/uuid"

	"github.com/kvnotes/kvnotes/kernel/internal/wire"
)

// comms are the open channels between front-end parts, such as sliders, and the kernel.
type comms struct {
	mu   sync.Mutex
	open map[string]*Comm
}

func newComms() *comms { return &comms{open: map[string]*Comm{}} }

// A Comm is a channel to one part of the front end.
type Comm struct {
	ID     string
	Target string
	server *Server
	// Receive is called with what the front end sends, on the kernel's own queue: never beside a running cell.
	receive func(data json.RawMessage, buffers [][]byte)
}

// OpenComm opens a channel; receive may be nil.
func (s *Server) OpenComm(target string, data, metadata map[string]interface{}, buffers [][]byte, receive func(data json.RawMessage, buffers [][]byte)) *Comm {
	c := &Comm{ID: uuid.NewString(), Target: target, server: s, receive: receive}
	s.comms.mu.Lock()
	s.comms.open[c.ID] = c
	s.comms.mu.Unlock()
	c.send("comm_open", content{"comm_id": c.ID, "target_name": target, "data": data}, metadata, buffers)
	return c
}

// Send sends data to the front end.
func (c *Comm) Send(data map[string]interface{}, buffers [][]byte) {
	c.send("comm_msg", content{"comm_id": c.ID, "data": data}, nil, buffers)
}

// Close closes the channel.
func (c *Comm) Close() {
	c.server.comms.mu.Lock()
	delete(c.server.comms.open, c.ID)
	c.server.comms.mu.Unlock()
	c.send("comm_close", content{"comm_id": c.ID, "data": content{}}, nil, nil)
}

func (c *Comm) send(kind string, body content, metadata map[string]interface{}, buffers [][]byte) {
	s := c.server
	m, err := wire.New(kind, s.session, s.current(), body)
	if err != nil {
		s.logf("%v", err)
		return
	}
	if metadata != nil {
		m.Metadata = metadata
	}
	m.Buffers = buffers
	m.Identities = [][]byte{[]byte(kind)}
	s.sendOn(s.iopub, m)
}

// list describes the open channels of a target, or all.
func (c *comms) list(target string) content {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := content{}
	for id, k := range c.open {
		if target == "" || target == k.Target {
			out[id] = content{"target_name": k.Target}
		}
	}
	return out
}

// handle takes a comm message from the front end. A channel that nobody here knows is closed again.
func (c *comms) handle(s *Server, m *wire.Message) {
	var r struct {
		ID   string          `json:"comm_id"`
		Data json.RawMessage `json:"data"`
	}
	if err := decode(m, &r); err != nil {
		s.logf("%v", err)
		return
	}
	c.mu.Lock()
	k := c.open[r.ID]
	if m.Header.Type == "comm_close" {
		delete(c.open, r.ID)
	}
	c.mu.Unlock()
	switch {
	case m.Header.Type == "comm_open":
		s.publish(m, "comm_close", content{"comm_id": r.ID, "data": content{}})
	case m.Header.Type == "comm_msg" && k != nil && k.receive != nil:
		k.receive(r.Data, m.Buffers)
	}
}
