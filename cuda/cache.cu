// Moving pairs of a ragged cache.
#include "number.cuh"

// gather copies the pairs that stay, of all heads of a layer, from old pages to new ones. Starts says where the list
// of each head begins; a warp copies one pair.
struct Starts {
  int of[HEADS + 1];
};

extern "C" __global__ void gather(uint4 **to, uint4 **from, const int *keep, Starts starts, int toRoom, int fromRoom, int row) {
  int h = blockIdx.y, n = starts.of[h + 1] - starts.of[h], i = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (i >= n) return;
  int at = keep[starts.of[h] + i];
  uint4 *source = from[(size_t)h * fromRoom + at / PAIRS] + at % PAIRS * row;
  uint4 *place = to[(size_t)h * toRoom + i / PAIRS] + i % PAIRS * row;
  for (int c = threadIdx.x % 32; c < 2 * row; c += 32) { // row: 16-byte parts of a key
    int skip = c < row ? c : c - row + PAIRS * row;
    place[skip] = source[skip];
  }
}

// The pairs of one head as float32 matrices (n, dim), from a pair on: one block a pair.
template <typename T>
__device__ void unpack(float *keys, float *values, T **pages, int from, int dim) {
  int at = from + blockIdx.x;
  const T *key = pages[at / PAIRS] + at % PAIRS * dim;
  for (int i = threadIdx.x; i < dim; i += blockDim.x) {
    keys[(size_t)blockIdx.x * dim + i] = number(key[i]);
    values[(size_t)blockIdx.x * dim + i] = number(key[PAIRS * dim + i]);
  }
}

template <typename T>
__device__ void pack(T **pages, const float *keys, const float *values, int from, int dim) {
  int at = from + blockIdx.x;
  T *key = pages[at / PAIRS] + at % PAIRS * dim;
  for (int i = threadIdx.x; i < dim; i += blockDim.x) {
    key[i] = stored<T>(keys[(size_t)blockIdx.x * dim + i]);
    key[PAIRS * dim + i] = stored<T>(values[(size_t)blockIdx.x * dim + i]);
  }
}

extern "C" __global__ void unpack_f32(float *k, float *v, float **pages, int from, int dim) { unpack(k, v, pages, from, dim); }
extern "C" __global__ void unpack_bf16(float *k, float *v, bf16 **pages, int from, int dim) { unpack(k, v, pages, from, dim); }
extern "C" __global__ void pack_f32(float **pages, const float *k, const float *v, int from, int dim) { pack(pages, k, v, from, dim); }
extern "C" __global__ void pack_bf16(bf16 **pages, const float *k, const float *v, int from, int dim) { pack(pages, k, v, from, dim); }

// encode finds the code of a number.
__device__ inline unsigned encode(float x, float low, float inverse, int coding) {
  if (coding != FLOAT8) return (unsigned)fminf(coding == STEPS4 ? 15 : 255, fmaxf(0, __fadd_rn(__fmul_rn(x - low, inverse), 0.5f)));
  float a = fminf(fabsf(x * inverse), 448.f);
  unsigned sign = x < 0 ? 128 : 0;
  if (a < 0x1p-6f) return sign | (unsigned)rintf(a * 512); // steps below the normal numbers
  unsigned bits = __float_as_uint(a);
  bits += 0x7ffff + (bits >> 20 & 1); // to the nearest, to even in the middle
  return sign | ((bits >> 20) - (120 << 3));
}

// span tells where the codes of some numbers begin, and how far they are apart.
__device__ inline void span(float low, float high, int coding, float *from, uint16_t *step, float *inverse) {
  float most = coding == STEPS8 ? 255 : coding == STEPS4 ? 15 : 448;
  if (coding == FLOAT8) high = fmaxf(fabsf(low), fabsf(high)), low = 0;
  *from = low;
  *step = (uint16_t)((__float_as_uint(__fdiv_rn(high - low, most)) + (1 << 14)) >> 15); // to the nearest
  *inverse = *step ? __fdiv_rn(1, stepOf(*step)) : 0;
}

// squeeze stores full pages in few bits: one block for each pair of addresses, from and to.
template <typename T> __device__ void squeeze(char **pages, int dim, int coding) {
  const T *from = (const T *)pages[2 * blockIdx.x];
  char *to = pages[2 * blockIdx.x + 1];
  Steps keys = steps(to, dim, coding, false), values = steps(to, dim, coding, true);
  auto put = [&](int number, unsigned a, unsigned b) { // two neighbours
    if (coding == STEPS4)
      to[number / 2] = a | b << 4;
    else
      to[number] = a, to[number + 1] = b;
  };
  for (int i = threadIdx.x; i < PAIRS / GROUP * dim / 2; i += blockDim.x) { // two channels of a group of keys
    int group = i / (dim / 2), c = i % (dim / 2) * 2, first = group * GROUP, at = group * dim + c;
    float low[2], high[2], inverse[2];
    for (int j = 0; j < 2; j++) low[j] = high[j] = number(from[first * dim + c + j]);
    for (int r = first + 1; r < first + GROUP; r++)
      for (int j = 0; j < 2; j++) {
        float x = number(from[r * dim + c + j]);
        low[j] = fminf(low[j], x), high[j] = fmaxf(high[j], x);
      }
    for (int j = 0; j < 2; j++) span(low[j], high[j], coding, &keys.low[at + j], &keys.step[at + j], &inverse[j]);
    for (int r = first; r < first + GROUP; r++) {
      const T *x = from + r * dim + c;
      put(r * dim + c, encode(number(x[0]), low[0], inverse[0], coding), encode(number(x[1]), low[1], inverse[1], coding));
    }
  }
  from += PAIRS * dim;
  for (int r = threadIdx.x / 32; r < PAIRS; r += blockDim.x / 32) { // a warp for the values of a pair
    int lane = threadIdx.x % 32;
    float low = INFINITY, high = -INFINITY, inverse;
    for (int c = lane; c < dim; c += 32) low = fminf(low, number(from[r * dim + c])), high = fmaxf(high, number(from[r * dim + c]));
    for (int i = 16; i > 0; i /= 2) low = fminf(low, __shfl_xor_sync(~0u, low, i)), high = fmaxf(high, __shfl_xor_sync(~0u, high, i));
    float begin;
    uint16_t step;
    span(low, high, coding, &begin, &step, &inverse);
    if (lane == 0) values.low[r] = begin, values.step[r] = step;
    for (int c = 2 * lane; c < dim; c += 64)
      put((PAIRS + r) * dim + c, encode(number(from[r * dim + c]), low, inverse, coding), encode(number(from[r * dim + c + 1]), low, inverse, coding));
  }
}

// widen makes a table in which no page is of few bits: those of a layer are unpacked into room, of the others the
// addresses are taken over. The first pages of a head are those of few bits; starts counts them. A block is a page.
template <typename T> __device__ void widen(T **to, T **from, T *room, Lens pages, Starts starts, int toRoom, int fromRoom, int dim) {
  int h = blockIdx.y, i = blockIdx.x;
  if (i >= pages.of[h]) return;
  T *page = from[(size_t)h * fromRoom + i], *wide = page;
  int how = coding(page);
  if (how != PLAIN) {
    wide = room + (size_t)(starts.of[h] + i) * 2 * PAIRS * dim;
    for (int j = threadIdx.x * 8; j < 2 * PAIRS * dim; j += blockDim.x * 8) {
      float x[8];
      unpack8(x, address(page), dim, how, j >= PAIRS * dim, j / dim % PAIRS, j % dim);
      for (int k = 0; k < 8; k++) wide[j + k] = stored<T>(x[k]);
    }
  }
  if (threadIdx.x == 0) to[(size_t)h * toRoom + i] = wide;
}

#define FEW(KIND, T)                                                                                                   \
  extern "C" __global__ void squeeze_##KIND(char **pages, int dim, int coding) { squeeze<T>(pages, dim, coding); }    \
  extern "C" __global__ void widen_##KIND(T **to, T **from, T *room, Lens pages, Starts starts, int toRoom, int fromRoom, int dim) { \
    widen(to, from, room, pages, starts, toRoom, fromRoom, dim);                                                       \
  }
FEW(f32, float)
FEW(bf16, bf16)
