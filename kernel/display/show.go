package display

import (
	"errors"
	"strconv"
	"sync"
)

// A Frontend is where things are shown; the kernel is one.
type Frontend interface {
	Display(d Data) error
	Update(d Data) error // d.Transient holds the display_id of what is to change
	Clear(wait bool) error
	Input(prompt string, password bool) (string, error)
}

var frontend struct {
	sync.Mutex
	current Frontend
	handles int
}

// Connect says where things are shown from now on; nil means nowhere.
func Connect(f Frontend) {
	frontend.Lock()
	frontend.current = f
	frontend.Unlock()
}

var errNoFrontend = errors.New("there is no notebook to show this in: run it in a cell")

func connected() (Frontend, error) {
	frontend.Lock()
	defer frontend.Unlock()
	if frontend.current == nil {
		return nil, errNoFrontend
	}
	return frontend.current, nil
}

// Show shows a value below the cell, now.
func Show(value interface{}) error {
	f, err := connected()
	if err != nil {
		return err
	}
	return f.Display(Auto(value))
}

// A Handle is something shown that can be changed later, in place.
type Handle struct{ id string }

// ShowHandle is Show, and returns a handle to change what was shown.
func ShowHandle(value interface{}) (Handle, error) {
	frontend.Lock()
	frontend.handles++
	h := Handle{id: "kvnotes-" + strconv.Itoa(frontend.handles)}
	frontend.Unlock()
	f, err := connected()
	if err != nil {
		return h, err
	}
	return h, f.Display(h.mark(value))
}

func (h Handle) mark(value interface{}) Data {
	d := Auto(value)
	d.Transient = MIMEMap{"display_id": h.id}
	return d
}

// Update changes what a handle shows.
func Update(h Handle, value interface{}) error {
	f, err := connected()
	if err != nil {
		return err
	}
	return f.Update(h.mark(value))
}

// Clear empties the output of the cell; with wait it does so when something new comes.
func Clear(wait bool) error {
	f, err := connected()
	if err != nil {
		return err
	}
	return f.Clear(wait)
}

// Input asks the reader for a line.
func Input(prompt string) (string, error) {
	f, err := connected()
	if err != nil {
		return "", err
	}
	return f.Input(prompt, false)
}

// Password asks the reader for a line without showing it.
func Password(prompt string) (string, error) {
	f, err := connected()
	if err != nil {
		return "", err
	}
	return f.Input(prompt, true)
}
