package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestWrongFlags are errors that name the flag.
func TestWrongFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"--tokens -5":   {"bench", "--tokens", "-5"},
		"--decode 0":    {"bench", "--decode", "0"},
		"--sessions -1": {"bench", "--sessions", "-1"},
		"--length -1":   {"measure", "stats", "--length", "-1", "--out", t.TempDir(), "main.go"},
		"--sinks -1":    {"measure", "duo", "--sinks", "-1", "--out", t.TempDir(), "main.go"},
		"--chart x.pdf": {"eval", "--chart", "x.pdf"},
		"--chart no/x":  {"eval", "merge", "--chart", "no/x.svg", t.TempDir()},
		"no room":       {"eval", "--facts", "1", "--tokens", "5", "--samples", "1"},
		"-7 tokens":     {"eval", "efficiency", "--contexts", "-7"},
	} {
		out, err := command(args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "goroutine") {
			t.Errorf("kvnotes %v: %v\n%.500s\nwant an error with %q", args, err, out, want)
		}
	}
}

// TestInterruptWhileReading: a command that waits for a text from a terminal can be stopped.
func TestInterruptWhileReading(t *testing.T) {
	c := command("ask", "Who?")
	var said bytes.Buffer
	c.Stderr = &said
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(make([]byte, 1<<20)); err != nil { // more than a pipe holds: now it reads
		t.Fatal(err)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Kill() })
	defer stop()
	if err := c.Wait(); err == nil || !strings.Contains(said.String(), "stopped") {
		t.Errorf("%v: %s", err, &said)
	}
}
