package server

import (
	"fmt"
	"maps"
	"time"

	"github.com/kvnotes/kvnotes/kernel/internal/wire"
)

// A content is the content of a reply.
type content = map[string]interface{}

// handlers answer requests that run no code: the type of the reply, and how to make its content.
var handlers = map[string]struct {
	reply string
	make  func(s *Server, m *wire.Message) (content, error)
}{
	"kernel_info_request": {"kernel_info_reply", (*Server).kernelInfo},
	"complete_request":    {"complete_reply", (*Server).complete},
	"inspect_request":     {"inspect_reply", (*Server).inspect},
	"is_complete_request": {"is_complete_reply", (*Server).isComplete},
	"history_request":     {"history_reply", (*Server).pastCells},
	"comm_info_request":   {"comm_info_reply", (*Server).commInfo},
	"connect_request":     {"connect_reply", (*Server).connect},
	"interrupt_request":   {"interrupt_reply", (*Server).interrupt},
	"shutdown_request":    {"shutdown_reply", (*Server).shutdown},
}

// answer answers a request on the socket it came from.
func (s *Server) answer(on *socket, m *wire.Message) {
	h, ok := handlers[m.Header.Type]
	if !ok {
		s.logf("there is no answer to %s", m.Header.Type)
		return
	}
	c, err := h.make(s, m)
	if err != nil {
		c = content{"status": "error", "ename": "error", "evalue": err.Error(), "traceback": []string{err.Error()}}
	} else if c["status"] == nil {
		c["status"] = "ok"
	}
	s.reply(on, m, h.reply, c)
	if m.Header.Type == "shutdown_request" && on == s.shell { // an old front end; new ones use control
		s.stop()
	}
}

func (s *Server) kernelInfo(*wire.Message) (content, error) {
	c := content{"protocol_version": wire.Version}
	maps.Copy(c, s.options.Info)
	return c, nil
}

// cursorRequest is a request about a place in the code.
type cursorRequest struct {
	Code   string `json:"code"`
	Cursor *int   `json:"cursor_pos"`
}

func readCursor(m *wire.Message) (code string, cursor int, err error) {
	var r cursorRequest
	if err := decode(m, &r); err != nil {
		return "", 0, err
	}
	cursor = len([]rune(r.Code))
	if r.Cursor != nil {
		cursor = *r.Cursor
	}
	return r.Code, cursor, nil
}

func (s *Server) complete(m *wire.Message) (content, error) {
	code, cursor, err := readCursor(m)
	if err != nil {
		return nil, err
	}
	matches, start, end := s.options.Evaluator.Complete(code, cursor)
	if matches == nil {
		matches = []string{}
	}
	return content{"matches": matches, "cursor_start": start, "cursor_end": end, "metadata": content{}}, nil
}

func (s *Server) inspect(m *wire.Message) (content, error) {
	code, cursor, err := readCursor(m)
	if err != nil {
		return nil, err
	}
	text, found := s.options.Evaluator.Inspect(code, cursor)
	data := content{}
	if found {
		data["text/plain"] = text
	}
	return content{"found": found, "data": data, "metadata": content{}}, nil
}

func (s *Server) isComplete(m *wire.Message) (content, error) {
	code, _, err := readCursor(m)
	if err != nil {
		return nil, err
	}
	status, indent := s.options.Evaluator.IsComplete(code)
	c := content{"status": status}
	if status == "incomplete" {
		c["indent"] = indent
	}
	return c, nil
}

func (s *Server) connect(*wire.Message) (content, error) {
	c := s.connection
	return content{"shell_port": c.Shell, "iopub_port": c.IOPub, "stdin_port": c.Stdin, "hb_port": c.Heartbeat, "control_port": c.Control}, nil
}

func (s *Server) shutdown(m *wire.Message) (content, error) {
	var r struct {
		Restart bool `json:"restart"`
	}
	if err := decode(m, &r); err != nil {
		return nil, err
	}
	s.Interrupt()
	return content{"restart": r.Restart}, nil
}

func (s *Server) interrupt(*wire.Message) (content, error) {
	s.Interrupt()
	return content{}, nil
}

// Interrupt stops the running cell, if there is one, and the cells that wait behind it. When none runs it says what
// goes on from earlier cells that could not be stopped.
func (s *Server) Interrupt() {
	s.mu.Lock()
	cancel, parent := s.cancel, s.parent
	s.aborted = time.Now()
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		return
	}
	if left := s.options.Evaluator.Left(); left != "" {
		s.publish(parent, "stream", content{"name": "stderr", "text": left + "\n"})
	}
}

func (s *Server) commInfo(m *wire.Message) (content, error) {
	var r struct {
		Target string `json:"target_name"`
	}
	if err := decode(m, &r); err != nil {
		return nil, err
	}
	return content{"comms": s.comms.list(r.Target)}, nil
}

func (s *Server) pastCells(m *wire.Message) (content, error) {
	var r historyRequest
	if err := decode(m, &r); err != nil {
		return nil, err
	}
	switch r.Access {
	case "tail", "range", "search":
		return content{"history": s.history.find(r)}, nil
	}
	return nil, fmt.Errorf("hist_access_type %q is not tail, range or search", r.Access)
}
