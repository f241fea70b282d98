//go:build cuda && cgo

package cuda

/*
#include <cuda.h>

// send copies a result to the host in a stream of its own, once all that its kernels' stream was told is done.
static CUresult send(void *to, CUdeviceptr from, size_t bytes, CUevent made, CUevent there, CUstream kernels, CUstream copies) {
	CUresult r = cuEventRecord(made, kernels);
	if (!r) r = cuStreamWaitEvent(copies, made, 0);
	if (!r) r = cuMemcpyDtoHAsync(to, from, bytes, copies);
	if (!r) r = cuEventRecord(there, copies);
	return r;
}
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A result is room for numbers that a press asked for. Kernels write them into its memory on the device; they come to the
// host in a stream of their own, so that neither the card nor who gives it work waits for them.
type result struct {
	block                  // on the device
	host    unsafe.Pointer // as much memory of the host, which the card itself writes
	made    C.CUevent      // kernels are done with it
	there   C.CUevent      // it was copied
	arrival *arrival       // what it was last used for
}

// results are used in turn. There are two, so that a press can ask a layer while the answer of the one before is on its way.
type results struct {
	all    [2]result
	next   int
	copies C.CUstream
}

func (r *results) open() error {
	e := C.cuStreamCreate(&r.copies, C.CU_STREAM_NON_BLOCKING)
	for i := 0; i < len(r.all) && e == C.CUDA_SUCCESS; i++ {
		if e = C.cuEventCreate(&r.all[i].made, C.CU_EVENT_DISABLE_TIMING); e == C.CUDA_SUCCESS {
			e = C.cuEventCreate(&r.all[i].there, C.CU_EVENT_DISABLE_TIMING)
		}
	}
	if e != C.CUDA_SUCCESS {
		return fmt.Errorf("cuda: no stream for results (error %d)", int(e))
	}
	return nil
}

// close waits for what is on its way, so that who still waits for it gets it. Memory on the device is freed with all other.
func (r *results) close() {
	for i := range r.all {
		if a := r.all[i].arrival; a != nil {
			_, _ = a.wait() // a failure is for who asked
		}
		C.cuMemFreeHost(r.all[i].host)
		C.cuEventDestroy(r.all[i].made)
		C.cuEventDestroy(r.all[i].there)
		r.all[i] = result{}
	}
	C.cuStreamDestroy(r.copies)
}

// result is room for a matrix of zeros, until send.
func (d *device) result(rows, cols int) (*result, llm.Buf) {
	r := &d.results.all[d.results.next]
	d.results.next = (d.results.next + 1) % len(d.results.all)
	if r.arrival != nil { // nobody may ever have waited for it
		_, _ = r.arrival.wait()
		r.arrival = nil
	}
	x := llm.Buf{Rows: rows, Cols: cols}
	if bytes := int64(4 * rows * cols); bytes > r.bytes {
		d.fail(d.enlarge(r, bytes))
	}
	x.Mem = &owner{at: r.at, kind: single}
	if d.err == nil {
		d.fail(cu.MemsetD32Async(r.at, 0, int64(rows*cols), d.stream))
	}
	return r, x
}

// enlarge makes room for so many bytes.
func (d *device) enlarge(r *result, bytes int64) error {
	d.free(r.at)
	C.cuMemFreeHost(r.host)
	r.block, r.host = block{}, nil
	if e := C.cuMemAllocHost(&r.host, C.size_t(bytes)); e != C.CUDA_SUCCESS {
		r.host = nil
		return fmt.Errorf("cuda: out of memory of the host that the card can write: %s asked for (error %d): close other programs, or use a shorter context", gib(bytes), int(e))
	}
	at, err := d.alloc(bytes)
	if err == nil {
		r.block = block{at, bytes}
	}
	return err
}

// send sends a result on its way, or reports what failed before.
func (d *device) send(r *result, x llm.Buf, what string) (kvpress.Coming, error) {
	if d.err == nil {
		e := C.send(r.host, C.CUdeviceptr(r.at), C.size_t(4*x.Rows*x.Cols), r.made, r.there, d.cstream(), d.results.copies)
		if e != C.CUDA_SUCCESS {
			d.fail(fmt.Errorf("cuda: %s cannot be copied to the host (error %d)", what, int(e)))
		}
	}
	if err := d.failure(); err != nil {
		return nil, err
	}
	r.arrival = &arrival{result: r, context: d.context, rows: x.Rows, cols: x.Cols, what: what}
	return r.arrival.wait, nil
}

// An arrival is a matrix on its way to the host.
type arrival struct {
	result     *result
	context    cu.CUContext
	rows, cols int
	what       string

	once    sync.Once
	numbers tensor.Mat
	err     error
}

// wait takes the matrix from where it arrives. It needs no hold of the device.
func (a *arrival) wait() (tensor.Mat, error) {
	a.once.Do(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if a.err = cu.SetCurrentContext(a.context); a.err != nil {
			return
		}
		if e := C.cuEventSynchronize(a.result.there); e != C.CUDA_SUCCESS {
			a.err = fmt.Errorf("%s never came: %w", a.what, errStopped(int(e)))
			return
		}
		a.numbers = tensor.New(a.rows, a.cols)
		bytes := 4 * len(a.numbers.Data)
		take(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(a.numbers.Data))), bytes), a.result.host)
	})
	return a.numbers, a.err
}
