package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/kvnotes/kvnotes/kernel/display"
	"github.com/kvnotes/kvnotes/kernel/internal/wire"
)

// executeRequest is the content of execute_request.
type executeRequest struct {
	Code        string            `json:"code"`
	Silent      bool              `json:"silent"`
	Store       *bool             `json:"store_history"` // nil means true
	Expressions map[string]string `json:"user_expressions"`
	AllowStdin  bool              `json:"allow_stdin"`
	StopOnError *bool             `json:"stop_on_error"` // nil means true
}

func isTrue(b *bool) bool { return b == nil || *b }

// run does a job.
func (s *Server) run(j job, stale bool) {
	s.mu.Lock()
	s.parent = j.message
	abort := j.came.Before(s.aborted)
	s.mu.Unlock()
	if j.message.Header.Type != "execute_request" {
		s.fromComm(j.message, stale)
		return
	}
	var r executeRequest
	if err := decode(j.message, &r); err != nil {
		s.reply(s.shell, j.message, "execute_reply", s.failure(err, s.executed()))
		return
	}
	if abort { // a cell before it failed, or was stopped, while this one waited
		s.reply(s.shell, j.message, "execute_reply", content{"status": "aborted", "execution_count": s.executed()})
		return
	}
	s.reply(s.shell, j.message, "execute_reply", s.execute(j.message, r))
}

// cell runs f with a context that an interrupt cancels. It is not cancelled when f returns: goroutines of a cell may
// outlive it.
func (s *Server) cell(m *wire.Message, allowInput bool, f func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	s.running, s.cancel, s.allow = ctx, cancel, allowInput
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.cancel, s.allow = nil, false
		s.mu.Unlock()
		if r := recover(); r != nil { // a panic that the evaluator let through
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f(ctx)
}

func (s *Server) executed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// execute runs a cell and returns the content of the reply.
func (s *Server) execute(m *wire.Message, r executeRequest) content {
	s.mu.Lock()
	if !r.Silent && isTrue(r.Store) {
		s.count++
	}
	count := s.count
	s.mu.Unlock()
	if !r.Silent {
		s.publish(m, "execute_input", content{"code": r.Code, "execution_count": count})
		if isTrue(r.Store) {
			s.history.add(count, r.Code)
		}
	}
	if name := helpAsked.FindStringSubmatch(r.Code); name != nil {
		return content{"status": "ok", "execution_count": count, "user_expressions": content{}, "payload": s.help(name[1])}
	}
	var value display.Data
	var ok bool
	var expressions content
	err := s.cell(m, r.AllowStdin, func(ctx context.Context) (err error) {
		value, ok, err = s.options.Evaluator.Eval(ctx, r.Code)
		if err == nil {
			expressions = s.expressions(ctx, r.Expressions)
		}
		return err
	})
	s.output.drain()
	if name, text := s.fold.end(m.Header.ID); text != "" {
		s.publish(m, "stream", content{"name": name, "text": text})
	}
	if err != nil {
		f := s.failure(err, count)
		if !r.Silent {
			s.publish(m, "error", content{"ename": f["ename"], "evalue": f["evalue"], "traceback": f["traceback"]})
		}
		if isTrue(r.StopOnError) {
			s.mu.Lock()
			s.aborted = time.Now()
			s.mu.Unlock()
		}
		return f
	}
	if ok && !r.Silent {
		c := bundle(value)
		c["execution_count"] = count
		s.publish(m, "execute_result", c)
	}
	return content{"status": "ok", "execution_count": count, "user_expressions": expressions, "payload": []content{}}
}

// helpAsked is a cell that asks what a name is: display.HTML?
var helpAsked = regexp.MustCompile(`^\s*\??([\pL_][\pL\pN_.]*)\?\s*$`)

// help is a page about a name.
func (s *Server) help(name string) []content {
	text, found := s.options.Evaluator.Inspect(name, len([]rune(name)))
	if !found {
		text = name + " is not known"
	}
	return []content{{"source": "page", "data": content{"text/plain": text}, "start": 0}}
}

// expressions evaluates the user_expressions of a request.
func (s *Server) expressions(ctx context.Context, all map[string]string) content {
	out := content{}
	for name, code := range all {
		value, _, err := s.options.Evaluator.Eval(ctx, code)
		if err != nil {
			out[name] = s.failure(err, 0)
			continue
		}
		c := bundle(value)
		c["status"] = "ok"
		out[name] = c
	}
	return out
}

// failure is an error as the content of a reply.
func (s *Server) failure(err error, count int) content {
	f := s.failed(err)
	return content{"status": "error", "execution_count": count, "ename": f.Name, "evalue": f.Value, "traceback": f.Traceback}
}

// bundle is Data as the content of a message. Bytes become base64, as the protocol wants binary formats; the data
// of JSON formats stays a tree.
func bundle(d display.Data) content {
	c := content{"data": content{}, "metadata": content{}}
	if len(d.Data) > 0 {
		c["data"] = d.Data
	}
	if len(d.Metadata) > 0 {
		c["metadata"] = d.Metadata
	}
	if len(d.Transient) > 0 {
		c["transient"] = d.Transient
	}
	return c
}

// current is the request whose output it is now.
func (s *Server) current() *wire.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parent
}

// stream publishes text that was written to standard output or standard error.
func (s *Server) stream(name, text string) {
	cell, id := s.current(), ""
	if cell != nil {
		id = cell.Header.ID
	}
	if text = s.fold.take(id, name, text); text != "" {
		s.publish(cell, "stream", content{"name": name, "text": text})
	}
}

// Display shows something below the running cell. What was printed before it comes before it.
func (s *Server) Display(d display.Data) error { return s.showAs("display_data", d) }

// Update changes something shown before.
func (s *Server) Update(d display.Data) error { return s.showAs("update_display_data", d) }

func (s *Server) showAs(kind string, d display.Data) error {
	c := bundle(d)
	if c["transient"] == nil {
		c["transient"] = content{}
	}
	if _, err := json.Marshal(c); err != nil {
		return fmt.Errorf("this cannot be sent to the notebook: %w", err)
	}
	s.output.drain()
	s.publish(s.current(), kind, c)
	return nil
}

// Clear empties the output of the running cell.
func (s *Server) Clear(wait bool) error {
	s.output.drain()
	s.publish(s.current(), "clear_output", content{"wait": wait})
	return nil
}

// Input asks the reader for a line.
func (s *Server) Input(prompt string, password bool) (string, error) {
	s.mu.Lock()
	allow, parent, running := s.allow, s.parent, s.running
	s.mu.Unlock()
	if !allow {
		return "", errors.New("this front end takes no input (allow_stdin is off): set the value in a cell")
	}
	s.output.drain()
	select {
	case <-s.answers: // of a question that nobody waits for any more
	default:
	}
	s.reply(s.stdin, parent, "input_request", content{"prompt": prompt, "password": password})
	select {
	case line := <-s.answers:
		return line, nil
	case <-running.Done():
		return "", context.Canceled
	case <-s.ended.Done():
		return "", context.Canceled
	}
}

func (s *Server) fromStdin(m *wire.Message) {
	var r struct {
		Value string `json:"value"`
	}
	if err := decode(m, &r); err != nil {
		s.logf("%v", err)
		return
	}
	select {
	case s.answers <- r.Value:
	default:
	}
}
