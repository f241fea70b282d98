//go:build cuda && cgo

package cuda

/*
#include <cuda.h>
#include <stdint.h>
#include <stdlib.h>

// launch starts a kernel with its arguments one after the other; sizes are their bytes.
static CUresult launch(CUfunction f, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned shared,
	CUstream stream, char *arguments, int *offsets, int n) {
	void *list[24];
	for (int i = 0; i < n; i++) list[i] = arguments + offsets[i];
	return cuLaunchKernel(f, x, y, z, threads, 1, 1, shared, stream, list, NULL);
}
*/
import "C"

import (
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"unsafe"

	"gorgonia.org/cu"
)

//go:generate sh build.sh

//go:embed compiled
var compiled embed.FS

// A device is one GPU with the kernels loaded: memory, copies and launches, in one stream, so that what is asked first
// is done first. Its methods must be called between enter and leave.
type device struct {
	mu      sync.Mutex
	context cu.CUContext
	card    cu.Device
	stream  cu.Stream
	modules []cu.Module
	kernels map[string]cu.Function
	err     error // the first failure of a verb that returns none

	arguments [4096]byte
	offsets   [24]C.int

	memory
}

// modules are the compiled files.
var modules = []string{"dense", "attend", "flash", "cache", "press"}

func openDevice(number int) (*device, error) {
	count, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("cuda: the driver does not start: %w: is an NVIDIA driver installed (nvidia-smi)? The CPU backend needs none", err)
	}
	if number < 0 || number >= count {
		return nil, fmt.Errorf("cuda: there is no GPU %d: GPUs run from 0 to %d", number, count-1)
	}
	d := &device{kernels: map[string]cu.Function{}}
	if d.card, err = cu.GetDevice(number); err != nil {
		return nil, fmt.Errorf("cuda: GPU %d: %w", number, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if d.context, err = d.card.RetainPrimaryCtx(); err != nil {
		return nil, fmt.Errorf("cuda: GPU %d: %w", number, err)
	}
	if err := cu.SetCurrentContext(d.context); err != nil {
		return nil, fmt.Errorf("cuda: GPU %d: %w", number, err)
	}
	if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return nil, fmt.Errorf("cuda: GPU %d: %w", number, err)
	}
	for _, name := range modules {
		m, err := d.load(name)
		if err != nil {
			return nil, fmt.Errorf("cuda: kernels %s: %w: the driver may be older than the PTX in this binary", name, err)
		}
		d.modules = append(d.modules, m)
	}
	return d, nil
}

// load loads the machine code for the card, or PTX where there is none.
func (d *device) load(name string) (cu.Module, error) {
	major, err := d.card.Attribute(cu.ComputeCapabilityMajor)
	if err != nil {
		return cu.Module{}, err
	}
	minor, err := d.card.Attribute(cu.ComputeCapabilityMinor)
	if err != nil {
		return cu.Module{}, err
	}
	for _, arch := range []string{fmt.Sprintf("sm_%d%da", major, minor), fmt.Sprintf("sm_%d%d", major, minor), fmt.Sprintf("sm_%d0", major)} {
		if image, err := unpack(name + "." + arch + ".cubin"); err == nil {
			if m, err := cu.LoadData(image); err == nil {
				return m, nil
			}
		}
	}
	image, err := unpack(name + ".ptx")
	if err != nil {
		return cu.Module{}, err
	}
	return cu.LoadData(image)
}

// unpack reads a compiled file.
func unpack(name string) (string, error) {
	f, err := compiled.Open("compiled/" + name + ".gz")
	if err != nil {
		return "", err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	image, err := io.ReadAll(r)
	return string(image), err
}

// enter begins a piece of work: the device is this goroutine's until leave.
func (d *device) enter() {
	d.mu.Lock()
	runtime.LockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		d.fail(err)
	}
}

func (d *device) leave() {
	runtime.UnlockOSThread()
	d.mu.Unlock()
}

// fail keeps the first failure for Read to report.
func (d *device) fail(err error) {
	if d.err == nil && err != nil {
		d.err = err
	}
}

// kernel finds a kernel by name; shared is how much shared memory it may ask for.
func (d *device) kernel(name string, shared int) (cu.Function, error) {
	if f, ok := d.kernels[name]; ok {
		return f, nil
	}
	for _, m := range d.modules {
		f, err := m.Function(name)
		if err != nil {
			continue
		}
		if shared > 48<<10 {
			if r := C.cuFuncSetAttribute(*(*C.CUfunction)(unsafe.Pointer(&f)), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(shared)); r != C.CUDA_SUCCESS {
				return f, fmt.Errorf("%d bytes of shared memory are more than the card has (error %d)", shared, int(r))
			}
		}
		d.kernels[name] = f
		return f, nil
	}
	return cu.Function{}, errors.New("there is no such kernel in this binary: build it again with make cuda")
}

// A size is how many blocks a launch has, how many threads each of them, and how many bytes of shared memory.
type size struct{ x, y, z, threads, shared int }

// launch starts a kernel. Arguments are pointers, int32, int64 and float32 numbers, and structs of int32.
func (d *device) launch(name string, s size, arguments ...interface{}) {
	if d.err != nil || s.x == 0 || s.y == 0 {
		return
	}
	f, err := d.kernel(name, s.shared)
	if err != nil {
		d.fail(fmt.Errorf("cuda: kernel %s: %w", name, err))
		return
	}
	at := 0
	put := func(p unsafe.Pointer, n int) { copy(d.arguments[at:], unsafe.Slice((*byte)(p), n)) }
	for i, argument := range arguments {
		at = (at + 7) / 8 * 8
		d.offsets[i] = C.int(at)
		n := 0
		switch v := argument.(type) {
		case cu.DevicePtr:
			n = 8
			put(unsafe.Pointer(&v), n)
		case int32:
			n = 4
			put(unsafe.Pointer(&v), n)
		case int64:
			n = 8
			put(unsafe.Pointer(&v), n)
		case float32:
			n = 4
			put(unsafe.Pointer(&v), n)
		case *shape:
			n = int(unsafe.Sizeof(*v))
			put(unsafe.Pointer(v), n)
		case *lens:
			n = int(unsafe.Sizeof(*v))
			put(unsafe.Pointer(v), n)
		case *split:
			n = int(unsafe.Sizeof(*v))
			put(unsafe.Pointer(v), n)
		case *starts:
			n = int(unsafe.Sizeof(*v))
			put(unsafe.Pointer(v), n)
		default:
			d.fail(fmt.Errorf("cuda: kernel %s: an argument of type %T cannot be passed", name, v))
			return
		}
		at += n
	}
	z := max(1, s.z)
	r := C.launch(*(*C.CUfunction)(unsafe.Pointer(&f)), C.uint(s.x), C.uint(s.y), C.uint(z), C.uint(s.threads), C.uint(s.shared),
		*(*C.CUstream)(unsafe.Pointer(&d.stream)), (*C.char)(unsafe.Pointer(&d.arguments[0])), &d.offsets[0], C.int(len(arguments)))
	if r != C.CUDA_SUCCESS {
		d.fail(fmt.Errorf("cuda: kernel %s: launch failed with error %d", name, int(r)))
	}
}

// upload copies numbers to the device. The driver has read them when it returns, if they are few; else they wait.
func upload[T any](d *device, to cu.DevicePtr, from []T) {
	if len(from) == 0 || d.err != nil {
		return
	}
	bytes := int64(len(from)) * int64(unsafe.Sizeof(from[0]))
	d.fail(cu.MemcpyHtoDAsync(to, unsafe.Pointer(&from[0]), bytes, d.stream))
	if bytes > 32<<10 {
		d.fail(d.stream.Synchronize())
	}
}

// download copies numbers to the host when all work before is done.
func download[T any](d *device, to []T, from cu.DevicePtr) {
	if len(to) == 0 || d.err != nil {
		return
	}
	d.fail(cu.MemcpyDtoHAsync(unsafe.Pointer(&to[0]), from, int64(len(to))*int64(unsafe.Sizeof(to[0])), d.stream))
	d.fail(d.stream.Synchronize())
}

// gib prints a number of bytes.
func gib(n int64) string { return fmt.Sprintf("%.2f GiB", float64(n)/math.Exp2(30)) }

func (d *device) close() error {
	d.enter()
	defer d.leave()
	err := d.stream.Synchronize()
	d.freeAll()
	for _, m := range d.modules {
		err = errors.Join(err, m.Unload())
	}
	d.modules = nil
	err = errors.Join(err, d.stream.Destroy())
	return errors.Join(err, d.card.ReleasePrimaryCtx())
}
