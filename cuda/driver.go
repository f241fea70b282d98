//go:build cuda && cgo

package cuda

/*
#include <cuda.h>
#include <stdint.h>
#include <stdlib.h>

// launch starts a kernel with its arguments one after the other, at offsets; early, while the kernel before it ends.
static CUresult launch(CUfunction f, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned shared,
	CUstream stream, int early, char *arguments, int *offsets, int n) {
	void *list[24];
	for (int i = 0; i < n; i++) list[i] = arguments + offsets[i];
	CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, .value.programmaticStreamSerializationAllowed = 1};
	CUlaunchConfig config = {.gridDimX = x, .gridDimY = y, .gridDimZ = z, .blockDimX = threads, .blockDimY = 1, .blockDimZ = 1,
		.sharedMemBytes = shared, .hStream = stream, .attrs = &attribute, .numAttrs = early};
	return cuLaunchKernelEx(&config, f, list, NULL);
}

// kvnotes_driver is part of what binaries are linked with in the place of libcuda: compat/driver.c.
int kvnotes_driver(int *there);

static CUresult begin_graph(CUstream stream) { return cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED); }

static CUresult end_graph(CUstream stream, CUgraphExec *run) {
	CUgraph graph;
	CUresult r = cuStreamEndCapture(stream, &graph);
	if (r != CUDA_SUCCESS) return r;
	r = cuGraphInstantiateWithFlags(run, graph, 0);
	cuGraphDestroy(graph);
	return r;
}
*/
import "C"

import (
	"compress/bzip2"
	"embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

//go:generate sh build.sh

//go:embed compiled
var compiled embed.FS

// A device is one GPU with the kernels loaded: memory, copies and launches, in one stream, so that what is asked first
// is done first; results alone come to the host in a second one. Its methods must be called between enter and leave.
type device struct {
	mu      sync.Mutex
	context cu.CUContext
	card    cu.Device
	stream  cu.Stream
	modules []cu.Module
	names   []map[string]bool // of the kernels of each module
	kernels map[string]function
	err     error // the first failure of a verb that returns none

	processors int            // multiprocessors
	landing    unsafe.Pointer // memory of the host that the card itself reads and writes
	half       int            // of the landing that uploads go to
	landed     int            // bytes of that half that the card may not have read yet
	read       [2]C.CUevent   // of each half, when uploads left it: the card has read it
	early      bool           // a kernel may begin while the one before it ends
	wide       bool           // the card has what the kernels of wide.cu need
	queue      queue
	narrow     narrow
	waiting    product
	results    results

	arguments [4096]byte
	offsets   [24]C.int

	memory
}

// modules are the compiled files.
var modules = []string{"dense", "attend", "decode", "flash", "wide", "cache", "press"}

func openDevice(number int) (*device, error) {
	var there C.int
	said := C.kvnotes_driver(&there)
	if err := driverFits(there != 0, int(said), cu.Version()); err != nil {
		return nil, err
	}
	count, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("cuda: the driver does not start: %w: is an NVIDIA driver installed (nvidia-smi)? The CPU backend needs none", err)
	}
	if number < 0 || number >= count {
		return nil, fmt.Errorf("cuda: there is no GPU %d: GPUs run from 0 to %d", number, count-1)
	}
	d := &device{kernels: map[string]function{}}
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
	if d.processors, err = d.card.Attribute(cu.MultiprocessorCount); err != nil {
		return nil, fmt.Errorf("cuda: GPU %d: %w", number, err)
	}
	if r := C.cuMemAllocHost(&d.landing, landingBytes); r != C.CUDA_SUCCESS {
		return nil, fmt.Errorf("cuda: no memory of the host for results (error %d)", int(r))
	}
	for i := range d.read {
		if r := C.cuEventCreate(&d.read[i], C.CU_EVENT_DISABLE_TIMING); r != C.CUDA_SUCCESS {
			return nil, fmt.Errorf("cuda: no event can be made (error %d)", int(r))
		}
	}
	if err := d.results.open(); err != nil {
		return nil, err
	}
	for _, name := range modules {
		m, err := d.load(name)
		if err != nil {
			return nil, fmt.Errorf("cuda: kernels %s: %w: this binary has no machine code for the card, and the driver is older than the PTX in it: install driver 580 or newer", name, err)
		}
		names, err := entries(name)
		if err != nil {
			return nil, fmt.Errorf("cuda: kernels %s: %w", name, err)
		}
		d.modules, d.names = append(d.modules, m), append(d.names, names)
	}
	return d, nil
}

// oldestDriver is the CUDA version that a driver must know for what is called of it, as the driver says it: 12.0. The
// PTX, which cards without machine code in this binary need, asks for 13.0.
const oldestDriver = 12000

// driverFits tells what is wrong with the driver, if there is one: what it said when it was started, and the CUDA version
// that it knows.
func driverFits(there bool, said, version int) error {
	switch {
	case !there:
		return errors.New("cuda: there is no NVIDIA driver on this machine (no libcuda.so.1): install one and see that nvidia-smi shows the GPU, or use the CPU backend, which needs none")
	case said == noDevice:
		return errors.New("cuda: the NVIDIA driver finds no GPU: see that nvidia-smi shows one and that CUDA_VISIBLE_DEVICES does not hide it, or use the CPU backend")
	case said != 0:
		return fmt.Errorf("cuda: the NVIDIA driver does not start (error %d): see whether nvidia-smi works, after a driver update the machine must be started again; the CPU backend needs no driver", said)
	case version < oldestDriver:
		return fmt.Errorf("cuda: the NVIDIA driver knows CUDA %d.%d, at least %d.%d is wanted: install driver 525 or newer, or use the CPU backend",
			version/1000, version%1000/10, oldestDriver/1000, oldestDriver%1000/10)
	}
	return nil
}

// noDevice is CUDA_ERROR_NO_DEVICE.
const noDevice = 100

// PTXVariable names the environment variable that, when it is not empty, leaves the machine code in this binary alone: the
// driver then compiles the kernels from PTX, as it does for cards that came later.
const PTXVariable = "KVNOTES_CUDA_PTX"

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
	d.early = major >= 9
	for _, arch := range []string{fmt.Sprintf("sm_%d%da", major, minor), fmt.Sprintf("sm_%d%d", major, minor), fmt.Sprintf("sm_%d0", major)} {
		if image, err := unpack(name + "." + arch + ".cubin"); err == nil && os.Getenv(PTXVariable) == "" {
			if m, err := cu.LoadData(image); err == nil {
				d.wide = d.wide || name == "wide" && arch == "sm_90a" // elsewhere its kernels are empty
				return m, nil
			}
		}
	}
	d.wide = false // its kernels are machine code only
	image, err := unpack(name + ".ptx")
	if err != nil {
		return cu.Module{}, err
	}
	return cu.LoadData(image)
}

// entries lists the kernels of a compiled file.
func entries(name string) (map[string]bool, error) {
	text, err := compiled.ReadFile("compiled/" + name + ".sum")
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, kernel := range strings.Fields(string(text))[1:] {
		names[kernel] = true
	}
	return names, nil
}

// unpack reads a compiled file.
func unpack(name string) (string, error) {
	f, err := compiled.Open("compiled/" + name + ".bz2")
	if err != nil {
		return "", err
	}
	defer f.Close()
	image, err := io.ReadAll(bzip2.NewReader(f))
	return string(image), err
}

// enter begins a piece of work behind all that was put off: the device is this goroutine's until leave.
func (d *device) enter() {
	d.lock()
	d.catchUp()
	d.settle()
}

// lock is enter for a verb that may itself be put off.
func (d *device) lock() {
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

// stopped says that the card does nothing more for this process, if that is so.
func (d *device) stopped() error {
	switch r := C.cuStreamQuery(d.cstream()); r {
	case C.CUDA_SUCCESS, C.CUDA_ERROR_NOT_READY:
		return nil
	default:
		return errStopped(int(r))
	}
}

func errStopped(number int) error {
	return fmt.Errorf("cuda: the card has stopped at earlier work (error %d): start the program again; if that does not help, see what nvidia-smi and the driver's log say of the card", number)
}

// A function is a kernel and how much shared memory it may ask for.
type function struct {
	cu.Function
	shared int
}

// kernel finds a kernel by name and lets it ask for shared memory.
func (d *device) kernel(name string, shared int) (cu.Function, error) {
	f, ok := d.kernels[name]
	for i := 0; i < len(d.modules) && !ok; i++ {
		if d.names[i][name] { // the driver takes a question in vain for an error
			found, err := d.modules[i].Function(name)
			if err != nil {
				return found, err
			}
			f, ok = function{found, 48 << 10}, true
		}
	}
	if !ok {
		return f.Function, errors.New("there is no such kernel in this binary: build it again with make cuda")
	}
	if shared > f.shared {
		if r := C.cuFuncSetAttribute(*(*C.CUfunction)(unsafe.Pointer(&f.Function)), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(shared)); r != C.CUDA_SUCCESS {
			return f.Function, fmt.Errorf("%d bytes of shared memory are more than the card has (error %d)", shared, int(r))
		}
		f.shared = shared
	}
	d.kernels[name] = f
	return f.Function, nil
}

// A size is how many blocks a launch has, how many threads each of them, and how many bytes of shared memory.
type size struct {
	x, y, z, threads, shared int
	early                    bool // begins while the kernel before it ends, and itself waits for that end
}

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
	for i, argument := range arguments {
		at = (at + 7) / 8 * 8
		d.offsets[i] = C.int(at)
		var from unsafe.Pointer
		var n uintptr
		switch v := argument.(type) {
		case cu.DevicePtr:
			from, n = unsafe.Pointer(&v), unsafe.Sizeof(v)
		case int32:
			from, n = unsafe.Pointer(&v), unsafe.Sizeof(v)
		case int64:
			from, n = unsafe.Pointer(&v), unsafe.Sizeof(v)
		case float32:
			from, n = unsafe.Pointer(&v), unsafe.Sizeof(v)
		case *shape:
			from, n = unsafe.Pointer(v), unsafe.Sizeof(*v)
		case *lens:
			from, n = unsafe.Pointer(v), unsafe.Sizeof(*v)
		case *split:
			from, n = unsafe.Pointer(v), unsafe.Sizeof(*v)
		case *starts:
			from, n = unsafe.Pointer(v), unsafe.Sizeof(*v)
		case *tensorMap:
			from, n = unsafe.Pointer(v), unsafe.Sizeof(*v)
		case *voters:
			from, n = unsafe.Pointer(v), unsafe.Sizeof(*v)
		default:
			d.fail(fmt.Errorf("cuda: kernel %s: an argument of type %T cannot be passed", name, v))
			return
		}
		copy(d.arguments[at:], unsafe.Slice((*byte)(from), n))
		at += int(n)
	}
	z, early := max(1, s.z), C.int(0)
	if s.early && d.early {
		early = 1
	}
	r := C.launch(*(*C.CUfunction)(unsafe.Pointer(&f)), C.uint(s.x), C.uint(s.y), C.uint(z), C.uint(s.threads), C.uint(s.shared),
		d.cstream(), early, (*C.char)(unsafe.Pointer(&d.arguments[0])), &d.offsets[0], C.int(len(arguments)))
	if r != C.CUDA_SUCCESS {
		d.fail(fmt.Errorf("cuda: kernel %s: launch failed with error %d", name, int(r)))
	}
}

func (d *device) cstream() C.CUstream { return *(*C.CUstream)(unsafe.Pointer(&d.stream)) }

// An exec is a graph that can be run.
type exec struct{ c C.CUgraphExec }

func (e exec) destroy() { C.cuGraphExecDestroy(e.c) }

// begin makes launches part of a graph instead, until end.
func (d *device) begin() {
	if r := C.begin_graph(d.cstream()); r != C.CUDA_SUCCESS {
		d.fail(fmt.Errorf("cuda: a graph cannot be captured (error %d)", int(r)))
	}
}

// end returns the graph, or false and keeps the failure.
func (d *device) end() (exec, bool) {
	var e exec
	if r := C.end_graph(d.cstream(), &e.c); r != C.CUDA_SUCCESS {
		d.fail(fmt.Errorf("cuda: a graph cannot be made (error %d)", int(r)))
	}
	return e, d.err == nil
}

func (d *device) start(e exec) {
	if d.err != nil {
		return
	}
	if r := C.cuGraphLaunch(e.c, d.cstream()); r != C.CUDA_SUCCESS {
		d.fail(fmt.Errorf("cuda: a graph cannot be run (error %d)", int(r)))
	}
}

// upload copies numbers to the device. They have been read when it returns: what fits lands in memory that the card reads
// itself, whenever it comes to it.
func upload[T any](d *device, to cu.DevicePtr, from []T) {
	if len(from) == 0 || d.err != nil {
		return
	}
	bytes := len(from) * int(unsafe.Sizeof(from[0]))
	source := unsafe.Pointer(&from[0])
	if bytes > landingBytes/2 {
		d.fail(cu.MemcpyHtoDAsync(to, source, int64(bytes), d.stream))
		d.wait()
		return
	}
	place := d.place(bytes)
	copy(unsafe.Slice((*byte)(place), bytes), unsafe.Slice((*byte)(source), bytes))
	d.fail(cu.MemcpyHtoDAsync(to, place, int64(bytes), d.stream))
}

// place is room in the landing. Where a half of it is full, the other one comes next, when the card has read it: so there is
// always something left for the card to do.
func (d *device) place(bytes int) unsafe.Pointer {
	if d.landed+bytes > landingBytes/2 {
		r := C.cuEventRecord(d.read[d.half], d.cstream())
		d.half, d.landed = 1-d.half, 0
		if r == C.CUDA_SUCCESS {
			r = C.cuEventSynchronize(d.read[d.half]) // one that was never recorded has happened
		}
		if r != C.CUDA_SUCCESS {
			d.fail(errStopped(int(r)))
		}
	}
	at := d.half*landingBytes/2 + d.landed
	d.landed += (bytes + 15) / 16 * 16
	return unsafe.Add(d.landing, at)
}

// wait ends when the card has done all that it was told.
func (d *device) wait() {
	d.fail(d.stream.Synchronize())
	d.landed = 0
}

// landingBytes is room for the logits of any vocabulary, and for the lists of pairs that stay in a layer.
const landingBytes = 8 << 20

// download copies numbers to the host when all work before is done: half a landing is on its way while the other half is
// taken away.
func download[T any](d *device, to []T, from cu.DevicePtr) {
	bytes := len(to) * int(unsafe.Sizeof(*new(T)))
	if bytes == 0 || d.err != nil {
		return
	}
	target := unsafe.Slice((*byte)(unsafe.Pointer(&to[0])), bytes)
	part := func(i int) int { return min(landingBytes/2, bytes-i*landingBytes/2) } // bytes of part i
	fetch := func(i int) {                                                         // behind all copies that read the landing
		if part(i) > 0 {
			d.fail(cu.MemcpyDtoHAsync(unsafe.Add(d.landing, i%2*landingBytes/2), from+cu.DevicePtr(i*landingBytes/2), int64(part(i)), d.stream))
		}
	}
	fetch(0)
	for i := 0; part(i) > 0 && d.err == nil; i++ {
		d.wait()
		fetch(i + 1)
		take(target[i*landingBytes/2:][:part(i)], unsafe.Add(d.landing, i%2*landingBytes/2))
	}
}

// take copies bytes, many of them with several processors: the first touch of memory costs more than the copy.
func take(to []byte, from unsafe.Pointer) {
	const each = 512 << 10
	source := unsafe.Slice((*byte)(from), len(to))
	tensor.Parallel((len(to)+each-1)/each, func(i int) { copy(to[i*each:min(len(to), (i+1)*each)], source[i*each:]) })
}

// gib prints a number of bytes.
func gib(n int64) string { return fmt.Sprintf("%.2f GiB", float64(n)/math.Exp2(30)) }

func (d *device) close() error {
	d.enter()
	defer d.leave()
	err := d.stream.Synchronize()
	d.results.close()
	for _, g := range d.queue.graphs {
		g.run.destroy()
	}
	d.queue = queue{}
	d.freeAll()
	C.cuMemFreeHost(d.landing)
	for _, e := range d.read {
		C.cuEventDestroy(e)
	}
	for _, m := range d.modules {
		err = errors.Join(err, m.Unload())
	}
	d.modules = nil
	err = errors.Join(err, d.stream.Destroy())
	return errors.Join(err, d.card.ReleasePrimaryCtx())
}
