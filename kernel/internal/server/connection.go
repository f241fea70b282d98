package server

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
)

// A Connection is what Jupyter's connection file says: where to listen, and the key that signs messages.
type Connection struct {
	Transport string `json:"transport"`
	IP        string `json:"ip"`
	Shell     int    `json:"shell_port"`
	IOPub     int    `json:"iopub_port"`
	Stdin     int    `json:"stdin_port"`
	Control   int    `json:"control_port"`
	Heartbeat int    `json:"hb_port"`
	Key       string `json:"key"`
	Scheme    string `json:"signature_scheme"`
}

// anywhere is the value of KVNOTES_LISTEN that lets a kernel listen beyond its own machine.
const anywhere = "anywhere"

// ReadConnection reads a connection file. Whoever reaches a kernel and knows its key runs programs, and messages are signed
// but not secret: an address that is not of this machine alone is refused, unless KVNOTES_LISTEN=anywhere says that the
// network is trusted, as gateways do whose kernels run on other machines; and always without a key.
func ReadConnection(path string) (Connection, error) {
	var c Connection
	text, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("connection file: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("connection file %s: %w", path, err)
	}
	if c.Key != "" && c.Scheme != "" && c.Scheme != "hmac-sha256" {
		return c, fmt.Errorf("connection file %s: signature scheme %q is not supported (supported: hmac-sha256)", path, c.Scheme)
	}
	if c.Transport == "" {
		c.Transport = "tcp"
	}
	if c.Transport != "tcp" && c.Transport != "ipc" {
		return c, fmt.Errorf("connection file %s: transport %q is not supported (supported: tcp, ipc)", path, c.Transport)
	}
	if c.Transport == "ipc" {
		return c, nil
	}
	if c.IP == "" {
		c.IP = "127.0.0.1"
	}
	if ip := net.ParseIP(c.IP); c.IP == "localhost" || ip != nil && ip.IsLoopback() {
		return c, nil
	}
	if os.Getenv("KVNOTES_LISTEN") != anywhere {
		return c, fmt.Errorf("connection file %s: others than this machine could reach a kernel at %s: start Jupyter with 127.0.0.1 or --transport ipc, or set KVNOTES_LISTEN=%s if the network is trusted", path, c.IP, anywhere)
	}
	if c.Key == "" {
		return c, fmt.Errorf("connection file %s: anybody could run programs in a kernel at %s that has no key", path, c.IP)
	}
	return c, nil
}

// address is where the socket with a port listens.
func (c Connection) address(port int) string {
	if c.Transport == "ipc" {
		return fmt.Sprintf("ipc://%s-%d", c.IP, port)
	}
	return fmt.Sprintf("tcp://%s:%d", c.IP, port)
}
