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
