package viz

import (
	"fmt"
	"image/color"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Used is what the keys and values of one session take, in bytes.
type Used struct {
	Press   string
	Full    int64   // all pairs of the context, uncompressed
	Live    int64   // the pairs that are held
	KV      int64   // the pages they lie in, allocated now
	Peak    int64   // most ever allocated
	ByLayer []int64 // the pairs held, by layer
}

// UsedBy measures a session.
func UsedBy(s *llm.Session) Used {
	b := s.Bytes()
	u := Used{Press: s.PressName(), Full: b.Full, Live: b.Live, KV: b.KV, Peak: b.Peak}
	total := int64(0)
	for _, lens := range s.Lens() {
		pairs := int64(0)
		for _, n := range lens {
			pairs += int64(n)
		}
		u.ByLayer = append(u.ByLayer, pairs)
		total += pairs
	}
	for l := range u.ByLayer { // a pair takes the same everywhere
		u.ByLayer[l] = u.ByLayer[l] * b.Live / max(1, total)
	}
	return u
}

// Memory draws what the keys and values of sessions take: what is held, what was freed, the peak on the way, and what
// each layer holds.
func Memory(sessions ...*llm.Session) *Chart {
	var all []Used
	for _, s := range sessions {
		all = append(all, UsedBy(s))
	}
	return MemoryOf(all...)
}

// MemoryOf is Memory for numbers from elsewhere.
func MemoryOf(all ...Used) *Chart {
	if len(all) == 0 {
		return failed("memory", fmt.Errorf("there is nothing to measure: give at least one session"))
	}
	if len(all) > 20 {
		return failed("memory", fmt.Errorf("%d sessions are more than one picture can show: give at most 20", len(all)))
	}
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	held := series{mark: bars, stacked: true, name: "pairs held", color: hues[7]}
	slack := series{mark: bars, stacked: true, name: "free room in their pages", color: color.NRGBA{120, 120, 120, 150}}
	freed := series{mark: bars, stacked: true, name: "freed", color: faint}
	peak := series{mark: points, name: "peak", color: hues[4]}
	total := panel{x: axis{name: "keys and values, MiB", zero: true}, height: 40 + 26*len(all)}
	best := 0
	f := &figure{}
	layers := 0
	for i := range all {
		u := all[len(all)-1-i] // the first one stands on top
		y := float64(i)
		add := func(s *series, n int64) {
			n = max(0, n)
			s.data = append(s.data, datum{x: mib(n), y: y, hint: fmt.Sprintf("%s: %s: %.2f MiB", u.Press, s.name, mib(n))})
		}
		add(&held, u.Live)
		add(&slack, u.KV-u.Live)
		add(&freed, u.Full-max(u.KV, u.Live))
		add(&peak, u.Peak)
		total.y.places = append(total.y.places, u.Press)
		layers = max(layers, len(u.ByLayer))
	}
	for i, u := range all {
		if u.KV < all[best].KV {
			best = i
		}
		f.summary += fmt.Sprintf("%s: %.2f of %.2f MiB held, %.2f allocated, peak %.2f\n", u.Press, mib(u.Live), mib(u.Full), mib(u.KV), mib(u.Peak))
	}
	total.series = []series{held, slack, freed, peak}
	b := all[best]
	f.title = fmt.Sprintf("%s: %.1f MiB of %.1f are left (%.0f %% freed), %.1f MiB at the peak", b.Press, mib(b.KV), mib(b.Full), 100*(1-float64(b.KV)/float64(max(1, b.Full))), mib(b.Peak))
	f.panels = []panel{total}
	if layers > 1 {
		f.panels = append(f.panels, layerMemory(all, layers))
	}
	return f.chart()
}

// layerMemory draws what each layer holds.
func layerMemory(all []Used, layers int) panel {
	p := panel{x: axis{name: "layer"}, y: axis{name: "pairs held, MiB", zero: true}, height: 170}
	parts := stretches(layers, mostMarks/2/len(all))
	for _, part := range parts {
		p.x.places = append(p.x.places, part.name)
	}
	for i, u := range all {
		s := series{mark: bars, name: u.Press, color: hue(i)}
		for at, part := range parts {
			sum := int64(0)
			for _, n := range u.ByLayer[min(part.from, len(u.ByLayer)):min(part.to, len(u.ByLayer))] {
				sum += n
			}
			mean := float64(sum) / float64(part.to-part.from) / (1 << 20)
			s.data = append(s.data, datum{x: float64(at), y: mean, hint: fmt.Sprintf("%s: layer %s: %.3f MiB", u.Press, part.name, mean)})
		}
		p.series = append(p.series, s)
	}
	return p
}
