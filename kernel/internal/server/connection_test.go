package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKernelListensOnThisMachineOnly reads connection files as front ends write them, and looks where the sockets are.
func TestKernelListensOnThisMachineOnly(t *testing.T) {
	for _, test := range []struct{ ip, key, listen, fails string }{
		{"127.0.0.1", "k", "", ""},
		{"", "k", "", ""},
		{"localhost", "", "", ""},
		{"::1", "k", "", ""},
		{"0.0.0.0", "k", "", "KVNOTES_LISTEN"},
		{"*", "k", "", "KVNOTES_LISTEN"},
		{"10.0.0.7", "k", "yes", "KVNOTES_LISTEN"},
		{"10.0.0.7", "k", "anywhere", ""},
		{"10.0.0.7", "", "anywhere", "no key"},
	} {
		t.Setenv("KVNOTES_LISTEN", test.listen)
		path := filepath.Join(t.TempDir(), "connection.json")
		if err := os.WriteFile(path, fmt.Appendf(nil, `{"ip": %q, "key": %q, "transport": "tcp", "signature_scheme": "hmac-sha256"}`, test.ip, test.key), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadConnection(path)
		if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%q with key %q: %v, want %q", test.ip, test.key, err, test.fails)
		}
	}
	s, err := New(Connection{Transport: "tcp", IP: "127.0.0.1", Key: "k"}, Options{Evaluator: &fake{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, socket := range []*socket{s.shell, s.control, s.stdin, s.iopub, s.heartbeat} {
		if at, ok := socket.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
			t.Errorf("a socket listens on %v", socket.Addr())
		}
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
	}
}
