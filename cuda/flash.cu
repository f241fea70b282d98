// Attention of many new tokens over a ragged cache of bfloat16 pairs, on the tensor cores: a block is 128 tokens of one
// query head, a warp 32 of them, so that what a warp reads of a pair serves twice the tokens of one product; a page is a
// tile of 64 pairs, and the next page is on its way while one is worked on.
#include "number.cuh"

// rotate_wide norms and turns the queries and keys of one token, appends keys and values to the cache, and leaves the
// queries in bfloat16. A block is a token; the sines of its position serve all heads, a warp each.
extern "C" __global__ void __launch_bounds__(256)
    rotate_wide(bf16 *queries, const float *qkv, bf16 **table, Shape s, Lens lens, const int *positions, int from, const float *freq, int half,
                float ropeScale, const float *queryNorm, const float *keyNorm, float epsilon) {
  __shared__ float sine[128], cosine[128];
  __shared__ __align__(16) float rows[8][256];
  int token = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32, all = s.heads + 2 * s.kvHeads;
  float position = positions ? positions[token] : from + token;
  for (int i = threadIdx.x; i < half; i += blockDim.x) {
    sincosf(position * freq[i], &sine[i], &cosine[i]);
    sine[i] *= ropeScale, cosine[i] *= ropeScale;
  }
  __syncthreads();
  float *x = rows[warp];
  for (int head = warp; head < all; head += 8) {
    int kv = head - s.heads;
    const float *row = qkv + ((size_t)token * all + head) * s.dim;
    float sum = 0;
    for (int i = lane * 4; i < s.dim; i += 128) {
      float4 v = *reinterpret_cast<const float4 *>(row + i);
      sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
      *reinterpret_cast<float4 *>(x + i) = v;
    }
    const float *weight = kv < 0 ? queryNorm : kv < s.kvHeads ? keyNorm : nullptr;
    if (weight) {
      float r = rsqrtf(warpSum(sum) / s.dim + epsilon);
      for (int i = lane * 4; i < s.dim; i += 128)
        for (int j = i; j < i + 4; j++) x[j] *= r * weight[j];
    }
    __syncwarp();
    if (kv < s.kvHeads)
      for (int i = lane; i < half; i += 32) {
        float a = x[i], b = x[i + half];
        x[i] = a * cosine[i] - b * sine[i], x[i + half] = b * cosine[i] + a * sine[i];
      }
    __syncwarp();
    bf16 *to = queries + ((size_t)token * s.heads + head) * s.dim;
    if (kv >= 0) {
      int h = kv % s.kvHeads, at = lens.of[h] + token;
      to = table[(size_t)h * s.room + at / PAIRS] + ((kv < s.kvHeads ? 0 : PAIRS) + at % PAIRS) * s.dim;
    }
    for (int i = lane * 4; i < s.dim; i += 128)
      *reinterpret_cast<uint2 *>(to + i) = make_uint2(pack(x[i], x[i + 1]), pack(x[i + 2], x[i + 3]));
    __syncwarp();
  }
}

// number_pages lists the pages of each head as numbers, by how many pages of that size they lie behind the first, and the
// new tokens and all pairs of each head: so cuDNN wants it. A row of numbers has place for most pages.
extern "C" __global__ void number_pages(int *numbers, int *own, bf16 **table, Shape s, Lens lens, const bf16 *first, int most) {
  int h = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x, pairs = lens.of[h] + s.tokens;
  if (i < (pairs + PAIRS - 1) / PAIRS) numbers[(size_t)h * most + i] = (table[(size_t)h * s.room + i] - first) / (2 * PAIRS * s.dim);
  if (i == 0) own[h] = s.tokens, own[s.kvHeads + h] = pairs;
}

// place is where 8 channels of a row lie in a tile: neighbours in a column lie in different banks.
template <int DIM> __device__ inline int place(int row, int chunk) { return row * DIM + ((chunk ^ (row & 7)) * 8); }

template <int DIM> __device__ void fetch(bf16 *tile, const bf16 *page) {
  for (int i = threadIdx.x; i < 2 * PAIRS * DIM / 8; i += 128) // keys, then values
    copy16(tile + place<DIM>(i / (DIM / 8), i % (DIM / 8)), page + i * 8);
  commit();
}

template <int DIM>
__device__ void flash(bf16 *dst, const bf16 *rows, bf16 **table, const Shape &s, const Lens &lens) {
  constexpr int ROWS = 128, TILE = 2 * PAIRS * DIM;
  extern __shared__ __align__(128) bf16 queries[]; // of the block; then 2 tiles: keys and values of a page
  bf16 *tiles = queries + ROWS * DIM;
  int head = blockIdx.x, h = head / (s.heads / s.kvHeads), first = (gridDim.y - 1 - blockIdx.y) * ROWS;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = first + warp * 32 + lane / 4, pair = lane % 4 * 2;
  int before = lens.of[h];
  bf16 **pages = table + (size_t)h * s.room;
  int last = before + min(first + ROWS, s.tokens) - 1, tile = 0; // the newest pair that a token of the block sees
  if (s.window > 0) tile = max(0, before + first + 1 - s.window) / PAIRS;
  int end = last / PAIRS;
  fetch<DIM>(tiles, pages[tile]);
  float scale = s.scale * 1.4426950409f;
  for (int i = threadIdx.x; i < ROWS * DIM / 8; i += 128) {
    int r = i / (DIM / 8), chunk = i % (DIM / 8);
    copy16(queries + place<DIM>(r, chunk), rows + ((size_t)min(first + r, s.tokens - 1) * s.heads + head) * DIM + chunk * 8);
  }
  commit();
  float out[2][DIM / 8][4] = {}, most[2][2] = {{-INFINITY, -INFINITY}, {-INFINITY, -INFINITY}}, total[2][2] = {};
  for (int stage = 0; tile <= end; tile++, stage ^= 1) {
    arrived<0>();
    __syncthreads();
    if (tile < end) fetch<DIM>(tiles + (stage ^ 1) * TILE, pages[tile + 1]);
    bf16 *keys = tiles + stage * TILE, *values = keys + PAIRS * DIM;
    float score[2][8][4] = {};
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) {
      unsigned q[2][4];
#pragma unroll
      for (int m = 0; m < 2; m++) matrices(q[m], queries + place<DIM>(warp * 32 + m * 16 + lane % 16, k * 2 + lane / 16));
#pragma unroll
      for (int n = 0; n < 4; n++) { // 16 pairs each
        unsigned b[4];
        matrices(b, keys + place<DIM>(n * 16 + lane % 8 + lane / 16 * 8, k * 2 + lane / 8 % 2));
#pragma unroll
        for (int m = 0; m < 2; m++) product(score[m][2 * n], q[m], b[0], b[1]), product(score[m][2 * n + 1], q[m], b[2], b[3]);
      }
    }
    if ((tile + 1) * PAIRS > before + first || s.window > 0) {
#pragma unroll
      for (int m = 0; m < 2; m++)
#pragma unroll
        for (int n = 0; n < 8; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) {
            int at = tile * PAIRS + n * 8 + pair + i % 2, own = before + row + m * 16 + i / 2 * 8;
            if (at > own || s.window > 0 && at <= own - s.window) score[m][n][i] = -INFINITY;
          }
    }
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
      for (int side = 0; side < 2; side++) {
        float top = most[m][side];
#pragma unroll
        for (int n = 0; n < 8; n++) top = fmaxf(top, fmaxf(score[m][n][2 * side], score[m][n][2 * side + 1]));
        top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
        top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
        float base = top == -INFINITY ? 0 : top * scale, shrink = exp2f(most[m][side] * scale - base), sum = 0;
#pragma unroll
        for (int n = 0; n < 8; n++)
#pragma unroll
          for (int i = 2 * side; i < 2 * side + 2; i++) score[m][n][i] = exp2f(score[m][n][i] * scale - base), sum += score[m][n][i];
        most[m][side] = top, total[m][side] = total[m][side] * shrink + sum;
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) out[m][n][2 * side] *= shrink, out[m][n][2 * side + 1] *= shrink;
      }
#pragma unroll
    for (int k = 0; k < 4; k++) { // 16 pairs each
      unsigned a[2][4];
#pragma unroll
      for (int m = 0; m < 2; m++)
#pragma unroll
        for (int i = 0; i < 4; i++) a[m][i] = pack(score[m][2 * k + i / 2][i % 2 * 2], score[m][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
      for (int n = 0; n < DIM / 16; n++) {
        unsigned b[4];
        turned(b, values + place<DIM>(k * 16 + lane % 16, n * 2 + lane / 16));
#pragma unroll
        for (int m = 0; m < 2; m++) product(out[m][2 * n], a[m], b[0], b[1]), product(out[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < 2; m++)
#pragma unroll
    for (int side = 0; side < 2; side++) {
      float sum = total[m][side];
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      int r = row + m * 16 + side * 8;
      if (r >= s.tokens) continue;
#pragma unroll
      for (int n = 0; n < DIM / 8; n++)
        *reinterpret_cast<unsigned *>(dst + ((size_t)r * s.heads + head) * DIM + n * 8 + pair) =
            pack(out[m][n][2 * side] / sum, out[m][n][2 * side + 1] / sum);
    }
}

#define FLASH(DIM)                                                                                                     \
  extern "C" __global__ void __launch_bounds__(128, 2) flash_##DIM(bf16 *dst, const bf16 *rows, bf16 **table, Shape s, Lens lens) { \
    flash<DIM>(dst, rows, table, s, lens);                                                                             \
  }
FLASH(64)
FLASH(128)
