package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/kvnotes/kvnotes/kernel/display"
	"github.com/kvnotes/kvnotes/viz/widget"
)

func nothing(f func()) func(context.Context) (display.Data, bool, error) {
	return func(context.Context) (display.Data, bool, error) {
		f()
		return display.Data{}, false, nil
	}
}

func TestOutputIsWholeAndInOrder(t *testing.T) {
	var cell atomic.Int64
	k := serve(t, &fake{cells: map[string]func(context.Context) (display.Data, bool, error){
		"mixed": func(context.Context) (display.Data, bool, error) {
			round := int(cell.Load())
			fmt.Print("go ", round, "\n")
			writeToDescriptor(1, fmt.Sprintf("c %d\n", round))
			if err := display.Show(display.HTML("<b>shown</b>")); err != nil {
				return display.Data{}, false, err
			}
			for i := range round % 7 {
				fmt.Println("after", i)
			}
			writeToDescriptor(2, fmt.Sprintf("error %d", round))
			written := make(chan bool)
			go func() { fmt.Print("goroutine\n"); close(written) }()
			<-written
			return display.MakeData("text/plain", "value"), true, nil
		},
	}})
	k.subscribe()
	cells := 1000
	if testing.Short() {
		cells = 50
	}
	for round := range cells {
		cell.Store(int64(round))
		reply, kinds, bodies := k.execute("mixed")
		if reply["status"] != "ok" || reply["execution_count"] != float64(round+1) {
			t.Fatalf("cell %d: the reply is %v", round, reply)
		}
		if kinds[0] != "execute_input" || kinds[len(kinds)-1] != "execute_result" {
			t.Fatalf("cell %d: published %v", round, kinds)
		}
		streams := map[string]string{}
		for i, kind := range kinds {
			switch kind {
			case "stream":
				streams[bodies[i]["name"].(string)] += bodies[i]["text"].(string)
			case "display_data":
				streams["stdout"] += "<shown>\n"
			}
		}
		want := fmt.Sprintf("go %d\nc %d\n<shown>\n", round, round)
		for i := range round % 7 {
			want += fmt.Sprintf("after %d\n", i)
		}
		want += "goroutine\n"
		if streams["stdout"] != want || streams["stderr"] != fmt.Sprintf("error %d", round) {
			t.Fatalf("cell %d: stdout %q, stderr %q, want %q", round, streams["stdout"], streams["stderr"], want)
		}
	}
}

func TestManySmallWritesBecomeFewMessages(t *testing.T) {
	k := serve(t, &fake{cells: map[string]func(context.Context) (display.Data, bool, error){
		"lines": nothing(func() {
			for i := range 20000 {
				fmt.Println(i, "é")
			}
		}),
	}})
	k.subscribe()
	_, kinds, bodies := k.execute("lines")
	all := ""
	for _, b := range bodies {
		text, _ := b["text"].(string)
		all += text
	}
	if n := strings.Count(all, "é\n"); n != 20000 || strings.Contains(all, "\uFFFD") {
		t.Errorf("%d of 20000 lines arrive", n)
	}
	if len(kinds) > 200 {
		t.Errorf("20000 lines are %d messages", len(kinds))
	}
}

// TestEveryRequestIsAnswered compares the table of handlers with the protocol's list.
func TestEveryRequestIsAnswered(t *testing.T) {
	k := serve(t, &fake{})
	k.subscribe()
	requests := map[string]struct {
		body content
		want []string // fields of the reply
	}{
		"kernel_info_request": {content{}, []string{"protocol_version"}},
		"complete_request":    {content{"code": "pri", "cursor_pos": 3}, []string{"matches", "cursor_start", "cursor_end", "metadata"}},
		"inspect_request":     {content{"code": "x", "cursor_pos": 1, "detail_level": 0}, []string{"found", "data", "metadata"}},
		"is_complete_request": {content{"code": "open"}, []string{"indent"}},
		"history_request":     {content{"hist_access_type": "tail", "n": 3, "output": false, "raw": true}, []string{"history"}},
		"comm_info_request":   {content{}, []string{"comms"}},
		"connect_request":     {content{}, []string{"shell_port", "iopub_port", "stdin_port", "hb_port", "control_port"}},
		"interrupt_request":   {content{}, nil},
	}
	for kind, r := range requests {
		for name, on := range map[string]zmq4.Socket{"shell": k.shell, "control": k.control} {
			id := k.send(on, kind, r.body)
			m, body := k.next(on, id)
			if want := strings.Replace(kind, "_request", "_reply", 1); m.Header.Type != want || body["status"] != "ok" && kind != "is_complete_request" {
				t.Errorf("%s on %s: answered by %s %v", kind, name, m.Header.Type, body)
			}
			for _, field := range r.want {
				if _, ok := body[field]; !ok {
					t.Errorf("%s on %s: the reply has no %s: %v", kind, name, field, body)
				}
			}
			k.published(id) // from busy to idle
		}
	}
	for kind := range handlers {
		if _, ok := requests[kind]; !ok && kind != "shutdown_request" {
			t.Errorf("%s is not tried here", kind)
		}
	}
	if _, body := k.next(k.shell, k.send(k.shell, "history_request", content{"hist_access_type": "nonsense"})); body["status"] != "error" {
		t.Errorf("a nonsensical history request is answered by %v", body)
	}
	// What is unknown or broken is answered by silence, and the server lives.
	k.send(k.shell, "nonsense_request", content{})
	for _, frames := range [][][]byte{{[]byte("x")}, {[]byte("<IDS|MSG>")}, {[]byte("<IDS|MSG>"), []byte("00"), []byte("{}"), []byte("{}"), []byte("{}"), []byte("{}")}} {
		if err := k.shell.SendMulti(zmq4.NewMsgFrom(frames...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.hb.Send(zmq4.NewMsgString("beat")); err != nil {
		t.Fatal(err)
	}
	if m, err := k.hb.Recv(); err != nil || string(m.Bytes()) != "beat" {
		t.Errorf("the heartbeat is %v, %v", m, err)
	}
	k.next(k.shell, k.send(k.shell, "kernel_info_request", content{}))
}

func TestFirstOutputWaitsForTheSubscriber(t *testing.T) {
	k := serve(t, &fake{cells: map[string]func(context.Context) (display.Data, bool, error){"say": nothing(func() { fmt.Println("early") })}})
	id := k.send(k.shell, "execute_request", content{"code": "say"})
	late := time.AfterFunc(200*time.Millisecond, k.subscribe)
	defer late.Stop()
	k.next(k.shell, id)
	if _, bodies := k.published(id); len(bodies) != 2 || bodies[1]["text"] != "early\n" {
		t.Errorf("published %v", bodies)
	}
}

func TestInterruptAbortAndErrors(t *testing.T) {
	started := make(chan bool, 1)
	f := &fake{left: "left behind"}
	f.cells = map[string]func(context.Context) (display.Data, bool, error){
		"endless": func(ctx context.Context) (display.Data, bool, error) {
			started <- true
			<-ctx.Done()
			return display.Data{}, false, ctx.Err()
		},
		"fine": nothing(func() {}),
		"fail": func(context.Context) (display.Data, bool, error) {
			return display.Data{}, false, errors.New("on purpose")
		},
		"panic": nothing(func() { panic("in the evaluator") }),
	}
	k := serve(t, f)
	k.subscribe()

	running := k.send(k.shell, "execute_request", content{"code": "endless"})
	waiting := k.send(k.shell, "execute_request", content{"code": "fine"})
	<-started
	// Completion does not wait for the cell.
	k.next(k.shell, k.send(k.shell, "complete_request", content{"code": "x", "cursor_pos": 1}))
	k.next(k.control, k.send(k.control, "interrupt_request", content{}))
	if _, body := k.next(k.shell, running); body["status"] != "error" {
		t.Errorf("the interrupted cell is answered by %v", body)
	}
	if _, body := k.next(k.shell, waiting); body["status"] != "aborted" {
		t.Errorf("the cell behind it is answered by %v", body)
	}
	for _, code := range []string{"fail", "panic"} {
		reply, kinds, bodies := k.execute(code)
		trace, _ := reply["traceback"].([]interface{})
		if reply["status"] != "error" || len(trace) == 0 || !slices.Contains(kinds, "error") || bodies[len(bodies)-1]["evalue"] != reply["evalue"] {
			t.Errorf("%s: the reply is %v, published %v", code, reply, bodies)
		}
	}
	if reply, _, _ := k.execute("fine"); reply["status"] != "ok" {
		t.Errorf("after errors: %v", reply)
	}
	// stop_on_error false lets what waits run.
	k.send(k.shell, "execute_request", content{"code": "fail", "stop_on_error": false})
	if _, body := k.next(k.shell, k.send(k.shell, "execute_request", content{"code": "fine"})); body["status"] != "ok" {
		t.Errorf("after an error that is to be ignored: %v", body)
	}
	// Interrupting an idle kernel says what could not be stopped.
	k.next(k.control, k.send(k.control, "interrupt_request", content{}))
	for {
		if m, body := k.next(k.iopub, ""); m.Header.Type == "stream" {
			if body["text"] != "left behind\n" {
				t.Errorf("an idle interrupt says %v", body)
			}
			break
		}
	}
}

func TestExecuteOptions(t *testing.T) {
	value := func(context.Context) (display.Data, bool, error) {
		return display.MakeData("text/plain", "42"), true, nil
	}
	k := serve(t, &fake{cells: map[string]func(context.Context) (display.Data, bool, error){"value": value}})
	k.subscribe()
	id := k.send(k.shell, "execute_request", content{"code": "value", "silent": true})
	_, body := k.next(k.shell, id)
	if kinds, _ := k.published(id); len(kinds) != 0 || body["execution_count"] != float64(0) {
		t.Errorf("a silent cell publishes %v and counts %v", kinds, body["execution_count"])
	}
	id = k.send(k.shell, "execute_request", content{"code": "value", "store_history": false, "user_expressions": content{"good": "value", "bad": "nonsense"}})
	_, body = k.next(k.shell, id)
	expressions := body["user_expressions"].(content)
	if good, bad := expressions["good"].(content), expressions["bad"].(content); good["status"] != "ok" || bad["status"] != "error" {
		t.Errorf("user expressions are %v", expressions)
	}
	k.execute("value")
	if _, body = k.next(k.shell, k.send(k.shell, "history_request", content{"hist_access_type": "range", "start": 0, "stop": 10})); len(body["history"].([]interface{})) != 1 {
		t.Errorf("the history is %v", body["history"])
	}
	if reply, _, _ := k.execute("name?"); !strings.Contains(fmt.Sprint(reply["payload"]), "about name") {
		t.Errorf("the page about a name is %v", reply["payload"])
	}
}

func TestInput(t *testing.T) {
	got := make(chan string, 1)
	k := serve(t, &fake{cells: map[string]func(context.Context) (display.Data, bool, error){
		"ask": func(context.Context) (display.Data, bool, error) {
			line, err := display.Input("name? ")
			got <- line
			return display.Data{}, false, err
		},
	}})
	k.subscribe()
	id := k.send(k.shell, "execute_request", content{"code": "ask", "allow_stdin": true})
	_, body := k.next(k.stdin, id)
	if body["prompt"] != "name? " || body["password"] != false {
		t.Errorf("the reader is asked %v", body)
	}
	k.send(k.stdin, "input_reply", content{"value": "Gopher"})
	if line := <-got; line != "Gopher" {
		t.Errorf("the cell gets %q", line)
	}
	k.next(k.shell, id)
	id = k.send(k.shell, "execute_request", content{"code": "ask", "allow_stdin": false})
	if _, body := k.next(k.shell, id); body["status"] != "error" {
		t.Errorf("without a reader: %v", body)
	}
	<-got
	id = k.send(k.shell, "execute_request", content{"code": "ask", "allow_stdin": true})
	k.next(k.stdin, id)
	k.next(k.control, k.send(k.control, "interrupt_request", content{}))
	if _, body := k.next(k.shell, id); body["status"] != "error" {
		t.Errorf("an interrupted question is answered by %v", body)
	}
}

func TestWidgetsHearOfTheReader(t *testing.T) {
	slider := widget.NewIntSlider("n", 0, 0, 1000)
	heard := make(chan int, 1000)
	hold := make(chan bool)
	k := serve(t, &fake{cells: map[string]func(context.Context) (display.Data, bool, error){
		"slider": func(context.Context) (display.Data, bool, error) {
			slider.OnChange(func() { heard <- slider.Value() })
			return display.Data{Data: slider.SimpleRender()}, true, nil
		},
		"hold": nothing(func() { <-hold }),
	}})
	k.subscribe()
	_, kinds, _ := k.execute("slider")
	if !slices.Equal(kinds, []string{"execute_input", "comm_open", "comm_open", "comm_open", "execute_result"}) { // with its layout and style
		t.Fatalf("published %v", kinds)
	}
	id, err := slider.ModelID()
	if err != nil {
		t.Fatal(err)
	}
	// While a cell runs the slider is dragged: nothing is heard, then the last value only.
	busy := k.send(k.shell, "execute_request", content{"code": "hold"})
	last := ""
	for v := 1; v <= 100; v++ {
		last = k.send(k.shell, "comm_msg", content{"comm_id": id, "data": content{"method": "update", "state": content{"value": v}}})
	}
	k.next(k.shell, k.send(k.shell, "comm_info_request", content{"target_name": "jupyter.widget"})) // all have arrived
	if len(heard) != 0 {
		t.Error("a callback ran beside a cell")
	}
	close(hold)
	k.next(k.shell, busy)
	k.published(last)
	if v := <-heard; v != 100 || len(heard) != 0 {
		t.Errorf("heard %d first and %d more", v, len(heard))
	}
	// A page that is loaded again asks for all states.
	k.send(k.shell, "comm_open", content{"comm_id": "page", "target_name": "jupyter.widget.control", "data": content{}})
	asked := k.send(k.shell, "comm_msg", content{"comm_id": "page", "data": content{"method": "request_states"}})
	_, bodies := k.published(asked)
	states := bodies[0]["data"].(content)["states"].(content)
	if len(states) != 3 || states[id].(content)["state"].(content)["value"] != float64(100) {
		t.Errorf("the states are %v", states)
	}
	_, body := k.next(k.shell, k.send(k.shell, "comm_info_request", content{"target_name": "jupyter.widget"}))
	if comms := body["comms"].(content); len(comms) != 3 || comms[id] == nil {
		t.Errorf("the comms are %v", comms)
	}
	// What nobody here knows is closed again.
	unknown := k.send(k.shell, "comm_open", content{"comm_id": "q", "target_name": "unknown", "data": content{}})
	if kinds, _ := k.published(unknown); !slices.Equal(kinds, []string{"comm_close"}) {
		t.Errorf("an unknown target is answered by %v", kinds)
	}
}

func TestShutdownOnControl(t *testing.T) {
	k := serve(t, &fake{cells: map[string]func(context.Context) (display.Data, bool, error){
		"endless": func(ctx context.Context) (display.Data, bool, error) {
			<-ctx.Done()
			return display.Data{}, false, ctx.Err()
		},
	}})
	k.subscribe()
	k.send(k.shell, "execute_request", content{"code": "endless"})
	if _, body := k.next(k.control, k.send(k.control, "shutdown_request", content{"restart": true})); body["restart"] != true {
		t.Errorf("the reply is %v", body)
	}
	select {
	case err := <-k.done:
		k.done <- err
	case <-time.After(patience):
		t.Error("the server goes on")
	}
}

func TestHistoryIsKept(t *testing.T) {
	name := t.TempDir() + "/sub/history"
	for session := 1; session <= 2; session++ {
		h := openHistory(name)
		for i, code := range []string{"a := 1", "b := 2", "a := 1"} {
			h.add(i+1, code)
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(name): 0o700, name: 0o600} {
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%s is not for its owner only: %v, %v", path, info.Mode(), err)
		}
	}
	h := openHistory(name)
	defer h.close()
	h.add(1, "now")
	h.add(2, "half of it is a / b, see c/d")
	for _, c := range []struct {
		ask  historyRequest
		want string
	}{
		{historyRequest{Access: "tail", N: 2}, "[[3 1 now] [3 2 half of it is a / b, see c/d]]"},
		{historyRequest{Access: "range", Session: -1, Start: 1, Stop: 3}, "[[2 1 a := 1] [2 2 b := 2]]"},
		{historyRequest{Access: "range", Session: 0, Stop: 2}, "[[3 1 now]]"},
		{historyRequest{Access: "search", Pattern: "a*", Unique: true}, "[[2 3 a := 1]]"},
		{historyRequest{Access: "search", Pattern: "b*", N: 1}, "[[2 2 b := 2]]"},
		{historyRequest{Access: "search", Pattern: "*of*/*"}, "[[3 2 half of it is a / b, see c/d]]"}, // a slash is a letter
	} {
		if got := fmt.Sprint(h.find(c.ask)); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.ask, got, c.want)
		}
	}
	// A line that a killed kernel left half is passed over.
	if err := os.WriteFile(name, []byte("{\"session\":7,\"line\":1,\"code\":\"x\"}\n{\"sess"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := openHistory(name)
	defer again.close()
	if again.session != 8 {
		t.Errorf("the session is %d", again.session)
	}
	again.add(1, "after it")
	if kept := openHistory(name); fmt.Sprint(kept.entries) != "[{7 1 x} {8 1 after it}]" {
		t.Errorf("kept is %v", kept.entries)
	}
}
