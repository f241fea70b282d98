//go:build !windows

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A lab is JupyterLab on a folder of its own, and a page of it in Chromium.
type lab struct {
	t   *testing.T
	ctx context.Context
	bad []string // exceptions of the page
}

// openLab starts JupyterLab and opens a notebook with the given cells.
func openLab(t *testing.T, cells []string) *lab {
	t.Helper()
	python := filepath.Join(venv(t), "bin", "python")
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("NOT RUN: there is no chromium on the PATH")
	}
	dir := t.TempDir()
	writeNotebook(t, filepath.Join(dir, "test.ipynb"), cells)
	// All cells are in the page, also those that cannot be seen; nobody asks whether news are wanted.
	for plugin, setting := range map[string]string{"notebook-extension/tracker": `{"windowingMode": "none"}`, "apputils-extension/notification": `{"fetchNews": "false", "checkForUpdates": false}`} {
		path := filepath.Join(dir, "settings", "@jupyterlab", plugin+".jupyterlab-settings")
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(setting), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	server := exec.Command(python, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port="+port, "--ServerApp.port_retries=0",
		"--IdentityProvider.token=secret", "--expose-app-in-browser", "--LabApp.news_url=", "--notebook-dir="+dir)
	server.Env = append(os.Environ(), "HOME="+dir, "JUPYTER_CONFIG_DIR="+dir, "JUPYTER_RUNTIME_DIR="+filepath.Join(dir, "run"), "JUPYTERLAB_SETTINGS_DIR="+filepath.Join(dir, "settings"), "JUPYTERLAB_WORKSPACES_DIR="+filepath.Join(dir, "spaces"))
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-server.Process.Pid, syscall.SIGTERM)
		_ = server.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s", text)
		}
		log.Close()
	})
	base := "http://" + address
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if r, err := http.Get(base + "/api"); err == nil {
			r.Body.Close()
			break
		}
		if time.Since(began) > 60*time.Second {
			t.Fatal("JupyterLab did not start within a minute")
		}
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(1200, 1000), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), chromedp.UserDataDir(filepath.Join(dir, "chromium")))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, late := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(late)
	l := &lab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event interface{}) {
		if e, ok := event.(*runtime.EventExceptionThrown); ok {
			l.bad = append(l.bad, e.ExceptionDetails.Error())
		}
		if e, ok := event.(*runtime.EventConsoleAPICalled); ok && e.Type == runtime.APITypeError {
			text := "console:"
			for _, a := range e.Args {
				text += " " + string(a.Value) + a.Description
			}
			l.bad = append(l.bad, text)
		}
	})
	l.do(emulation.SetFocusEmulationEnabled(true), chromedp.Navigate(base+"/lab/tree/test.ipynb?token=secret&reset"))
	l.ready(len(cells))
	return l
}

// ready waits for a notebook of so many cells and its kernel.
func (l *lab) ready(cells int) {
	l.t.Helper()
	l.wait("the notebook is open", `window.jupyterapp && (window.panel = [...jupyterapp.shell.widgets('main')].find(w => w.sessionContext)) && document.querySelectorAll('.jp-Notebook .jp-CodeCell').length == `+fmt.Sprint(cells))
	l.do(chromedp.Click(".jp-Notebook .jp-CodeCell .cm-content"))
	l.wait("the kernel is there", `panel.sessionContext.session && panel.sessionContext.session.kernel && panel.sessionContext.session.kernel.connectionStatus == 'connected' && jupyterapp.shell.currentWidget === panel`)
}

// drag moves the slider by a share of its width.
func (l *lab) drag(share float64) {
	l.t.Helper()
	l.wait("the slider is drawn", `document.querySelector('.jupyter-widgets .noUi-handle')`)
	var at struct{ X, Y, Width float64 }
	l.value(`(() => { document.querySelector('.noUi-handle').scrollIntoView({block: 'center'}); const h = document.querySelector('.noUi-handle').getBoundingClientRect(), b = document.querySelector('.noUi-base').getBoundingClientRect(); return {X: h.x + h.width/2, Y: h.y + h.height/2, Width: b.width} })()`, &at)
	l.do(
		chromedp.MouseEvent(input.MouseMoved, at.X, at.Y),
		chromedp.MouseEvent(input.MousePressed, at.X, at.Y, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.MouseMoved, at.X+at.Width*share/2, at.Y, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.MouseMoved, at.X+at.Width*share, at.Y, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.MouseReleased, at.X+at.Width*share, at.Y, chromedp.ButtonLeft),
	)
}

func writeNotebook(t *testing.T, path string, cells []string) {
	t.Helper()
	type cell struct {
		Kind     string   `json:"cell_type"`
		ID       string   `json:"id"`
		Source   string   `json:"source"`
		Metadata struct{} `json:"metadata"`
		Outputs  []string `json:"outputs"`
		Count    *int     `json:"execution_count"`
	}
	var list []cell
	for i, source := range cells {
		list = append(list, cell{Kind: "code", ID: fmt.Sprintf("cell%d", i), Source: source, Outputs: []string{}})
	}
	text, err := json.Marshal(map[string]interface{}{
		"nbformat": 4, "nbformat_minor": 5, "cells": list,
		"metadata": map[string]interface{}{"kernelspec": map[string]string{"name": kernelName, "display_name": "Go (kvnotes)", "language": "go"}},
	})
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lab) do(actions ...chromedp.Action) {
	l.t.Helper()
	if err := chromedp.Run(l.ctx, actions...); err != nil {
		l.shot("failed")
		l.t.Fatal(err)
	}
}

// wait waits until an expression is true in the page.
func (l *lab) wait(what, expression string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.ctx, 40*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll("Boolean("+expression+")", nil, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		l.shot("failed")
		l.t.Fatalf("waiting until %s: %v", what, err)
	}
}

// value reads an expression.
func (l *lab) value(expression string, into interface{}) {
	l.t.Helper()
	l.do(chromedp.Evaluate(expression, into))
}

// shot keeps a picture of the page.
func (l *lab) shot(name string) {
	var picture []byte
	if err := chromedp.Run(l.ctx, chromedp.CaptureScreenshot(&picture)); err != nil {
		return
	}
	dir := filepath.Join("..", "..", "build", "browser")
	if err := os.MkdirAll(dir, 0o755); err == nil {
		_ = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(l.t.Name(), "/", "-")+"-"+name+".png"), picture, 0o644)
	}
}

// run starts a cell.
func (l *lab) run(cell int) {
	l.t.Helper()
	l.do(chromedp.Evaluate(fmt.Sprintf(`(async () => { const n = panel.content; n.activeCellIndex = %d; n.mode = 'command'; jupyterapp.commands.execute('notebook:run-cell') })()`, cell), nil))
}

// output is the text below a cell, as an expression.
func output(cell int) string {
	return fmt.Sprintf(`document.querySelectorAll('.jp-Notebook .jp-CodeCell')[%d].querySelector('.jp-Cell-outputArea').innerText`, cell)
}

// TestInJupyterLab does in JupyterLab what people do there.
func TestInJupyterLab(t *testing.T) {
	l := openLab(t, []string{
		`import ("fmt"; "time"; "github.com/kvnotes/kvnotes/viz/widget")
6 * 7`,
		`kept := 0
for { kept++ }`,
		`fmt.Println("kept", kept > 0)`,
		`slider := widget.NewIntSlider("pairs", 20, 0, 100)
label := widget.NewLabel("at 20")
slider.OnChange(func() { label.SetValue(fmt.Sprint("at ", slider.Value())) })
widget.NewVBox(slider, label)`,
		`bar := display.Progress(40)
for i := 0; i < 40; i++ { time.Sleep(10*time.Millisecond); bar.Add(1) }`,
		`display.Markdow`,
	})
	l.run(0)
	l.wait("42 is shown", output(0)+`.includes('42')`)

	l.run(1)
	l.wait("the endless cell runs", `panel.sessionContext.session.kernel.status == 'busy'`)
	began := time.Now()
	l.do(chromedp.Evaluate(`jupyterapp.commands.execute('notebook:interrupt-kernel'); 0`, nil))
	l.wait("the interrupt is shown", output(1)+`.toLowerCase().includes('interrupt')`)
	t.Logf("an endless cell stopped %.0f ms after the interrupt", time.Since(began).Seconds()*1e3)
	l.run(2)
	l.wait("variables are kept", output(2)+`.includes('kept true')`)

	l.run(3)
	l.drag(0.5)
	l.wait("the label follows the slider", `/at (6[5-9]|7[0-5])/.test(`+output(3)+`)`)

	l.run(4)
	l.wait("the progress bar is full", output(4)+`.includes('40 of 40')`)

	l.do(chromedp.Evaluate(`(() => { const n = panel.content; n.activeCellIndex = 5; n.mode = 'edit'; const e = n.activeCell.editor; e.focus(); e.setCursorPosition({line: 0, column: 15}) })()`, nil))
	l.do(chromedp.Evaluate(`jupyterapp.commands.execute('completer:invoke-notebook'); 0`, nil))
	l.wait("completions are offered", `document.querySelector('.jp-Completer') && document.querySelector('.jp-Completer').innerText.includes('Markdowner')`)
	l.shot("completion")
	l.do(chromedp.KeyEvent("\x1b"), chromedp.Evaluate(`(() => { const e = panel.content.activeCell.editor; e.model.sharedModel.setSource('display.HTML'); e.focus(); e.setCursorPosition({line: 0, column: 12}); jupyterapp.commands.execute('tooltip:launch-notebook') })()`, nil))
	l.wait("the documentation is shown", `document.querySelector('.jp-Tooltip') && document.querySelector('.jp-Tooltip').innerText.includes('HTML')`)
	l.shot("tooltip")
	l.do(chromedp.Evaluate(`jupyterapp.commands.execute('docmanager:save'); 0`, nil))
	l.wait("the notebook is saved", `!panel.context.model.dirty`)
	l.do(chromedp.Reload())
	l.ready(6)
	l.wait("the widgets are back with what they showed", `document.querySelector('.noUi-handle') && /at (6[5-9]|7[0-5])/.test(`+output(3)+`)`)
	l.drag(-0.5)
	l.wait("and work", `/at (1[5-9]|2[0-5])/.test(`+output(3)+`)`)
	if len(l.bad) > 0 {
		t.Errorf("the page reports %s", strings.Join(l.bad, "\n"))
	}
}
