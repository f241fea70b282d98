//go:build cuda && cgo

package cuda

import (
	"context"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// says checks that an error tells everything that it should.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, %q is expected", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestDriverFits(t *testing.T) {
	says(t, driverFits(false, noDevice, -1), "no NVIDIA driver", "libcuda.so.1", "nvidia-smi", "CPU backend")
	says(t, driverFits(true, noDevice, 13000), "finds no GPU", "CUDA_VISIBLE_DEVICES", "CPU backend")
	says(t, driverFits(true, 803, 13000), "error 803", "nvidia-smi", "started again")
	says(t, driverFits(true, 0, 11040), "CUDA 11.4", "12.0 is wanted", "driver 525")
	if err := driverFits(true, 0, 13000); err != nil {
		t.Error(err)
	}
}

// TestNoDriver runs on machines with and without a driver: a program that finds none starts all the same, and says so
// when it is asked for the device; auto takes the processor.
func TestNoDriver(t *testing.T) {
	if os.Getenv("KVNOTES_CUDA_DRIVER") == "" {
		for path, expected := range map[string]string{"/nonexistent/libcuda.so.1": "no NVIDIA driver", "libc.so.6": "does not start"} {
			c := osexec.Command(os.Args[0], "-test.run", "^TestNoDriver$", "-test.v")
			c.Env = append(os.Environ(), "KVNOTES_CUDA_DRIVER="+path, "KVNOTES_EXPECTED="+expected)
			if text, err := c.CombinedOutput(); err != nil || !strings.Contains(string(text), "--- PASS") {
				t.Errorf("%s: %v: %s", path, err, text)
			}
		}
		return
	}
	_, err := New(Options{})
	says(t, err, os.Getenv("KVNOTES_EXPECTED"), "CPU backend")
}

// TestDriverLibraries asks for libraries that are not there, and for one that is another.
func TestDriverLibraries(t *testing.T) {
	d := &device{}
	t.Setenv(BLASVariable, "/nonexistent/libcublas.so")
	_, err := openBLAS(d)
	says(t, err, BLASVariable, "/nonexistent/libcublas.so", "none")
	t.Setenv(DNNVariable, "libc.so.6")
	_, err = openDNN(d)
	says(t, err, DNNVariable, "libc.so.6", "none")
	t.Setenv(DNNVariable, "none")
	if l, err := openDNN(d); l != nil || err != nil {
		t.Errorf("none is %v, %v", l, err)
	}
}

// TestPTX lets the driver compile the kernels, as it must for a card that this binary has no machine code for.
func TestPTX(t *testing.T) {
	t.Setenv(PTXVariable, "1")
	b, err := New(Options{})
	if err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	defer b.Close()
	t.Setenv(PTXVariable, "")
	native, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer native.Close()
	if same, other := tokensOf(t, native, 400), tokensOf(t, b, 400); !slices.Equal(same, other) {
		t.Errorf("kernels from PTX answer %v, machine code %v", other, same)
	}
}

// tokensOf answers a question about some tokens, greedily.
func tokensOf(t *testing.T, b llm.Backend, n int) []int {
	t.Helper()
	m, err := llm.Load("needle", b)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.PrefillTokens(context.Background(), randomTokens(m, n), llm.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return asked(t, s)
}

func randomTokens(m *llm.LLM, n int) []int {
	r := rand.New(rand.NewPCG(7, 1))
	ids := make([]int, n)
	for i := range ids {
		ids[i] = 10 + r.IntN(m.Config.Vocabulary-10)
	}
	return ids
}

func asked(t *testing.T, s *llm.Session) []int {
	t.Helper()
	a, err := s.AskTokens(context.Background(), []int{11, 42, 17, 99}, 20, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.Tokens
}

// TestOutOfMemory takes the memory of the card until little is left: a long context is refused with numbers and a cure,
// whatever step runs out of it, and the sessions there are answer as before.
func TestOutOfMemory(t *testing.T) {
	made, err := New(Options{})
	if err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	defer made.Close()
	b := made.(*Backend)
	if _, err := b.Alloc(1<<20, 1<<20); err == nil {
		t.Error("4 TiB are given out")
	} else {
		says(t, err, "out of memory", "4096.00 GiB asked for", "free", "PrefillWith", "shorter context")
	}
	m, err := llm.Load("needle", b)
	if err != nil {
		t.Fatal(err)
	}
	m.Config.MaxPositions = 20000
	ids := randomTokens(m, 16000)
	s, err := m.PrefillTokens(context.Background(), ids[:500], llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := asked(t, s)
	refused := 0
	for _, leave := range []int64{4 << 20, 24 << 20, 48 << 20, 96 << 20} {
		release := fill(t, b, leave)
		long, err := m.PrefillTokens(context.Background(), ids, llm.Full())
		release()
		if err != nil {
			refused++
			says(t, err, "out of memory", "asked for", "free", "PrefillWith")
		} else {
			long.Close()
		}
		if got := asked(t, s); !slices.Equal(got, want) {
			t.Errorf("with %d bytes left, %v is answered afterwards, before it was %v", leave, got, want)
		}
	}
	if refused == 0 {
		t.Error("16,000 tokens never ran out of memory")
	}
	long, err := m.PrefillTokens(context.Background(), ids, llm.Full())
	if err != nil {
		t.Fatalf("with memory again: %v", err)
	}
	long.Close()
}

// fill takes the memory of the card but for so many bytes.
func fill(t *testing.T, b *Backend, leave int64) (release func()) {
	t.Helper()
	d := b.device
	d.enter()
	defer d.leave()
	d.collect()
	var taken []cu.DevicePtr
	for size := int64(64 << 30); size >= 1<<20; {
		free, _, err := cu.MemInfo()
		if err != nil {
			t.Fatal(err)
		}
		if free-size < leave {
			size /= 2
			continue
		}
		at, err := cu.MemAlloc(size)
		if err != nil {
			size /= 2
			continue
		}
		taken = append(taken, at)
	}
	return func() {
		d.enter()
		defer d.leave()
		for _, at := range taken {
			d.fail(cu.MemFree(at))
		}
	}
}
