package viz

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Sampled are the numbers of some channels over the tokens of a text.
type Sampled struct {
	Of     string     // "layer 3, query head 0"
	Values tensor.Mat // (tokens, channels)
}

// skipped first tokens: attention sinks, whose states are unlike all others.
const skipped = 4

// QueryGaussian draws how close the queries of one head before RoPE, channel by channel, are to a Gaussian, which
// expected_attention takes them for: histograms of the channels that come closest, that lie in the middle, and that
// come least close. Head -1 looks at the hidden states that the queries are made of. The first four tokens are left
// out. Needs a session that recorded hidden states.
func QueryGaussian(s *llm.Session, layer, head int) *Chart {
	l, err := s.Layer(layer)
	if err != nil {
		return failed("queries", err)
	}
	d := Sampled{Of: fmt.Sprintf("layer %d, query head %d", layer, head)}
	if head < 0 {
		d.Of = fmt.Sprintf("layer %d, hidden states", layer)
		d.Values, err = l.Hidden()
	} else {
		d.Values, err = l.Queries(head, l.Tokens)
	}
	if err != nil {
		return failed("queries", err)
	}
	d.Values = d.Values.Slice(min(skipped, d.Values.Rows), d.Values.Rows)
	return QueryGaussianOf(d)
}

// A channel is one column of the samples, as multiples of its deviation, ascending.
type channel struct {
	index    int
	values   []float64
	distance float64 // Kolmogorov and Smirnov's: between its distribution function and the Gaussian one
}

// QueryGaussianOf is QueryGaussian for numbers from elsewhere.
func QueryGaussianOf(d Sampled) *Chart {
	if err := intact("samples", d.Values); err != nil {
		return failed(d.Of, err)
	}
	var all []channel
	for c := range d.Values.Cols {
		if one, ok := standard(d.Values, c); ok {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return failed(d.Of, fmt.Errorf("no channel has two different numbers: use a text of more than %d tokens", skipped+1))
	}
	slices.SortStableFunc(all, func(a, b channel) int { return cmp.Compare(a.distance, b.distance) })
	middle, worst := all[len(all)/2], all[len(all)-1]
	f := &figure{}
	f.title = fmt.Sprintf("%s: half of the channels are within %.3f of a Gaussian, the worst is %.3f away", d.Of, middle.distance, worst.distance)
	f.summary = fmt.Sprintf("%d channels over %d tokens. The distance is the largest difference between the two distribution functions; chance alone gives about %.3f.",
		len(all), d.Values.Rows, 0.87/math.Sqrt(float64(d.Values.Rows)))
	seen := map[int]bool{}
	for _, pick := range []struct {
		what string
		channel
	}{{"closest", all[0]}, {"middle", middle}, {"farthest", worst}} {
		if !seen[pick.index] {
			seen[pick.index] = true
			f.panels = append(f.panels, pick.panel(pick.what))
		}
	}
	return f.chart()
}

// standard is a channel in multiples of its deviation from its mean.
func standard(values tensor.Mat, c int) (channel, bool) {
	one := channel{index: c}
	sum, squares := 0.0, 0.0
	for i := range values.Rows {
		v := float64(values.At(i, c))
		if !finite(v) {
			continue
		}
		one.values = append(one.values, v)
		sum += v
	}
	n := float64(len(one.values))
	for _, v := range one.values {
		squares += (v - sum/n) * (v - sum/n)
	}
	deviation := math.Sqrt(squares / n)
	if len(one.values) < 2 || !(deviation > 0) {
		return one, false
	}
	for i := range one.values {
		one.values[i] = (one.values[i] - sum/n) / deviation
	}
	slices.Sort(one.values)
	for i, v := range one.values {
		below := math.Erfc(-v/math.Sqrt2) / 2
		one.distance = max(one.distance, below-float64(i)/n, float64(i+1)/n-below)
	}
	return one, true
}

// panel is the histogram of the channel under the bell of a Gaussian.
func (c channel) panel(what string) panel {
	const bins, edge = 41, 4.1 // of a fifth of a deviation
	const step = 2 * edge / bins
	counts := make([]float64, bins)
	for _, v := range c.values {
		if at := int(math.Floor((v + edge) / step)); at >= 0 && at < bins {
			counts[at]++
		}
	}
	histogram := series{mark: area, name: "tokens", color: hue(0)}
	bell := series{mark: line, name: "Gaussian", color: hues[4]}
	for i, n := range counts {
		x := -edge + step*(float64(i)+0.5)
		histogram.data = append(histogram.data, datum{x: x, y: 100 * n / float64(len(c.values))})
		bell.data = append(bell.data, datum{x: x, y: 100 * step * math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)})
	}
	return panel{
		x:      axis{name: fmt.Sprintf("channel %d (%s, distance %.3f), in deviations from its mean", c.index, what, c.distance)},
		y:      axis{name: "% of tokens", zero: true},
		series: []series{histogram, bell}, height: 120,
	}
}
