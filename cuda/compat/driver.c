// What a binary is linked with in the place of libcuda: it opens the driver when it starts, so that the binary runs on
// machines without one too and can say what is missing there. names.h, made by build.sh, lists the driver's functions.
#include <dlfcn.h>
#include <stdlib.h>

enum { NO_DEVICE = 100, NOT_FOUND = 500 };

static int none(void) { return NO_DEVICE; }
static int unknown(void) { return NOT_FOUND; }

// Every function jumps to where the driver has it.
#if defined(__x86_64__)
#define JUMP(f) #f ":\n jmp *found_" #f "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(f) #f ":\n adrp x16, found_" #f "\n ldr x16, [x16, :lo12:found_" #f "]\n br x16\n"
#endif
#define NAME(f) \
  static void *found_##f __attribute__((used)) = (void *)none; \
  __asm__(".text\n.globl " #f "\n.type " #f ", @function\n" JUMP(f));
#include "names.h"
#undef NAME

static int started = NO_DEVICE; // what cuInit said

// kvnotes_driver is what the driver said when it was started, 0 when all is well; library tells whether there is one.
int kvnotes_driver(int *library);
static void *library;

int kvnotes_driver(int *there) {
  *there = library != 0;
  return started;
}

// The binding of the driver ends the program when cuInit fails; the failure is told when a device is asked for.
int cuInit(unsigned flags) { return 0; }

__attribute__((constructor)) static void find(void) {
  const char *name = getenv("KVNOTES_CUDA_DRIVER");
  library = dlopen(name ? name : "libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (!library) return;
#define NAME(f) \
  if (!(found_##f = dlsym(library, #f))) found_##f = (void *)unknown;
#include "names.h"
  int (*init)(unsigned) = (int (*)(unsigned))dlsym(library, "cuInit");
  started = init ? init(0) : NOT_FOUND;
}
