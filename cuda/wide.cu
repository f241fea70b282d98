// Attention and matrix products of many tokens on the tensor cores of compute capability 9.0. In both one thread of a block
// fetches: the copy engine lays tiles out as the matrix products want them. Two warpgroups of 64 rows each multiply.
#include "number.cuh"

// A Map is a tensor map of the copy engine.
struct __align__(64) Map {
  unsigned long long opaque[16];
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

#define EIGHT(M, i) M(i), M(i + 1), M(i + 2), M(i + 3), M(i + 4), M(i + 5), M(i + 6), M(i + 7)
#define THIRTY2(M, i) EIGHT(M, i), EIGHT(M, i + 8), EIGHT(M, i + 16), EIGHT(M, i + 24)
#define ROOM32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define ROOM64 ROOM32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define SUM(i) "+f"(c[i])

// multiply is c (64, N) = a (64, 16) · b (N, 16)ᵀ, both in shared memory; more adds to what c holds.
__device__ inline void multiply(float (&c)[32], uint64_t a, uint64_t b, int more) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" ROOM32 "}, %32, %33, p, 1, 1, 0, 0;}"
               : THIRTY2(SUM, 0) : "l"(a), "l"(b), "r"(more));
}
__device__ inline void multiply(float (&c)[64], uint64_t a, uint64_t b, int more) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" ROOM64 "}, %64, %65, p, 1, 1, 0, 0;}"
               : THIRTY2(SUM, 0), THIRTY2(SUM, 32) : "l"(a), "l"(b), "r"(more));
}

// weigh is c (64, N) += a (64, 16) · b (16, N), a in registers.
__device__ inline void weigh(float (&c)[32], const unsigned (&a)[4], uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" ROOM32 "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 1;"
               : THIRTY2(SUM, 0) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ inline void weigh(float (&c)[64], const unsigned (&a)[4], uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" ROOM64 "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"
               : THIRTY2(SUM, 0), THIRTY2(SUM, 32) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// settled keeps what a product reads or adds to from being computed later than here; ordered begins a group of products,
// committed ends it; finished waits until no more than so many groups are unfinished, and then c may be read.
__device__ inline void settled(float (&c)[32]) { asm volatile("" : THIRTY2(SUM, 0)::"memory"); }
__device__ inline void settled(float (&c)[64]) { asm volatile("" : THIRTY2(SUM, 0), THIRTY2(SUM, 32)::"memory"); }
__device__ inline void settled(unsigned (&a)[4]) { asm volatile("" : "+r"(a[0]), "+r"(a[1]), "+r"(a[2]), "+r"(a[3])::"memory"); }
__device__ inline void ordered() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void committed() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int GROUPS> __device__ inline void finished(float (&c)[32]) {
  asm volatile("wgmma.wait_group.sync.aligned %32;" : THIRTY2(SUM, 0) : "n"(GROUPS) : "memory");
}
template <int GROUPS> __device__ inline void finished(float (&c)[64]) {
  asm volatile("wgmma.wait_group.sync.aligned %64;" : THIRTY2(SUM, 0), THIRTY2(SUM, 32) : "n"(GROUPS) : "memory");
}

// matrix describes a matrix in shared memory in rows of 128 bytes, turned about in eights as the copy engine leaves them;
// its groups of 64 columns lie so many bytes apart.
__device__ inline uint64_t matrix(unsigned at, unsigned apart) {
  return (uint64_t)(at >> 4 & 0x3fff) | (uint64_t)(apart >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

// A bell rings when so many have arrived and all bytes that were announced have come.
__device__ inline void hang(uint64_t *bell, int arrivals) { asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared(bell)), "r"(arrivals)); }
__device__ inline void arrive(uint64_t *bell) { asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared(bell)) : "memory"); }
__device__ inline void announce(uint64_t *bell, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared(bell)), "r"(bytes) : "memory");
}
__device__ inline void await(uint64_t *bell, int turn) {
  asm volatile("{.reg .pred p; again: mbarrier.try_wait.parity.shared.b64 p, [%0], %1; @p bra over; bra again; over:}" ::"r"(shared(bell)), "r"(turn) : "memory");
}

// fetch copies 64 channels, from one on, of 64 rows of a page to shared memory.
__device__ inline void fetch(unsigned to, const Map *memory, const bf16 *page, int channel, uint64_t *bell) {
  uint64_t at = (uint64_t)page;
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3,%4,%5,%6}], [%2];" ::"r"(to), "l"(memory),
               "r"(shared(bell)), "r"(channel), "r"(0), "r"((int)(at >> 8 & 0xfffff)), "r"((int)(at >> 28)) : "memory");
}

__device__ inline float power(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// wide is the attention of many new tokens over a ragged cache. A block is 128 tokens of one query head; the copy engine
// reads pages wherever they lie, through a map of all memory. The warpgroups go from the newest pairs to the oldest: while
// one finds the softmax of a tile the other has the tensor cores, and the values of the tile before are weighed beside it.
template <int DIM, int TILE, int STAGES>
__device__ void wide(bf16 *dst, const Map *memory, const Map *rows, bf16 **table, const Shape &s, const Lens &lens) {
  constexpr int COLUMNS = (DIM + 63) / 64, PART = TILE * 128, SIZE = COLUMNS * PART, QUERIES = 128 * 128 * COLUMNS;
  constexpr int ACROSS = COLUMNS == 1 ? 64 : 128, GROUPS = COLUMNS * 64 / ACROSS;
  extern __shared__ char room[];
  __shared__ uint64_t queryBell, keyBell[STAGES], valueBell[STAGES], keyFree[STAGES], valueFree[STAGES];
  unsigned queries = (shared(room) + 1023) & ~1023u, keys = queries + QUERIES, values = keys + STAGES * SIZE;
  int head = blockIdx.x, h = head / (s.heads / s.kvHeads), first = (gridDim.y - 1 - blockIdx.y) * 128, before = lens.of[h];
  int last = before + min(first + 128, s.tokens) - 1, end = last / TILE, begin = 0; // the newest pair that a token of the block sees
  if (s.window > 0) begin = max(0, before + first + 1 - s.window) / TILE;
  int count = end - begin + 1;
  if (threadIdx.x == 0) {
    hang(&queryBell, 1);
    for (int i = 0; i < STAGES; i++) hang(keyBell + i, 1), hang(valueBell + i, 1), hang(keyFree + i, 8), hang(valueFree + i, 8);
    asm volatile("fence.mbarrier_init.release.cluster; fence.proxy.async;" ::: "memory");
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (threadIdx.x != 0) return;
    announce(&queryBell, QUERIES);
    for (int c = 0; c < COLUMNS; c++)
      asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3,%4,%5}], [%2];" ::"r"(queries + c * 128 * 128),
                   "l"(rows), "r"(shared(&queryBell)), "r"(c * 64), "r"(head), "r"(first) : "memory");
    bf16 **pages = table + (size_t)h * s.room, *page[TILE / PAIRS], *then[TILE / PAIRS];
    for (int p = 0; p < TILE / PAIRS; p++) page[p] = pages[min(end * (TILE / PAIRS) + p, last / PAIRS)];
    for (int i = 0; i < count; i++) {
      int stage = i % STAGES, turn = i / STAGES & 1;
      if (i + 1 < count)
        for (int p = 0; p < TILE / PAIRS; p++) then[p] = pages[(end - i - 1) * (TILE / PAIRS) + p];
      await(keyFree + stage, turn ^ 1);
      announce(keyBell + stage, SIZE);
      for (int p = 0; p < TILE / PAIRS; p++)
        for (int c = 0; c < COLUMNS; c++) fetch(keys + stage * SIZE + c * PART + p * PAIRS * 128, memory, page[p], c * 64, keyBell + stage);
      await(valueFree + stage, turn ^ 1);
      announce(valueBell + stage, SIZE);
      for (int p = 0; p < TILE / PAIRS; p++)
        for (int c = 0; c < COLUMNS; c++) fetch(values + stage * SIZE + c * PART + p * PAIRS * 128, memory, page[p] + PAIRS * DIM, c * 64, valueBell + stage);
      for (int p = 0; p < TILE / PAIRS; p++) page[p] = then[p];
    }
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
  int group = threadIdx.x / 128 - 1, warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  int row = first + group * 64 + warp * 16 + lane / 4, pair = lane % 4 * 2;
  float scale = s.scale * 1.4426950409f, score[TILE / 2], out[GROUPS][ACROSS / 2], most[2] = {-INFINITY, -INFINITY}, total[2] = {}, shrink[2];
  unsigned part[TILE / 16][4];
#pragma unroll
  for (int g = 0; g < GROUPS; g++)
#pragma unroll
    for (int i = 0; i < ACROSS / 2; i++) out[g][i] = 0;
  unsigned own = queries + group * 64 * 128;

  auto look = [&](int stage) { // the scores of a tile
    settled(score);
    ordered();
#pragma unroll
    for (int k = 0; k < (DIM + 15) / 16; k++)
      multiply(score, matrix(own + k / 4 * 128 * 128 + k % 4 * 32, 16), matrix(keys + stage * SIZE + k / 4 * PART + k % 4 * 32, 16), k > 0);
    committed();
  };
  auto gather = [&](int stage) { // its values, each times its part
#pragma unroll
    for (int g = 0; g < GROUPS; g++) settled(out[g]);
#pragma unroll
    for (int k = 0; k < TILE / 16; k++) settled(part[k]);
    ordered();
#pragma unroll
    for (int k = 0; k < TILE / 16; k++)
#pragma unroll
      for (int g = 0; g < GROUPS; g++) weigh(out[g], part[k], matrix(values + stage * SIZE + g * 2 * PART + k * 16 * 128, PART));
    committed();
  };
  auto soften = [&](int tile) { // scores become parts of the sum so far
    if ((tile + 1) * TILE > before + first + group * 64 || s.window > 0) {
#pragma unroll
      for (int n = 0; n < TILE / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int at = tile * TILE + n * 8 + pair + i % 2, self = before + row + i / 2 * 8;
          if (at > self || s.window > 0 && at <= self - s.window) score[n * 4 + i] = -INFINITY;
        }
    }
#pragma unroll
    for (int side = 0; side < 2; side++) {
      float top = most[side];
#pragma unroll
      for (int n = 0; n < TILE / 8; n++) top = fmaxf(top, fmaxf(score[n * 4 + 2 * side], score[n * 4 + 2 * side + 1]));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
      float base = top == -INFINITY ? 0 : top * scale, sum = 0;
      shrink[side] = power(most[side] * scale - base);
#pragma unroll
      for (int n = 0; n < TILE / 8; n++)
#pragma unroll
        for (int i = 2 * side; i < 2 * side + 2; i++) score[n * 4 + i] = power(fmaf(score[n * 4 + i], scale, -base)), sum += score[n * 4 + i];
      most[side] = top, total[side] = total[side] * shrink[side] + sum;
    }
  };
  auto narrow = [&]() {
#pragma unroll
    for (int k = 0; k < TILE / 16; k++)
#pragma unroll
      for (int i = 0; i < 4; i++) part[k][i] = pack(score[k * 8 + i / 2 * 4 + i % 2 * 2], score[k * 8 + i / 2 * 4 + i % 2 * 2 + 1]);
  };
  auto release = [&](uint64_t *bell) {
    if (lane == 0) arrive(bell);
  };

  await(&queryBell, 0);
  await(keyBell, 0);
  look(0);
  finished<0>(score);
  release(keyFree);
  soften(end);
  narrow();
  if (group == 1 && count > 1) asm volatile("bar.arrive 1, 256;" ::: "memory"); // the first warpgroup has the first turn
  for (int i = 1; i < count; i++) {
    int stage = i % STAGES, old = (i - 1) % STAGES;
    await(keyBell + stage, i / STAGES & 1);
    asm volatile("bar.sync %0, 256;" ::"r"(1 + group) : "memory");
    look(stage);
    await(valueBell + old, (i - 1) / STAGES & 1);
    gather(old);
    if (group == 0 || i + 1 < count) asm volatile("bar.arrive %0, 256;" ::"r"(2 - group) : "memory");
    finished<1>(score);
    release(keyFree + stage);
    soften(end - i);
#pragma unroll
    for (int g = 0; g < GROUPS; g++) finished<0>(out[g]);
    release(valueFree + old);
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
#pragma unroll
      for (int j = 0; j < ACROSS / 2; j++) out[g][j] *= shrink[j / 2 % 2];
    narrow();
  }
  await(valueBell + (count - 1) % STAGES, (count - 1) / STAGES & 1);
  gather((count - 1) % STAGES);
#pragma unroll
  for (int g = 0; g < GROUPS; g++) finished<0>(out[g]);
#pragma unroll
  for (int side = 0; side < 2; side++) {
    float sum = total[side];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    sum = 1 / sum;
    int r = row + side * 8;
    if (r >= s.tokens) continue;
    bf16 *to = dst + ((size_t)r * s.heads + head) * DIM + pair;
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
#pragma unroll
      for (int n = 0; n < ACROSS / 8; n++)
        if (g * ACROSS + n * 8 < DIM)
          *reinterpret_cast<unsigned *>(to + g * ACROSS + n * 8) = pack(out[g][n * 4 + 2 * side] * sum, out[g][n * 4 + 2 * side + 1] * sum);
  }
}

// turnOn is SiLU, or GELU by its approximation with tanh.
__device__ inline float turnOn(float g, int tanhCurve) {
  return g / (1 + __expf(tanhCurve ? -1.5957691216f * (g + 0.044715f * g * g * g) : -g));
}

// product_wide multiplies x (rows, in) with a weight (out, in)ᵀ. Two blocks, 128 rows each, work on the same 256 columns, and
// each fetches 128 of their weights for both: the second 128 lie apart from the first ones, beside them or, for a gate,
// where its other half begins. They go from tile to tile, and the next one is on its way while one is written.
enum { WRITE, SUM_UP, GATE };

__device__ inline void fetch2(unsigned to, const Map *map, int column, int row, uint64_t *bell, bool both) {
  if (both)
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3,%4}], [%2], %5;" ::"r"(to),
                 "l"(map), "r"(shared(bell)), "r"(column), "r"(row), "h"((uint16_t)3) : "memory");
  else
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3,%4}], [%2];" ::"r"(to), "l"(map),
                 "r"(shared(bell)), "r"(column), "r"(row) : "memory");
}

// together waits for all threads of both blocks.
__device__ inline void together() { asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory"); }

// arriveBoth arrives at a bell of both blocks.
__device__ inline void arriveBoth(uint64_t *bell) {
  for (int i = 0; i < 2; i++)
    asm volatile("{.reg .b32 at; mapa.shared::cluster.u32 at, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [at];}" ::"r"(shared(bell)), "r"(i)
                 : "memory");
}

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1)
    product_wide(void *dst, const __grid_constant__ Map x, const __grid_constant__ Map weight, int rows, int out, int in, int how, int tanhCurve) {
  constexpr int STAGES = 4, PART = 128 * 128, SIZE = 3 * PART;
  extern __shared__ char space[];
  __shared__ uint64_t full[STAGES], empty[STAGES];
  unsigned tiles = (shared(space) + 1023) & ~1023u; // of a stage: x, first weights, second weights
  int rank = blockIdx.x % 2, columns = how == GATE ? out / 2 : out, wide = how == GATE ? 128 : 256, apart = how == GATE ? columns : 128;
  int down = (rows + 255) / 256, all = down * ((columns + wide - 1) / wide), steps = (in + 63) / 64;
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) hang(full + i, 1), hang(empty + i, 16);
    asm volatile("fence.mbarrier_init.release.cluster; fence.proxy.async;" ::: "memory");
  }
  together();
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (threadIdx.x == 0)
      for (int tile = blockIdx.x / 2, i = 0; tile < all; tile += gridDim.x / 2) {
        int row = (tile % down * 2 + rank) * 128, column = tile / down * wide + rank * apart;
        for (int k = 0; k < steps; k++, i++) {
          int stage = i % STAGES;
          unsigned at = tiles + stage * SIZE;
          await(empty + stage, i / STAGES & 1 ^ 1);
          announce(full + stage, SIZE);
          fetch2(at, &x, k * 64, row, full + stage, false);
          fetch2(at + PART + rank * PART, &weight, k * 64, column, full + stage, true);
        }
      }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    int group = threadIdx.x / 128 - 1, warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    auto release = [&](int stage) {
      if (lane == 0) arriveBoth(empty + stage);
    };
    for (int tile = blockIdx.x / 2, i = 0; tile < all; tile += gridDim.x / 2) {
      float sum[2][64];
#pragma unroll
      for (int j = 0; j < 128; j++) sum[j / 64][j % 64] = 0;
      settled(sum[0]), settled(sum[1]);
      for (int k = 0; k < steps; k++, i++) {
        int stage = i % STAGES;
        unsigned at = tiles + stage * SIZE, own = at + group * 64 * 128;
        await(full + stage, i / STAGES & 1);
        ordered();
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
          for (int h = 0; h < 2; h++) multiply(sum[h], matrix(own + j * 32, 16), matrix(at + PART + h * PART + j * 32, 16), 1);
        committed();
        if (k > 0) {
          asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
          release((i - 1) % STAGES);
        }
      }
      finished<0>(sum[0]), finished<0>(sum[1]);
      release((i - 1) % STAGES);
      int first = tile / down * wide + lane % 4 * 2;
#pragma unroll
      for (int side = 0; side < 2; side++) {
        int row = (tile % down * 2 + rank) * 128 + group * 64 + warp * 16 + lane / 4 + side * 8;
        if (row >= rows) continue;
        size_t line = (size_t)row * columns + first;
        if (how == GATE) {
#pragma unroll
          for (int n = 0; n < 16; n++)
            if (int e = n * 4 + 2 * side; first + n * 8 < columns)
              *reinterpret_cast<unsigned *>((bf16 *)dst + line + n * 8) =
                  pack(turnOn(sum[0][e], tanhCurve) * sum[1][e], turnOn(sum[0][e + 1], tanhCurve) * sum[1][e + 1]);
          continue;
        }
        float2 *to = reinterpret_cast<float2 *>((float *)dst + line);
        if (how == SUM_UP) {
#pragma unroll
          for (int i = 0; i < 32; i++)
            if (first + i * 8 < columns) {
              float2 v = to[i * 4];
              sum[i / 16][i % 16 * 4 + 2 * side] += v.x, sum[i / 16][i % 16 * 4 + 2 * side + 1] += v.y;
            }
        }
#pragma unroll
        for (int i = 0; i < 32; i++)
          if (first + i * 8 < columns) to[i * 4] = make_float2(sum[i / 16][i % 16 * 4 + 2 * side], sum[i / 16][i % 16 * 4 + 2 * side + 1]);
      }
    }
  }
  together(); // neither block may go while the other writes to its memory
}

#else // other cards have flash, and other products

extern "C" __global__ void product_wide(void *, const __grid_constant__ Map, const __grid_constant__ Map, int, int, int, int, int) {}

template <int DIM, int TILE, int STAGES>
__device__ void wide(bf16 *, const Map *, const Map *, bf16 **, const Shape &, const Lens &) {}

#endif

#define WIDE(DIM, TILE, STAGES)                                                                                        \
  extern "C" __global__ void __launch_bounds__(384, 1) wide_##DIM(bf16 *dst, const __grid_constant__ Map memory, const __grid_constant__ Map rows, \
                                                                  bf16 **table, const Shape s, const Lens lens) {      \
    wide<DIM, TILE, STAGES>(dst, &memory, &rows, table, s, lens);                                                      \
  }
WIDE(64, 128, 3)
WIDE(80, 128, 2)
WIDE(96, 128, 2)
WIDE(128, 128, 2)
WIDE(256, 64, 2)
