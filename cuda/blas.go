//go:build cuda && cgo

package cuda

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

// What is used of cuBLAS. Its numbers are fixed: they are part of its binary interface.
typedef int (*make)(void **);
typedef int (*end)(void *);
typedef int (*use)(void *, void *);
typedef int (*gemm)(void *, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int,
	const void *, void *, int, int, int, int);
enum { FLOAT32 = 0, FLOAT16 = 2, BFLOAT16 = 14, COMPUTE_32F = 68, DEFAULT = -1 };

typedef struct { void *library, *handle; gemm product; end destroy; } blas;

// open_blas finds cuBLAS by name; 0 when it is there and works.
static int open_blas(blas *b, const char *name, void *stream) {
	b->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!b->library) return 1;
	make create = (make)dlsym(b->library, "cublasCreate_v2");
	use set = (use)dlsym(b->library, "cublasSetStream_v2");
	b->product = (gemm)dlsym(b->library, "cublasGemmEx");
	b->destroy = (end)dlsym(b->library, "cublasDestroy_v2");
	if (!create || !set || !b->product || !b->destroy) return 1;
	return create(&b->handle) || set(b->handle, stream);
}

// products: rows lie one after the other, which to cuBLAS, whose columns do, is dstᵀ = (wᵀ)ᵀ · xᵀ.
static int blas_product(blas *b, size_t dst, int kind, size_t x, size_t w, int from, int rows, int out, int in, float keep) {
	float one = 1;
	return b->product(b->handle, 1, 0, out, rows, in, &one, (void *)w, from, in, (void *)x, from, in, &keep,
		(void *)dst, kind, out, COMPUTE_32F, DEFAULT);
}

static int close_blas(blas *b) { return b->destroy(b->handle); }
*/
import "C"

import (
	"fmt"
	"os"
	"unsafe"

	"gorgonia.org/cu"
)

// blas is cuBLAS, found at run time. It is nil where there is none.
type blas struct{ c C.blas }

// BLASVariable names the environment variable with the path of cuBLAS; "none" leaves products to our own kernel.
const BLASVariable = "KVNOTES_CUBLAS"

// openBLAS finds cuBLAS; nil where there is none. The caller holds the device.
func openBLAS(d *device) (*blas, error) {
	b := &blas{}
	found, err := d.library(BLASVariable, func(name *C.char, stream unsafe.Pointer) C.int { return C.open_blas(&b.c, name, stream) },
		"libcublas.so.13", "libcublas.so.12", "libcublas.so")
	if !found {
		return nil, err
	}
	return b, nil
}

// library opens the library that an environment variable names the path of, or else the first of the names that is there
// and works; "none" opens nothing. A library that is named must work.
func (d *device) library(variable string, open func(name *C.char, stream unsafe.Pointer) C.int, names ...string) (bool, error) {
	named := os.Getenv(variable)
	if named == "none" {
		return false, nil
	} else if named != "" {
		names = []string{named}
	}
	for _, name := range names {
		c := C.CString(name)
		failed := open(c, *(*unsafe.Pointer)(unsafe.Pointer(&d.stream)))
		C.free(unsafe.Pointer(c))
		if failed == 0 {
			return true, nil
		}
	}
	if named == "" {
		return false, nil
	}
	why := "it does not start, or is too old"
	if text := C.dlerror(); text != nil {
		why = C.GoString(text)
	}
	return false, fmt.Errorf("cuda: %s names %s: %s: name another file, or none", variable, named, why)
}

// product is dst (rows, out), of kind k, = x (rows, in) · wᵀ, both of kind from, of 16 bits; add adds it to what is there.
func (b *blas) product(dst cu.DevicePtr, k kind, x, w cu.DevicePtr, from kind, rows, out, in int, add bool) error {
	forms := map[kind]C.int{single: C.FLOAT32, half: C.BFLOAT16, float16: C.FLOAT16}
	keep := C.float(0)
	if add {
		keep = 1
	}
	if r := C.blas_product(&b.c, C.size_t(dst), forms[k], C.size_t(x), C.size_t(w), forms[from], C.int(rows), C.int(out), C.int(in), keep); r != 0 {
		return fmt.Errorf("cuda: cuBLAS: product of (%d, %d) by (%d, %d): error %d: %s=none leaves it out", rows, in, out, in, int(r), BLASVariable)
	}
	return nil
}

func (b *blas) close() {
	if b != nil {
		C.close_blas(&b.c)
	}
}
