package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// memory is what this program takes, in bytes: "VmRSS" for now, "VmHWM" for the most since forgetPeak. 0 where the
// system does not say.
func memory(kind string) int64 { return procKilobytes("/proc/self/status", kind) << 10 }

// forgetPeak lets the system count the peak of memory anew.
func forgetPeak() {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) // where there is none, memory is 0 too
}

// settledMemory is the memory taken once what is not needed any more is given back.
func settledMemory() int64 {
	debug.FreeOSMemory()
	return memory("VmRSS")
}

// procKilobytes reads a line such as "VmRSS:   1234 kB" of a file of the system.
func procKilobytes(path, key string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, key+": %d kB", &kib); n == 1 {
			return kib
		}
	}
	return 0
}
