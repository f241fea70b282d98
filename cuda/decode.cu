// Attention of one new token over a ragged cache of bfloat16 pairs, on the tensor cores. The pages of all heads of a
// layer are laid end to end and divided evenly among the blocks, wherever heads end (an end counts as a page, for it takes
// its time too); so heads of any lengths keep the whole card busy, and each pair is read once for the (up to 8) query
// heads that share it. All that changes from token
// to token is read from memory, so that the kernels can be part of a captured graph.
#include "number.cuh"

// Pages are what the new token sees of each head: where the head begins among all pages that are looked at, and which of
// its own pages is the first.
struct Pages {
  int first[HEADS + 1], skipped[HEADS];
};

__device__ inline void count(Pages *p, const Place *place, int kvHeads, int window) {
  int h = threadIdx.x;
  if (h < kvHeads) {
    int seen = place->lens.of[h] + 1, from = window > 0 ? max(0, seen - window) / PAIRS : 0;
    p->skipped[h] = from;
    p->first[h + 1] = (seen + PAIRS - 1) / PAIRS - from;
  }
  __syncthreads();
  if (h == 0) {
    p->first[0] = 0;
    for (int i = 0; i < kvHeads; i++) p->first[i + 1] += p->first[i];
  }
  __syncthreads();
}

// share is the first page of a block, whose share begins in this head or behind it.
__device__ inline int share(int block, int blocks, const Pages &p, int kvHeads, int h) {
  int at = (int)((long long)block * (p.first[kvHeads] + kvHeads) / blocks);
  while (h < kvHeads && p.first[h + 1] + h + 1 <= at) h++;
  return h < kvHeads ? min(at - h, p.first[h + 1]) : p.first[kvHeads];
}

constexpr int STAGES = 3, QUERIES = 8, WARPS = 4;

template <int DIM> __device__ inline void fetch(bf16 *stage, const bf16 *page) {
  for (int i = threadIdx.x; i < 2 * PAIRS * DIM / 8; i += WARPS * 32) // keys, then values, each row 16 bytes further apart
    copy16(stage + i / (DIM / 8) * (DIM + 8) + i % (DIM / 8) * 8, page + i * 8);
}

// load copies a page, of few bits or not, as it is; spreadOut makes rows of it that are 16 bytes further apart: of float16
// codes, if it is of few bits. A number is then its lowest number and 256 steps times its code, which go to factors: the
// steps of the keys of both groups, their lowest numbers, the steps of the values, their lowest numbers.
template <int DIM> __device__ inline void load(char *raw, const bf16 *page) {
  int bytes = coding(page) == PLAIN ? 4 * PAIRS * DIM : packedBytes(DIM, coding(page));
  for (int i = threadIdx.x * 16; i < bytes; i += WARPS * 32 * 16) copy16(raw + i, address(page) + i);
}
template <int DIM> __device__ inline void spreadOut(bf16 *rows, float *factors, char *raw, int how) {
  for (int i = threadIdx.x; i < 2 * PAIRS * DIM / 8; i += WARPS * 32) {
    uint4 *to = reinterpret_cast<uint4 *>(rows + i / (DIM / 8) * (DIM + 8) + i % (DIM / 8) * 8);
    *to = how == PLAIN ? reinterpret_cast<uint4 *>(raw)[i] : codes8(raw + codeBytes(8 * i, how), how);
  }
  if (how == PLAIN) return;
  Steps keys = steps(raw, DIM, how, false), values = steps(raw, DIM, how, true);
  for (int i = threadIdx.x; i < PAIRS / GROUP * DIM; i += WARPS * 32)
    factors[i] = 256 * stepOf(keys.step[i]), factors[PAIRS / GROUP * DIM + i] = keys.low[i];
  factors += 2 * PAIRS / GROUP * DIM;
  for (int i = threadIdx.x; i < PAIRS; i += WARPS * 32) factors[i] = 256 * stepOf(values.step[i]), factors[PAIRS + i] = values.low[i];
}

// A block of 4 warps works through its pages; each warp takes 16 pairs of a page. Where a head ends, or the block's share,
// the softmax sum, largest score (to base 2) and weighted values of the head's queries go to part: that of block b and head
// h is number b + h there, which no other has.
// With FEW some pages are of few bits: a page then lands as it is in one of two places and is spread out when its turn
// comes.
template <int DIM, bool FEW>
__device__ void look(float *part, const float *qkv, const Place *place, Shape s) {
  constexpr int ROW = DIM + 8, STAGE = 2 * PAIRS * ROW;
  extern __shared__ __align__(128) bf16 stages[];
  __shared__ Pages pages;
  __shared__ float tops[WARPS][QUERIES], totals[WARPS][QUERIES];
  next();
  count(&pages, place, s.kvHeads, s.window);
  int all = pages.first[s.kvHeads], blocks = min((int)gridDim.x, all), block = blockIdx.x, room = place->room;
  if (block >= blocks) return;
  int at = share(block, blocks, pages, s.kvHeads, 0), end = share(block + 1, blocks, pages, s.kvHeads, 0);
  if (at == end) return;
  bf16 **table = place->table;
  int coming = at, head = 0;
  while (pages.first[head + 1] <= at) head++;
  int h = head; // of the page that is worked on; head: of the one that is fetched
  auto find = [&]() -> const bf16 * { // looked up one turn before it is fetched
    if (coming >= end) return nullptr;
    while (pages.first[head + 1] <= coming) head++;
    return table[(size_t)head * room + coming - pages.first[head] + pages.skipped[head]];
  };
  const bf16 *page = find();
  char *raw = reinterpret_cast<char *>(stages + STAGE);
  float *factors = reinterpret_cast<float *>(raw + 8 * PAIRS * DIM);
  int how = PLAIN, later = PLAIN; // of the page that is worked on and the one behind it
  auto ahead = [&]() {
    if (page) {
      if constexpr (FEW)
        load<DIM>(raw + coming % 2 * 4 * PAIRS * DIM, page), how = later, later = coding(page);
      else
        fetch<DIM>(stages + coming % STAGES * STAGE, page);
      coming++, page = find();
    } else
      how = later;
    commit();
  };
  bool old = at + 2 < pages.first[head + 1]; // the first two are not the page that the new pair goes to
  if (!old) waited();
  ahead();
  ahead();
  if (old) waited();

  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = s.heads / s.kvHeads, base = blockIdx.y * QUERIES, mine = min(QUERIES, group - base);
  float scale = s.scale * 1.4426950409f;
  unsigned q[DIM / 16][2];
  float sum[DIM / 16][4], most[2], total[2], floor[2]; // floor: what lowest numbers of values add up to
  bool fresh = true;
  for (; at < end; at++) {
    if (fresh) {
      fresh = false;
      most[0] = most[1] = -INFINITY, total[0] = total[1] = floor[0] = floor[1] = 0;
#pragma unroll
      for (int k = 0; k < DIM / 16; k++) {
        const float *x = qkv + (size_t)(h * group + base + lane / 4) * DIM + k * 16 + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float2 y = lane / 4 < mine ? *reinterpret_cast<const float2 *>(x + i * 8) : make_float2(0, 0);
          q[k][i] = pack(y.x * scale, y.y * scale);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) sum[k][i] = 0;
      }
    }
    arrived<1>();
    __syncthreads();
    bf16 *stage = stages;
    if constexpr (FEW) {
      spreadOut<DIM>(stage, factors, raw + at % 2 * 4 * PAIRS * DIM, how);
      __syncthreads();
    } else
      stage += at % STAGES * STAGE;
    bool codes = FEW && how != PLAIN;
    ahead();
    bf16 *keys = stage + warp * 16 * ROW, *values = keys + PAIRS * ROW;
    float score[4] = {};
    if (codes) {
      const float *step = factors + warp / 2 * DIM, *low = step + PAIRS / GROUP * DIM;
      float base = 0;
#pragma unroll
      for (int k = 0; k < DIM / 16; k++) {
        unsigned a[4], b[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
          int c = k * 16 + lane % 4 * 2 + i * 8;
          float x = __uint_as_float(q[k][i] << 16), y = __uint_as_float(q[k][i] & 0xffff0000u);
          float2 u = *reinterpret_cast<const float2 *>(step + c), v = *reinterpret_cast<const float2 *>(low + c);
          base += x * v.x + y * v.y;
          b[i] = pack16(x * u.x, y * u.y);
        }
        matrices(a, keys + lane % 16 * ROW + k * 16 + lane / 16 * 8);
        product16(score, a, b[0], b[1]);
      }
      base += __shfl_xor_sync(~0u, base, 1);
      base += __shfl_xor_sync(~0u, base, 2);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float mineToo = __shfl_sync(~0u, base, (lane % 4 * 2 + i) * 4);
        score[i] += mineToo, score[i + 2] += mineToo;
      }
    } else {
#pragma unroll
      for (int k = 0; k < DIM / 16; k++) {
        unsigned a[4];
        matrices(a, keys + lane % 16 * ROW + k * 16 + lane / 16 * 8);
        product(score, a, q[k][0], q[k][1]);
      }
    }
    int seen = place->lens.of[h] + 1, pair = (at - pages.first[h] + pages.skipped[h]) * PAIRS + warp * 16 + lane / 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int p = pair + i / 2 * 8;
      if (p >= seen || s.window > 0 && p < seen - s.window) score[i] = -INFINITY;
    }
    float shrink[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float top = fmaxf(score[i], score[i + 2]);
      for (int j = 4; j < 32; j *= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, j));
      top = fmaxf(top, most[i]);
      float zero = top == -INFINITY ? 0 : top;
      shrink[i] = exp2f(most[i] - zero);
      score[i] = exp2f(score[i] - zero), score[i + 2] = exp2f(score[i + 2] - zero);
      most[i] = top, total[i] = total[i] * shrink[i] + score[i] + score[i + 2];
    }
    unsigned b[2];
    const float *rise = factors + 2 * PAIRS / GROUP * DIM + warp * 16 + lane / 4;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      unsigned weights;
      if (codes) {
        float step = rise[8 * i], low = rise[PAIRS + 8 * i];
        floor[0] = (i ? floor[0] : floor[0] * shrink[0]) + score[2 * i] * low;
        floor[1] = (i ? floor[1] : floor[1] * shrink[1]) + score[2 * i + 1] * low;
        weights = pack16(score[2 * i] * step, score[2 * i + 1] * step);
      } else {
        if (FEW && i == 0) floor[0] *= shrink[0], floor[1] *= shrink[1];
        weights = pack(score[2 * i], score[2 * i + 1]);
      }
      asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(b[i]) : "r"(weights));
    }
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) {
      unsigned a[4];
      turned(a, values + (lane % 8 + lane / 16 * 8) * ROW + k * 16 + lane / 8 % 2 * 8);
#pragma unroll
      for (int i = 0; i < 4; i++) sum[k][i] *= shrink[i % 2];
      if (codes)
        product16(sum[k], a, b[0], b[1]);
      else
        product(sum[k], a, b[0], b[1]);
    }
    if (at + 1 < end && at + 1 < pages.first[h + 1]) continue;

    // The head's part is done: what the warps found is put together in the stage that is free now.
    float *sums = reinterpret_cast<float *>(stage);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      for (int j = 4; j < 32; j *= 2) total[i] += __shfl_xor_sync(~0u, total[i], j);
      if constexpr (FEW) {
        for (int j = 4; j < 32; j *= 2) floor[i] += __shfl_xor_sync(~0u, floor[i], j);
#pragma unroll
        for (int k = 0; k < DIM / 16; k++) sum[k][i] += floor[i], sum[k][i + 2] += floor[i];
      }
      if (lane < 4) tops[warp][lane * 2 + i] = most[i], totals[warp][lane * 2 + i] = total[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int query = lane % 4 * 2 + i;
      float top = -INFINITY;
      for (int w = 0; w < WARPS; w++) top = fmaxf(top, tops[w][query]);
      shrink[i] = top == -INFINITY ? 0 : exp2f(most[i] - top);
#pragma unroll
      for (int k = 0; k < DIM / 16; k++) {
        float *to = sums + (warp * QUERIES + query) * DIM + k * 16 + lane / 4;
        to[0] = sum[k][i] * shrink[i], to[8] = sum[k][i + 2] * shrink[i];
      }
    }
    __syncthreads();
    float *out = part + ((size_t)(block + h) * group + base) * (DIM + 2);
    for (int i = threadIdx.x; i < mine * DIM; i += WARPS * 32) {
      float x = 0;
      for (int w = 0; w < WARPS; w++) x += sums[w * QUERIES * DIM + i];
      out[i / DIM * (DIM + 2) + i % DIM] = x;
    }
    if (threadIdx.x < mine) {
      float top = -INFINITY, x = 0;
      for (int w = 0; w < WARPS; w++) top = fmaxf(top, tops[w][threadIdx.x]);
      for (int w = 0; w < WARPS; w++)
        if (tops[w][threadIdx.x] != -INFINITY) x += totals[w][threadIdx.x] * exp2f(tops[w][threadIdx.x] - top);
      out[threadIdx.x * (DIM + 2) + DIM] = top, out[threadIdx.x * (DIM + 2) + DIM + 1] = x;
    }
    while (h + 1 < s.kvHeads && pages.first[h + 1] <= at + 1) h++;
    fresh = true;
  }
}

#define LOOK(NAME, DIM, FEW)                                                                                           \
  extern "C" __global__ void __launch_bounds__(128) NAME(float *part, const float *qkv, const Place *place, Shape s) { \
    look<DIM, FEW>(part, qkv, place, s);                                                                               \
  }
LOOK(look_16, 16, false)
LOOK(look_32, 32, false)
LOOK(look_64, 64, false)
LOOK(look_80, 80, false)
LOOK(look_96, 96, false)
LOOK(look_128, 128, false)
LOOK(look_256, 256, false)
LOOK(look_few_64, 64, true)
LOOK(look_few_128, 128, true)

// gathered puts the parts that so many blocks of look found together: a block takes 32 channels of one query head, its
// warps share the parts.
constexpr int GATHERERS = 16; // warps

extern "C" __global__ void __launch_bounds__(32 * GATHERERS) gathered(float *dst, const float *part, const Place *place, Shape s, int grid) {
  __shared__ Pages pages;
  __shared__ __align__(16) float sums[GATHERERS][32]; // aligned, so that no wide load reaches into a neighbour
  __shared__ __align__(16) float tops[GATHERERS];
  __shared__ __align__(16) float totals[GATHERERS];
  next();
  count(&pages, place, s.kvHeads, s.window);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = s.heads / s.kvHeads, h = blockIdx.x / group, dim = s.dim;
  int all = pages.first[s.kvHeads], blocks = min(grid, all), channel = blockIdx.y * 32 + lane;
  auto owner = [&](int page) { // the block that a page of this head belongs to
    int b = (int)((long long)(page + h) * blocks / (all + s.kvHeads));
    while (share(b + 1, blocks, pages, s.kvHeads, h) <= page) b++;
    return b;
  };
  int from = owner(pages.first[h]), to = owner(pages.first[h + 1] - 1);
  size_t step = (size_t)group * (dim + 2);
  const float *p = part + (size_t)(from + h) * step + blockIdx.x % group * (dim + 2);
  waited();
  // First the largest score of all parts, then the sums, so that no load waits for another.
  float top = -INFINITY, total = 0, sum = 0;
  for (int b = threadIdx.x; b <= to - from; b += 32 * GATHERERS) top = fmaxf(top, p[b * step + dim]);
  for (int i = 16; i > 0; i /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, i));
  if (lane == 0) tops[warp] = top;
  __syncthreads();
  for (int w = 0; w < GATHERERS; w++) top = fmaxf(top, tops[w]);
#pragma unroll 8
  for (int b = warp; b <= to - from; b += GATHERERS) {
    const float *x = p + b * step;
    float factor = exp2f(x[dim] - top);
    total += x[dim + 1] * factor;
    sum += (channel < dim ? x[channel] : 0) * factor;
  }
  sums[warp][lane] = sum;
  if (lane == 0) totals[warp] = total;
  __syncthreads();
  if (warp > 0 || channel >= dim) return;
  sum = total = 0;
  for (int w = 0; w < GATHERERS; w++) sum += sums[w][lane], total += totals[w];
  dst[(size_t)blockIdx.x * dim + channel] = sum / total;
}
