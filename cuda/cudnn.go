//go:build cuda && cgo

package cuda

/*
#include <dlfcn.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// What is used of cuDNN 9's graph interface. Its numbers are fixed: they are part of its binary interface.
typedef void *descriptor;
enum { POINTWISE = 0, ENGINE_CONFIG = 3, HEURISTIC = 4, PLAN = 5, POINTWISE_OPERATION = 13, GRAPH = 15, PACK = 16, TENSOR = 17, MATMUL = 18,
	MATMUL_OPERATION = 19, REDUCTION = 21, REDUCTION_OPERATION = 22, PAGES_OPERATION = 35 };                   // descriptors
enum { HANDLE = 0, DATA_TYPE = 1, BOOLEAN = 2, INT64 = 3, POINTER = 6, MODE = 8, POINTWISE_MODE = 14, DESCRIPTOR = 15, REDUCTION_MODE = 18 }; // attributes
enum { FLOAT = 0, INT32 = 4, BF16 = 9, BOOL = 11 };                                                                 // numbers
enum { ADD = 0, MUL = 1, DIV = 6, SUB = 9, EXP = 13, LOG = 15, AT_LEAST = 303, BELOW = 304, AND = 400, INDEX = 501, SELECT = 601 };
enum { QUERIES = 1, KEYS, VALUES, OUT, TOKENS, PAIRS, KEY_PAGES, VALUE_PAGES, SCALE, LOWEST, LOWEST_TOO, INNER };   // tensors; INNER and on are virtual

typedef struct {
	void *library, *handle;
	int (*create)(int, descriptor *), (*destroy)(descriptor), (*finalize)(descriptor), (*set)(descriptor, int, int, int64_t, const void *);
	int (*get)(descriptor, int, int, int64_t, int64_t *, void *), (*execute)(void *, descriptor, descriptor), (*end)(void *);
} dnn;

// open_dnn finds cuDNN by name; 0 when it is there and works.
static int open_dnn(dnn *l, const char *name, void *stream) {
	l->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!l->library) return 1;
	int (*start)(void **) = (int (*)(void **))dlsym(l->library, "cudnnCreate");
	int (*use)(void *, void *) = (int (*)(void *, void *))dlsym(l->library, "cudnnSetStream");
	size_t (*version)(void) = (size_t (*)(void))dlsym(l->library, "cudnnGetVersion");
	*(void **)&l->end = dlsym(l->library, "cudnnDestroy");
	*(void **)&l->create = dlsym(l->library, "cudnnBackendCreateDescriptor");
	*(void **)&l->destroy = dlsym(l->library, "cudnnBackendDestroyDescriptor");
	*(void **)&l->finalize = dlsym(l->library, "cudnnBackendFinalize");
	*(void **)&l->set = dlsym(l->library, "cudnnBackendSetAttribute");
	*(void **)&l->get = dlsym(l->library, "cudnnBackendGetAttribute");
	*(void **)&l->execute = dlsym(l->library, "cudnnBackendExecute");
	if (!version || version() < 91000) return 1; // older ones want another mask
	if (!start || !use || !l->end || !l->create || !l->destroy || !l->finalize || !l->set || !l->get || !l->execute) return 1;
	return start(&l->handle) || use(l->handle, stream);
}

static int close_dnn(dnn *l) { return l->end(l->handle); }

// A building collects the descriptors of a graph; after the first failure nothing more is done.
typedef struct {
	dnn *l;
	int failed, made, operations;
	int64_t inner;
	int64_t sizes[4]; // of the scores: KV heads, query heads of each, tokens, pairs
	descriptor all[160], operation[32];
} building;

static descriptor make(building *g, int kind) {
	descriptor d = NULL;
	if (!g->failed) g->failed = g->l->create(kind, &d);
	if (!g->failed) g->all[g->made++] = d;
	return d;
}
static void set(building *g, descriptor d, int name, int type, int64_t n, const void *value) {
	if (!g->failed) g->failed = g->l->set(d, name, type, n, value);
}
static void set_number(building *g, descriptor d, int name, int type, int value) { set(g, d, name, type, 1, &value); }
static void set_one(building *g, descriptor d, int name, descriptor value) { set(g, d, name, DESCRIPTOR, 1, &value); }
static descriptor done(building *g, descriptor d) {
	if (!g->failed) g->failed = g->l->finalize(d);
	return d;
}
static descriptor done_operation(building *g, descriptor d) { return g->operation[g->operations++] = done(g, d); }

static descriptor tensor(building *g, int64_t number, int type, const int64_t *sizes, const int64_t *strides) {
	int64_t alignment = 16;
	char yes = 1;
	descriptor d = make(g, TENSOR);
	set_number(g, d, 901, DATA_TYPE, type);
	set(g, d, 902, INT64, 4, sizes);
	set(g, d, 903, INT64, 4, strides);
	set(g, d, 906, INT64, 1, &number);
	set(g, d, 900, INT64, 1, &alignment);
	if (number >= INNER) set(g, d, 907, BOOLEAN, 1, &yes);
	if (number == SCALE || number == LOWEST || number == LOWEST_TOO) set(g, d, 908, BOOLEAN, 1, &yes);
	return done(g, d);
}

// row_major is a tensor whose numbers lie one after the other.
static descriptor row_major(building *g, int64_t number, int type, int64_t a, int64_t b, int64_t c, int64_t d) {
	int64_t sizes[4] = {a, b, c, d}, strides[4] = {b * c * d, c * d, d, 1};
	return tensor(g, number, type, sizes, strides);
}

// scores is a virtual tensor with a number for every query and pair.
static descriptor scores(building *g, int type) {
	return row_major(g, g->inner++, type, g->sizes[0], g->sizes[1], g->sizes[2], g->sizes[3]);
}
static descriptor sums(building *g) { return row_major(g, g->inner++, FLOAT, g->sizes[0], g->sizes[1], g->sizes[2], 1); }

// pointwise is y = mode(x, b), number by number; SELECT takes x where t is true, else b. INDEX counts along an axis.
static descriptor pointwise(building *g, int mode, int type, int axis, descriptor x, descriptor b, descriptor t, descriptor y) {
	int64_t along = axis;
	descriptor how = make(g, POINTWISE);
	set_number(g, how, 0, POINTWISE_MODE, mode);
	set_number(g, how, 1, DATA_TYPE, type);
	if (mode == INDEX) set(g, how, 9, INT64, 1, &along);
	done(g, how);
	descriptor d = make(g, POINTWISE_OPERATION);
	set_one(g, d, 750, how);
	set_one(g, d, 751, x);
	set_one(g, d, 753, y);
	if (b) set_one(g, d, 752, b);
	if (t) set_one(g, d, 758, t);
	done_operation(g, d);
	return y;
}

static descriptor reduce(building *g, int mode, descriptor x, descriptor y) {
	char no = 0;
	descriptor how = make(g, REDUCTION);
	set_number(g, how, 1601, DATA_TYPE, FLOAT);
	set_number(g, how, 1600, REDUCTION_MODE, mode);
	set(g, how, 1602, BOOLEAN, 1, &no);
	done(g, how);
	descriptor d = make(g, REDUCTION_OPERATION);
	set_one(g, d, 1612, how);
	set_one(g, d, 1610, x);
	set_one(g, d, 1611, y);
	done_operation(g, d);
	return y;
}

// matmul is c = a · b over the tokens there are, and the pairs there are, which are b's columns or its rows.
static void matmul(building *g, descriptor a, descriptor b, descriptor c, descriptor tokens, descriptor pairs, int rows) {
	descriptor how = make(g, MATMUL);
	set_number(g, how, 1500, DATA_TYPE, FLOAT);
	done(g, how);
	descriptor d = make(g, MATMUL_OPERATION);
	set_one(g, d, 1520, a);
	set_one(g, d, 1521, b);
	set_one(g, d, 1522, c);
	set_one(g, d, 1523, how);
	set_one(g, d, 1525, tokens);
	set_one(g, d, rows ? 1527 : 1526, pairs);
	done_operation(g, d);
}

static descriptor pages(building *g, descriptor container, descriptor table, descriptor pairs, descriptor y) {
	descriptor d = make(g, PAGES_OPERATION);
	set_one(g, d, 1950, container);
	set_one(g, d, 1953, table);
	set_one(g, d, 1952, pairs);
	set_one(g, d, 1951, y);
	done_operation(g, d);
	return y;
}

// plan_attention plans causal attention of up to so many tokens over pages: every KV head is a sequence of its own length,
// whose batch of query heads shares its pairs; the last token sees the last pair.
static int plan_attention(dnn *l, int64_t kv, int64_t group, int64_t dim, int64_t tokens, int64_t pairs, int64_t page, int64_t most,
	descriptor *plan, int64_t *workspace) {
	building g = {.l = l, .inner = INNER, .sizes = {kv, group, tokens, pairs}};
	int64_t all = kv * group * dim;
	int64_t rows[4] = {kv, group, tokens, dim}, row[4] = {group * dim, dim, all, 1};
	int64_t blocks[4] = {most, 1, page, dim}, block[4] = {2 * page * dim, page * dim, dim, 1};
	int64_t turned[4] = {kv, 1, dim, pairs}, turn[4] = {dim * pairs, dim * pairs, 1, dim};
	descriptor q = tensor(&g, QUERIES, BF16, rows, row), out = tensor(&g, OUT, BF16, rows, row);
	descriptor keys = tensor(&g, KEYS, BF16, blocks, block), values = tensor(&g, VALUES, BF16, blocks, block);
	descriptor own = row_major(&g, TOKENS, INT32, kv, 1, 1, 1), seen = row_major(&g, PAIRS, INT32, kv, 1, 1, 1);
	descriptor keyPages = row_major(&g, KEY_PAGES, INT32, kv, 1, pairs / page, 1);
	descriptor valuePages = row_major(&g, VALUE_PAGES, INT32, kv, 1, pairs / page, 1);
	descriptor scale = row_major(&g, SCALE, FLOAT, 1, 1, 1, 1), lowest = row_major(&g, LOWEST, FLOAT, 1, 1, 1, 1);
	descriptor lowestToo = row_major(&g, LOWEST_TOO, FLOAT, 1, 1, 1, 1);

	descriptor key = pages(&g, keys, keyPages, seen, tensor(&g, g.inner++, BF16, turned, turn));
	descriptor x = scores(&g, FLOAT);
	matmul(&g, q, key, x, own, seen, 0);
	x = pointwise(&g, MUL, FLOAT, 0, x, scale, NULL, scores(&g, FLOAT));
	descriptor token = pointwise(&g, INDEX, INT32, 2, x, NULL, NULL, scores(&g, INT32));
	descriptor pair = pointwise(&g, INDEX, INT32, 3, x, NULL, NULL, scores(&g, INT32));
	descriptor a = pointwise(&g, BELOW, BOOL, 0, token, own, NULL, scores(&g, BOOL));
	descriptor b = pointwise(&g, BELOW, BOOL, 0, pair, seen, NULL, scores(&g, BOOL));
	a = pointwise(&g, AND, BOOL, 0, a, b, NULL, scores(&g, BOOL));
	x = pointwise(&g, SELECT, FLOAT, 0, x, lowest, a, scores(&g, FLOAT));
	token = pointwise(&g, INDEX, FLOAT, 2, x, NULL, NULL, scores(&g, INT32));
	pair = pointwise(&g, INDEX, FLOAT, 3, x, NULL, NULL, scores(&g, INT32));
	token = pointwise(&g, ADD, INT32, 0, token, seen, NULL, scores(&g, INT32));
	token = pointwise(&g, SUB, INT32, 0, token, own, NULL, scores(&g, INT32));
	a = pointwise(&g, AT_LEAST, BOOL, 0, token, pair, NULL, scores(&g, BOOL));
	x = pointwise(&g, SELECT, FLOAT, 0, x, lowestToo, a, scores(&g, FLOAT));
	descriptor top = reduce(&g, 3, x, sums(&g)); // MAX
	x = pointwise(&g, SUB, FLOAT, 0, x, top, NULL, scores(&g, FLOAT));
	x = pointwise(&g, EXP, FLOAT, 0, x, NULL, NULL, scores(&g, FLOAT));
	descriptor sum = reduce(&g, 0, x, sums(&g)); // ADD
	descriptor logarithm = pointwise(&g, LOG, FLOAT, 0, sum, NULL, NULL, sums(&g));
	pointwise(&g, ADD, FLOAT, 0, top, logarithm, NULL, sums(&g)); // nobody reads it; the engine looks for it
	x = pointwise(&g, DIV, FLOAT, 0, x, sum, NULL, scores(&g, BF16));
	descriptor value = pages(&g, values, valuePages, seen, row_major(&g, g.inner++, BF16, kv, 1, pairs, dim));
	matmul(&g, x, value, out, own, seen, 1);

	descriptor graph = make(&g, GRAPH);
	set(&g, graph, 801, DESCRIPTOR, g.operations, g.operation);
	set(&g, graph, 800, HANDLE, 1, &l->handle);
	done(&g, graph);
	descriptor heuristic = make(&g, HEURISTIC);
	set_one(&g, heuristic, 201, graph);
	set_number(&g, heuristic, 200, MODE, 3); // A
	done(&g, heuristic);
	descriptor configs[8];
	int64_t n = 0;
	for (int i = 0; i < 8; i++) configs[i] = make(&g, ENGINE_CONFIG);
	if (!g.failed) g.failed = l->get(heuristic, 202, DESCRIPTOR, 8, &n, configs);
	int failed = g.failed ? g.failed : 1;
	*plan = NULL;
	for (int64_t i = 0; i < n && failed; i++) {
		if ((failed = l->create(PLAN, plan))) break;
		failed = l->set(*plan, 401, DESCRIPTOR, 1, &configs[i]);
		if (!failed) failed = l->finalize(*plan);
		if (!failed) failed = l->get(*plan, 402, INT64, 1, &(int64_t){0}, workspace);
		if (failed) l->destroy(*plan), *plan = NULL;
	}
	for (int i = g.made - 1; i >= 0; i--) l->destroy(g.all[i]);
	return failed;
}

static void drop_plan(dnn *l, descriptor plan) { if (plan) l->destroy(plan); }

static int run_attention(dnn *l, descriptor plan, size_t q, size_t keys, size_t values, size_t out, size_t lens, int kv, size_t table, float scale,
	size_t workspace) {
	int64_t numbers[] = {QUERIES, KEYS, VALUES, OUT, TOKENS, PAIRS, KEY_PAGES, VALUE_PAGES, SCALE, LOWEST, LOWEST_TOO};
	float lowest = -INFINITY;
	void *at[] = {(void *)q, (void *)keys, (void *)values, (void *)out, (void *)lens, (void *)(lens + 4 * kv), (void *)table, (void *)table, &scale,
		&lowest, &lowest}, *room = (void *)workspace;
	descriptor pack;
	int r = l->create(PACK, &pack);
	if (r) return r;
	r = l->set(pack, 1000, INT64, 11, numbers);
	if (!r) r = l->set(pack, 1001, POINTER, 11, at);
	if (!r) r = l->set(pack, 1003, POINTER, 1, &room);
	if (!r) r = l->finalize(pack);
	if (!r) r = l->execute(l->handle, plan, pack);
	l->destroy(pack);
	return r;
}
*/
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// DNNVariable names the environment variable with the path of cuDNN 9; "none" leaves attention to our own kernels, and so does
// nothing on cards of compute capability 9.0, where they are faster.
const DNNVariable = "KVNOTES_CUDNN"

// mostPairs is the length up to which a head is planned for. A plan costs nothing for pairs that are not there.
const mostPairs = 1 << 20

// mostPages is how far from each other the pages of a cache may lie, in pages.
const mostPages = 1 << 26

// dnn is cuDNN, found at run time, with its plans.
type dnn struct {
	c     C.dnn
	plans map[planned]plan
}

// planned is what a plan is made for.
type planned struct{ kvHeads, group, dim, tokens int }

type plan struct {
	c         C.descriptor // nil: cuDNN has none
	workspace int64
}

// openDNN finds cuDNN, 9.10 or newer; nil where there is none. The caller holds the device.
func openDNN(d *device) (*dnn, error) {
	l := &dnn{plans: map[planned]plan{}}
	found, err := d.library(DNNVariable, func(name *C.char, stream unsafe.Pointer) C.int { return C.open_dnn(&l.c, name, stream) },
		"libcudnn.so.9", "libcudnn.so")
	if !found {
		return nil, err
	}
	return l, nil
}

// plan is made once for each shape.
func (l *dnn) plan(p planned) plan {
	made, ok := l.plans[p]
	if !ok {
		var workspace C.int64_t
		if r := C.plan_attention(&l.c, C.int64_t(p.kvHeads), C.int64_t(p.group), C.int64_t(p.dim), C.int64_t(p.tokens), mostPairs, pagePairs, mostPages,
			&made.c, &workspace); r != 0 {
			made.c = nil
		}
		made.workspace = int64(workspace)
		l.plans[p] = made
	}
	return made
}

// attend runs a plan. Keys and values of page i lie i pages behind first; lens are the new tokens, then the pairs, of
// each KV head.
func (l *dnn) attend(p plan, kvHeads, dim int, queries, first, out, lens, table, workspace cu.DevicePtr, scale float32) error {
	values := first + cu.DevicePtr(2*pagePairs*dim)
	if r := C.run_attention(&l.c, p.c, C.size_t(queries), C.size_t(first), C.size_t(values), C.size_t(out), C.size_t(lens), C.int(kvHeads), C.size_t(table),
		C.float(scale), C.size_t(workspace)); r != 0 {
		return fmt.Errorf("cuda: cuDNN: attention of %d KV heads of %d channels: error %d: %s=none leaves it out", kvHeads, dim, int(r), DNNVariable)
	}
	return nil
}

func (l *dnn) close() {
	if l == nil {
		return
	}
	for _, p := range l.plans {
		C.drop_plan(&l.c, p.c)
	}
	C.close_dnn(&l.c)
}
