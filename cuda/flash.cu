// Attention of many new tokens over a ragged cache of bfloat16 pairs, on the tensor cores: a block is 64 tokens of one
// query head, a warp 16 of them; a page is a tile of 64 pairs, and the next page is on its way while one is worked on.
#include "number.cuh"

struct Lens {
  int of[HEADS];
};

struct Shape {
  int heads, kvHeads, dim, tokens, room, window;
  float scale;
};

__device__ inline unsigned shared(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ inline void product(float *c, const unsigned *a, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline unsigned pack(float low, float high) {
  __nv_bfloat162 x = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<unsigned *>(&x);
}

// place is where 8 channels of a row lie in a tile: neighbours in a column lie in different banks.
template <int DIM> __device__ inline int place(int row, int chunk) { return row * DIM + ((chunk ^ (row & 7)) * 8); }

template <int DIM> __device__ void fetch(bf16 *tile, const bf16 *page) {
  for (int i = threadIdx.x; i < 2 * PAIRS * DIM / 8; i += 128) { // keys, then values
    int row = i / (DIM / 8), chunk = i % (DIM / 8);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared(tile + place<DIM>(row, chunk))), "l"(page + i * 8));
  }
  asm volatile("cp.async.commit_group;");
}

template <int DIM>
__device__ void flash(float *dst, const float *qkv, bf16 **table, Shape s, Lens lens) {
  extern __shared__ __align__(128) bf16 tiles[]; // 2 x (keys and values of a page)
  int head = blockIdx.x, h = head / (s.heads / s.kvHeads), first = (gridDim.y - 1 - blockIdx.y) * 64;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = first + warp * 16 + lane / 4, pair = lane % 4 * 2;
  int before = lens.of[h], stride = (s.heads + 2 * s.kvHeads) * DIM;
  bf16 **pages = table + (size_t)h * s.room;
  int last = before + min(first + 64, s.tokens) - 1, tile = 0; // the newest pair that a token of the block sees
  if (s.window > 0) tile = max(0, before + first + 1 - s.window) / PAIRS;
  int end = last / PAIRS;
  fetch<DIM>(tiles, pages[tile]);

  unsigned q[DIM / 16][4];
  float scale = s.scale * 1.4426950409f;
#pragma unroll
  for (int k = 0; k < DIM / 16; k++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int r = min(row + i % 2 * 8, s.tokens - 1);
      float2 x = *reinterpret_cast<const float2 *>(qkv + (size_t)r * stride + head * DIM + k * 16 + pair + i / 2 * 8);
      q[k][i] = pack(x.x * scale, x.y * scale);
    }
  float out[DIM / 8][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {};
  for (int stage = 0; tile <= end; tile++, stage ^= 1) {
    asm volatile("cp.async.wait_group 0;");
    __syncthreads();
    if (tile < end) fetch<DIM>(tiles + (stage ^ 1) * 2 * PAIRS * DIM, pages[tile + 1]);
    bf16 *keys = tiles + stage * 2 * PAIRS * DIM, *values = keys + PAIRS * DIM;
    float score[8][4] = {};
#pragma unroll
    for (int k = 0; k < DIM / 16; k++)
#pragma unroll
      for (int n = 0; n < 4; n++) { // 16 pairs each
        unsigned b[4];
        int r = n * 16 + lane % 8 + lane / 16 * 8, chunk = k * 2 + lane / 8 % 2;
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                     : "r"(shared(keys + place<DIM>(r, chunk))));
        product(score[2 * n], q[k], b[0], b[1]);
        product(score[2 * n + 1], q[k], b[2], b[3]);
      }
    bool edge = (tile + 1) * PAIRS > before + first || s.window > 0;
    if (edge) {
#pragma unroll
      for (int n = 0; n < 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int at = tile * PAIRS + n * 8 + pair + i % 2, own = before + row + i / 2 * 8;
          if (at > own || s.window > 0 && at <= own - s.window) score[n][i] = -INFINITY;
        }
    }
#pragma unroll
    for (int side = 0; side < 2; side++) {
      float top = most[side];
#pragma unroll
      for (int n = 0; n < 8; n++) top = fmaxf(top, fmaxf(score[n][2 * side], score[n][2 * side + 1]));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
      float base = top == -INFINITY ? 0 : top, shrink = exp2f(most[side] - base), sum = 0;
#pragma unroll
      for (int n = 0; n < 8; n++)
#pragma unroll
        for (int i = 2 * side; i < 2 * side + 2; i++) score[n][i] = exp2f(score[n][i] - base), sum += score[n][i];
      most[side] = top, total[side] = total[side] * shrink + sum;
#pragma unroll
      for (int n = 0; n < DIM / 8; n++) out[n][2 * side] *= shrink, out[n][2 * side + 1] *= shrink;
    }
#pragma unroll
    for (int k = 0; k < 4; k++) { // 16 pairs each
      unsigned a[4] = {pack(score[2 * k][0], score[2 * k][1]), pack(score[2 * k][2], score[2 * k][3]),
                       pack(score[2 * k + 1][0], score[2 * k + 1][1]), pack(score[2 * k + 1][2], score[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < DIM / 16; n++) {
        unsigned b[4];
        int r = k * 16 + lane % 16, chunk = n * 2 + lane / 16;
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                     : "r"(shared(values + place<DIM>(r, chunk))));
        product(out[2 * n], a, b[0], b[1]);
        product(out[2 * n + 1], a, b[2], b[3]);
      }
    }
  }
#pragma unroll
  for (int side = 0; side < 2; side++) {
    float sum = total[side];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    int r = row + side * 8;
    if (r >= s.tokens) continue;
#pragma unroll
    for (int n = 0; n < DIM / 8; n++)
      *reinterpret_cast<float2 *>(dst + ((size_t)r * s.heads + head) * DIM + n * 8 + pair) =
          make_float2(out[n][2 * side] / sum, out[n][2 * side + 1] / sum);
  }
}

#define FLASH(DIM)                                                                                                     \
  extern "C" __global__ void __launch_bounds__(128) flash_##DIM(float *dst, const float *qkv, bf16 **table, Shape s, Lens lens) { \
    flash<DIM>(dst, qkv, table, s, lens);                                                                              \
  }
FLASH(64)
FLASH(128)
