// What all kernels share: what is passed to them, the two kinds of stored numbers, sums, and the tensor cores.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

typedef __nv_bfloat16 bf16;

// PAIRS is how many pairs a page holds: its keys (PAIRS, dim), then its values.
constexpr int PAIRS = 64;

// HEADS is the largest number of KV heads.
constexpr int HEADS = 64;

// Lens are the numbers of pairs of each head before the new tokens.
struct Lens {
  int of[HEADS];
};

struct Shape {
  int heads, kvHeads, dim, tokens, room, window; // room: pages that a row of the table has place for
  float scale;
};

// Place is where the pairs of one layer lie, in memory of the device: a captured graph reads it anew for every token.
struct Place {
  bf16 **table;
  int room, position; // position: of the new token
  Lens lens;
};

// A kernel that is started early begins while the one before it ends; it touches nothing that one wrote until waited.
__device__ inline void waited() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// next lets the kernel behind this one begin.
__device__ inline void next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ inline float number(float x) { return x; }
__device__ inline float number(bf16 x) { return __bfloat162float(x); }

__device__ inline float number(__half x) { return __half2float(x); }

template <typename T> __device__ inline T stored(float x);
template <> __device__ inline float stored<float>(float x) { return x; }
template <> __device__ inline bf16 stored<bf16>(float x) { return __float2bfloat16_rn(x); }

// load8 reads 8 numbers that lie together at a multiple of 16 bytes.
__device__ inline void load8(float *x, const float *p) {
  float4 a = reinterpret_cast<const float4 *>(p)[0], b = reinterpret_cast<const float4 *>(p)[1];
  x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

__device__ inline void spread(float *x, uint4 v) {
  x[0] = __uint_as_float(v.x << 16), x[1] = __uint_as_float(v.x & 0xffff0000u);
  x[2] = __uint_as_float(v.y << 16), x[3] = __uint_as_float(v.y & 0xffff0000u);
  x[4] = __uint_as_float(v.z << 16), x[5] = __uint_as_float(v.z & 0xffff0000u);
  x[6] = __uint_as_float(v.w << 16), x[7] = __uint_as_float(v.w & 0xffff0000u);
}

// spreadAs is spread for 8 numbers of a kind.
template <typename T> __device__ inline void spreadAs(float *x, uint4 v);
template <> __device__ inline void spreadAs<bf16>(float *x, uint4 v) { spread(x, v); }
template <> __device__ inline void spreadAs<__half>(float *x, uint4 v) {
  const __half2 *p = reinterpret_cast<const __half2 *>(&v);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float2 y = __half22float2(p[i]);
    x[2 * i] = y.x, x[2 * i + 1] = y.y;
  }
}

__device__ inline void load8(float *x, const __half *p) { spreadAs<__half>(x, *reinterpret_cast<const uint4 *>(p)); }
__device__ inline void load8(float *x, const bf16 *p) { spread(x, *reinterpret_cast<const uint4 *>(p)); }

__device__ inline float warpSum(float x) {
  for (int i = 16; i > 0; i /= 2) x += __shfl_xor_sync(~0u, x, i);
  return x;
}

// blockSum adds x over a block of up to 1024 threads; all threads get the sum.
__device__ inline float blockSum(float x) {
  __shared__ float part[32];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = (blockDim.x + 31) / 32;
  x = warpSum(x);
  __syncthreads();
  if (lane == 0) part[warp] = x;
  __syncthreads();
  x = lane < warps ? part[lane] : 0;
  return warpSum(x);
}

__device__ inline unsigned shared(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

// copy16 fetches 16 bytes to shared memory; commit ends a group of such copies, and arrived waits until no more than so
// many groups are still on their way.
__device__ inline void copy16(void *to, const void *from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared(to)), "l"(from));
}
__device__ inline void commit() { asm volatile("cp.async.commit_group;"); }
template <int GROUPS> __device__ inline void arrived() { asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS)); }

// matrices loads four 8 x 8 matrices; each lane names a row. turned loads them transposed.
__device__ inline void matrices(unsigned *x, const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(shared(row)));
}
__device__ inline void turned(unsigned *x, const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(shared(row)));
}

// product is c (16, 8) += a (16, 16) · b (16, 8), over a warp.
__device__ inline void product(float *c, const unsigned *a, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// product16 is product of float16 numbers.
__device__ inline void product16(float *c, const unsigned *a, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline unsigned pack16(float low, float high) {
  __half2 x = __floats2half2_rn(low, high);
  return *reinterpret_cast<unsigned *>(&x);
}

__device__ inline unsigned pack(float low, float high) {
  __nv_bfloat162 x = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<unsigned *>(&x);
}

// Pages of few bits. The two lowest bits of a page's address in a table say how its numbers are stored: as they are, or
// as whole steps above the lowest number, in 8 bits or 4, or as floating-point numbers of 8 bits (E4M3) times a step.
// Keys have a lowest number and a step for every channel and 32 pairs, values for every pair, as on the processor. Such
// a page has the codes of its keys, those of its values, the lowest numbers of both, and the steps of both.
enum { PLAIN, STEPS8, STEPS4, FLOAT8 };
constexpr int GROUP = 32;

__device__ inline int coding(const void *page) { return (size_t)page & 3; }
__device__ inline char *address(const void *page) { return (char *)((size_t)page & ~(size_t)3); }
__host__ __device__ inline int codeBytes(int numbers, int coding) { return coding == STEPS4 ? numbers / 2 : numbers; }
__host__ __device__ inline int packedBytes(int dim, int coding) {
  return (2 * codeBytes(PAIRS * dim, coding) + (PAIRS / GROUP * dim + PAIRS) * 6 + 15) / 16 * 16;
}

// Steps are the lowest numbers and the steps of a page's keys or values.
struct Steps {
  float *low;
  uint16_t *step;
};

__device__ inline Steps steps(char *page, int dim, int coding, bool values) {
  float *low = (float *)(page + 2 * codeBytes(PAIRS * dim, coding));
  uint16_t *step = (uint16_t *)(low + PAIRS / GROUP * dim + PAIRS);
  int skip = values ? PAIRS / GROUP * dim : 0;
  return {low + skip, step + skip};
}

__device__ inline float stepOf(uint16_t bits) { return __uint_as_float((unsigned)bits << 15); }

// e4m3 reads a floating-point number of 8 bits.
__device__ inline float e4m3(unsigned code) {
  float x = __uint_as_float((code & 127) << 20) * 0x1p120f;
  return code & 128 ? -x : x;
}

// unpack8 reads 8 numbers of a row of a page of few bits, from a channel on.
__device__ inline void unpack8(float *x, char *page, int dim, int coding, bool values, int row, int channel) {
  Steps s = steps(page, dim, coding, values);
  int at = values ? row : row / GROUP * dim + channel, one = values ? 0 : 1;
  const char *codes = page + codeBytes((values ? PAIRS * dim : 0) + row * dim + channel, coding);
  uint2 c = make_uint2(*(const unsigned *)codes, coding == STEPS4 ? 0 : *(const unsigned *)(codes + 4));
#pragma unroll
  for (int i = 0; i < 8; i++) {
    unsigned code = coding == STEPS4 ? c.x >> 4 * i & 15 : (i < 4 ? c.x : c.y) >> 8 * (i % 4) & 255;
    float step = stepOf(s.step[at + i * one]);
    x[i] = coding == FLOAT8 ? step * e4m3(code) : s.low[at + i * one] + step * code;
  }
}

// codes8 are the codes of 8 numbers as float16 numbers, a 256th of each.
__device__ inline uint4 codes8(const char *codes, int coding) {
  uint2 c;
  if (coding == STEPS4) {
    unsigned low = *reinterpret_cast<const unsigned *>(codes) & 0x0f0f0f0f, high = *reinterpret_cast<const unsigned *>(codes) >> 4 & 0x0f0f0f0f;
    c = make_uint2(__byte_perm(low, high, 0x5140), __byte_perm(low, high, 0x7362));
  } else
    c = *reinterpret_cast<const uint2 *>(codes);
  unsigned x[4] = {c.x, c.x, c.y, c.y};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (coding == FLOAT8) {
      unsigned wide = __byte_perm(x[i], 0, i % 2 ? 0x3424 : 0x1404);
      x[i] = wide & 0x80008000 | (wide & 0x7f007f00) >> 1;
    } else { // 4 and the code behind the point, less 4
      unsigned wide = __byte_perm(x[i], 0x44444444, i % 2 ? 0x4342 : 0x4140);
      __half2 y = __hsub2(*reinterpret_cast<__half2 *>(&wide), __float2half2_rn(4));
      x[i] = *reinterpret_cast<unsigned *>(&y);
    }
  }
  return make_uint4(x[0], x[1], x[2], x[3]);
}
