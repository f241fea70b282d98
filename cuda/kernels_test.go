//go:build cuda && cgo

package cuda

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"gorgonia.org/cu"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Alone are figures of kernels that nothing else runs beside: of one layer of the shape of Llama 3 8B.
type alone struct {
	Attention  []attentionFigure  `json:"attention"`
	Append     []appendFigure     `json:"append"`
	Compaction []compactionFigure `json:"compaction"`
	Votes      []votesFigure      `json:"window_attention"`
}

type attentionFigure struct {
	Heads   string  `json:"heads"`
	Pairs   int     `json:"pairs"` // of all heads
	Longest int     `json:"longest_head"`
	Bits    int     `json:"bits"` // of a number of the cache
	Micros  float64 `json:"micros"`
	Ratio   float64 `json:"of_uniform"` // of equal heads with as many pairs in 16 bits
}

type appendFigure struct {
	Length     int     `json:"length"`
	Micros     float64 `json:"micros"`      // of rotation and append on the card
	HostMicros float64 `json:"host_micros"` // of finding room for the pair, in all heads
}

type compactionFigure struct {
	Length  int     `json:"length"`
	Ratio   float64 `json:"ratio"`
	Micros  float64 `json:"micros"`
	TB      float64 `json:"tb_per_s"`      // read and written
	Seconds float64 `json:"apply_seconds"` // of Apply, list of pairs and new pages included
}

type votesFigure struct {
	Length int     `json:"length"`
	Micros float64 `json:"micros"` // of the attention of 64 queries of 32 heads
	TFLOPs float64 `json:"tflop_per_s"`
}

// TestKernelsAlone times single kernels where KVNOTES_KERNELS names the file to write, and holds them to their bounds.
func TestKernelsAlone(t *testing.T) {
	out := os.Getenv("KVNOTES_KERNELS")
	if out == "" {
		t.Skip("NOT RUN: KVNOTES_KERNELS names no file for the figures")
	}
	made, err := New(Options{})
	if err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	defer made.Close()
	b := made.(*Backend)
	a := alone{Attention: attentionAlone(t, b), Append: appendAlone(t, b), Compaction: compactionAlone(t, b), Votes: votesAlone(t, b)}
	text, err := json.MarshalIndent(a, "", "\t")
	if err == nil {
		err = os.WriteFile(out, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
	for _, f := range a.Attention {
		if f.Bits == 16 && f.Pairs > 1<<19 && f.Ratio > 1.2 { // with fewer pairs starting the kernels is what counts
			t.Errorf("%s of %d pairs takes %.2f times as long as equal heads", f.Heads, f.Pairs, f.Ratio)
		}
	}
	if first, last := a.Append[0], a.Append[len(a.Append)-1]; last.Micros > 1.2*first.Micros {
		t.Errorf("an append takes %.1f us at %d pairs and %.1f at %d", first.Micros, first.Length, last.Micros, last.Length)
	}
	for _, f := range a.Compaction {
		if f.TB < 1 {
			t.Errorf("compaction of %d pairs moves %.2f TB/s", f.Length, f.TB)
		}
	}
}

// timed is the median time of some work in microseconds, of several rounds; do gets the number of its turn.
func timed(t *testing.T, d *device, rounds int, do func(turn int)) float64 {
	t.Helper()
	var micros []float64
	for i := range rounds + 3 {
		before, err := cu.MakeEvent(cu.DefaultEvent)
		if err != nil {
			t.Fatal(err)
		}
		after, err := cu.MakeEvent(cu.DefaultEvent)
		if err != nil {
			t.Fatal(err)
		}
		d.fail(before.Record(d.stream))
		do(i)
		d.fail(after.Record(d.stream))
		d.wait()
		millis, err := before.Elapsed(after)
		if err != nil {
			t.Fatal(err)
		}
		if i >= 3 { // the first ones load kernels
			micros = append(micros, 1000*millis)
		}
		d.fail(cu.DestroyEvent(&before))
		d.fail(cu.DestroyEvent(&after))
	}
	if err := d.failure(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(micros)
	return micros[len(micros)/2]
}

const (
	heads8B, kvHeads8B, dim8B = 32, 8, 128
	layersAlone               = 3 // in turn, so that no layer is found in the card's small memory
)

// noisy is a cache of random numbers whose heads have these lengths.
func noisy(t *testing.T, b *Backend, layers int, lens []int, bits int) *Cache {
	t.Helper()
	d := b.device
	c := newCache(d, half, llm.CacheShape{Layers: layers, KVHeads: len(lens), Dim: dim8B})
	r := rand.New(rand.NewPCG(5, 5))
	x := make([]float32, 4<<20)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	noise := make([]byte, 2*len(x))
	tensor.ToBF16(noise, x)
	d.enter()
	defer d.leave()
	source := d.room("noise", int64(len(noise)))
	upload(d, source, noise)
	for layer := range layers {
		for h, n := range lens {
			c.heads[layer][h].bits = bits
			if err := c.extendHead(layer, h, span(n)); err != nil {
				t.Fatal(err)
			}
			for _, p := range c.heads[layer][h].pages {
				at := source + cu.DevicePtr(256*r.Int64N((int64(len(noise))-c.pageBytes())/256))
				d.fail(cu.MemcpyDtoDAsync(p.at, at, c.pageBytes(), d.stream))
			}
		}
		if err := c.squeeze(layer); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.failure(); err != nil {
		t.Fatal(err)
	}
	return c
}

// places puts what one new token needs to know of every layer on the device.
func places(d *device, c *Cache) cu.DevicePtr {
	var list []place
	for layer, t := range c.tables {
		p := place{table: t.at, room: int32(t.room), position: 1 << 18}
		for h, head := range c.heads[layer] {
			p.lens[h] = int32(len(head.at) - 1) // the last pair is the new one
		}
		list = append(list, p)
	}
	at := d.room("places", int64(placeBytes*len(list)))
	upload(d, at, list)
	return at
}

func attentionAlone(t *testing.T, b *Backend) (all []attentionFigure) {
	d := b.device
	measure := func(name string, lens []int, bits int) attentionFigure {
		c := noisy(t, b, layersAlone, lens, bits)
		defer c.Close()
		d.enter()
		defer d.leave()
		kernel, stored := "look_128", 16
		if bits != 0 {
			kernel, stored = "look_few_128", min(bits, 8)
		}
		s := &shape{heads: heads8B, kvHeads: int32(len(lens)), dim: dim8B, tokens: 1, scale: 0.088}
		at, qkv, blocks := places(d, c), d.room("qkv", 4*(heads8B+2*kvHeads8B)*dim8B), d.lookBlocks()
		parts, dst := d.room("parts", int64((blocks+kvHeads8B)*heads8B/kvHeads8B*(dim8B+2)*4)), d.room("attended", 4*heads8B*dim8B)
		d.fail(cu.MemsetD32Async(qkv, 0x3d000000, (heads8B+2*kvHeads8B)*dim8B, d.stream))
		f := attentionFigure{Heads: name, Longest: slices.Max(lens), Bits: stored}
		for _, n := range lens {
			f.Pairs += n
		}
		const each = 12
		f.Micros = timed(t, d, 9, func(int) {
			for i := range each {
				place := at + cu.DevicePtr(i%layersAlone*placeBytes)
				d.launch(kernel, size{x: blocks, y: 1, threads: 128, shared: 3 * 2 * 2 * pagePairs * (dim8B + 8), early: true}, parts, qkv, place, s)
				d.launch("gathered", size{x: heads8B, y: dim8B / 32, threads: 512, early: true}, dst, parts, place, s, int32(blocks))
			}
		}) / each
		return f
	}
	r := rand.New(rand.NewPCG(6, 6))
	for _, n := range []int{16384, 131072} {
		equal, one, last, random := make([]int, kvHeads8B), make([]int, kvHeads8B), make([]int, kvHeads8B), make([]int, kvHeads8B)
		left := kvHeads8B * n
		for h := range equal {
			equal[h], one[h], last[h] = n, 4*n/7, 64
			random[h] = 64 + r.IntN(2*n-64)
			if left -= random[h]; h == kvHeads8B-1 {
				random[h] = max(64, random[h]+left)
			}
		}
		one[0] = 4 * n
		last[kvHeads8B-1] = kvHeads8B*n - 64*(kvHeads8B-1)
		uniform := measure("equal", equal, 0)
		uniform.Ratio = 1
		all = append(all, uniform)
		for name, lens := range map[string][]int{"one head half of all": one, "one head nearly all": last, "random lengths": random} {
			f := measure(name, lens, 0)
			f.Ratio = f.Micros / uniform.Micros * float64(uniform.Pairs) / float64(f.Pairs)
			all = append(all, f)
		}
		for _, bits := range []int{8, 4, tensor.Float8} {
			f := measure("equal", equal, bits)
			f.Ratio = f.Micros / uniform.Micros
			all = append(all, f)
		}
	}
	return all
}

func appendAlone(t *testing.T, b *Backend) (all []appendFigure) {
	d := b.device
	for _, n := range []int{1024, 32768, 131072} {
		lens := make([]int, kvHeads8B)
		for h := range lens {
			lens[h] = n - 1
		}
		c := noisy(t, b, layersAlone, lens, 0)
		f := appendFigure{Length: n}
		var host []float64
		for i := range 101 {
			d.enter()
			start := time.Now()
			for layer := range layersAlone {
				if err := c.extend(layer, []int{n + i}); err != nil {
					t.Fatal(err)
				}
			}
			host = append(host, float64(time.Since(start).Microseconds())/layersAlone)
			d.leave()
		}
		slices.Sort(host)
		f.HostMicros = host[len(host)/2]
		d.enter()
		s := &shape{heads: heads8B, kvHeads: kvHeads8B, dim: dim8B, tokens: 1, scale: 0.088}
		at, qkv := places(d, c), d.room("qkv", 4*(heads8B+2*kvHeads8B)*dim8B)
		freq := d.room("angles", 4*dim8B/2)
		d.fail(cu.MemsetD32Async(freq, 0x3c000000, dim8B/2, d.stream))
		const each = 30
		f.Micros = timed(t, d, 9, func(int) {
			for i := range each {
				d.launch("rotate_one", size{x: heads8B + 2*kvHeads8B, y: 1, threads: 64, shared: 4 * dim8B, early: true}, qkv, at+cu.DevicePtr(i%layersAlone*placeBytes), s,
					freq, int32(dim8B/2), float32(1), cu.DevicePtr(0), cu.DevicePtr(0), float32(0))
			}
		}) / each
		d.leave()
		c.Close()
		all = append(all, f)
	}
	return all
}

func compactionAlone(t *testing.T, b *Backend) (all []compactionFigure) {
	d := b.device
	const n = 131072
	for _, ratio := range []float64{0.5, 0.9} {
		lens := make([]int, kvHeads8B)
		for h := range lens {
			lens[h] = n
		}
		c := noisy(t, b, 1, lens, 0)
		r := rand.New(rand.NewPCG(9, 9))
		plan := kvpress.Plan{Keep: make([][]int, kvHeads8B)}
		var keep []int32
		first, most := &starts{}, 0
		for h := range plan.Keep {
			share := (1 - ratio) * (0.6 + 0.8*float64(h)/7)
			for i := range n {
				if r.Float64() < share {
					plan.Keep[h], keep = append(plan.Keep[h], i), append(keep, int32(i))
				}
			}
			first[h+1], most = int32(len(keep)), max(most, len(plan.Keep[h]))
		}
		to := make([]int, kvHeads8B)
		for h := range to {
			to[h] = len(plan.Keep[h])
		}
		target := noisy(t, b, 1, to, 0)
		d.enter()
		list := d.room("keep", int64(4*len(keep)))
		upload(d, list, keep)
		f := compactionFigure{Length: n, Ratio: ratio}
		f.Micros = timed(t, d, 9, func(int) {
			d.launch("gather", size{x: (most + 7) / 8, y: kvHeads8B, threads: 256}, target.tables[0].at, c.tables[0].at, list, first, int32(target.tables[0].room),
				int32(c.tables[0].room), int32(2*dim8B/16))
		})
		d.leave()
		f.TB = float64(len(keep)) * 2 * 4 * dim8B / f.Micros / 1e6
		target.Close()
		start := time.Now()
		if err := c.Apply(0, plan, tensor.Rope{}); err != nil {
			t.Fatal(err)
		}
		d.enter()
		d.wait()
		d.leave()
		f.Seconds = time.Since(start).Seconds()
		c.Close()
		all = append(all, f)
	}
	return all
}

func votesAlone(t *testing.T, b *Backend) (all []votesFigure) {
	d := b.device
	for _, n := range []int{32768, 131072} {
		lens := make([]int, kvHeads8B)
		for h := range lens {
			lens[h] = n
		}
		c := noisy(t, b, 1, lens, 0)
		p := llm.Projections{Attention: llm.Attention{Heads: heads8B, KVHeads: kvHeads8B, Dim: dim8B, Scale: 0.088}}
		l := &layer{b: b, cache: c, p: p}
		for h := range lens {
			l.at = append(l.at, c.Positions(0, h))
		}
		queries, err := b.Alloc(scoreRows, heads8B*dim8B)
		if err != nil {
			t.Fatal(err)
		}
		weights, at := make([]float32, scoreRows), make([]int, scoreRows)
		for i := range at {
			at[i], weights[i] = n-scoreRows+i, 1
		}
		d.enter()
		_, out := d.result(heads8B, n)
		d.fail(cu.MemsetD32Async(pointer(queries), 0x3d000000, scoreRows*heads8B*dim8B, d.stream))
		f := votesFigure{Length: n, Micros: timed(t, d, 9, func(int) { l.vote(out, queries, at, weights) })}
		f.TFLOPs = 2 * scoreRows * heads8B * dim8B * float64(n) / f.Micros / 1e6
		d.leave()
		c.Close()
		all = append(all, f)
	}
	return all
}

// TestVotes compares the attention of last queries on the tensor cores with the way that every card can go.
func TestVotes(t *testing.T) {
	made, err := New(Options{})
	if err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	defer made.Close()
	b := made.(*Backend)
	formats, counts := []int{0, 8, 4}, []int{1, 64, 100}
	if testing.Short() {
		formats, counts = []int{0}, []int{100}
	}
	for _, bits := range formats {
		c := noisy(t, b, 1, []int{700, 64, 129, 1000}, bits)
		r := rand.New(rand.NewPCG(2, 2))
		for _, rows := range counts {
			for _, window := range []int{0, 90} {
				l := &layer{b: b, cache: c, p: llm.Projections{Attention: llm.Attention{Heads: 8, KVHeads: 4, Dim: dim8B, Scale: 0.088, Window: window}}}
				for h := range 4 {
					l.at = append(l.at, c.Positions(0, h))
				}
				queries, err := b.Alloc(rows, 8*dim8B)
				if err != nil {
					t.Fatal(err)
				}
				x, weights, at := make([]float32, rows*8*dim8B), make([]float32, rows), make([]int, rows)
				for i := range x {
					x[i] = float32(r.NormFloat64())
				}
				for i := range at {
					at[i], weights[i] = 1000-rows+i, r.Float32()
				}
				if err := b.Write(queries, x); err != nil {
					t.Fatal(err)
				}
				var found [2]tensor.Mat
				for way, find := range []func(out, queries llm.Buf, at []int, weights []float32){l.vote, l.weighAlone} {
					b.device.enter()
					r, out := b.device.result(8, 1000)
					find(out, queries, at, weights)
					coming, err := b.device.send(r, out, "votes")
					b.device.leave()
					if err == nil {
						found[way], err = coming()
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				for i, v := range found[1].Data {
					if d := float64(found[0].Data[i] - v); d > 1e-4*float64(v)+1e-6 || d < -1e-4*float64(v)-1e-6 || d != d {
						t.Fatalf("%d bits, %d queries, window %d: vote %d is %g, want %g", bits, rows, window, i, found[0].Data[i], v)
					}
				}
			}
		}
		c.Close()
	}
}
