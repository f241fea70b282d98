package viz

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// short spells a number of an axis.
func short(v float64) string {
	if v != 0 && (math.Abs(v) >= 1e7 || math.Abs(v) < 1e-4) {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	if v = round(v); v == 0 {
		return "0" // also where it is minus zero
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// brief is short with at most two digits behind the point of small numbers.
func brief(v float64) string {
	if math.Abs(v) < 100 {
		if r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 2, 64), 64); err == nil {
			return short(r)
		}
	}
	return short(v)
}

// steps are ticks at round numbers: about five, 1, 2 or 5 times a power of ten apart.
type steps struct{}

// Ticks makes steps a plot.Ticker.
func (steps) Ticks(low, high float64) []plot.Tick {
	if !(high > low) {
		return []plot.Tick{{Value: low, Label: short(low)}}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/5)))
	for _, times := range []float64{2, 2.5, 2} { // 2, 5, 10
		if (high-low)/step > 7 {
			step *= times
		}
	}
	var all []plot.Tick
	for i := math.Ceil(low / step); i*step <= high+step*1e-9 && len(all) < 20; i++ {
		all = append(all, plot.Tick{Value: i * step, Label: short(i * step)})
	}
	return all
}

// powers are ticks at the powers of ten; where these are fewer than two, at 1, 2 and 5 times as well.
type powers struct{}

// Ticks makes powers a plot.Ticker.
func (powers) Ticks(low, high float64) []plot.Tick {
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	every := math.Max(1, math.Ceil((last-first)/8))
	times := []float64{1}
	if last-first <= 2 {
		times = []float64{1, 2, 5}
	}
	var all []plot.Tick
	for e := first; e <= last; e += every {
		for _, t := range times {
			if v := t * math.Pow(10, e); v >= low && v <= high {
				all = append(all, plot.Tick{Value: v, Label: short(v)})
			}
		}
	}
	return all
}

// places are the ticks of an axis of categories: all of them, or some when there are many.
type places []string

// Ticks makes places a plot.Ticker.
func (p places) Ticks(_, _ float64) []plot.Tick {
	longest := 1
	for _, name := range p {
		longest = max(longest, len(name))
	}
	step := max(1, (len(p)*(longest+2)+99)/100)
	if longest > 12 { // names that stand beside a y axis
		step = 1
	}
	var all []plot.Tick
	for i := 0; i < len(p); i += step {
		all = append(all, plot.Tick{Value: float64(i), Label: p[i]})
	}
	return all
}
