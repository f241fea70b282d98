package kvpress

import (
	"fmt"
	"math"
	"slices"

	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Merging folds the value of every evicted pair into the kept pair whose key is most like its own, instead of losing
// it. After token merging, Bolya et al., arXiv 2210.09461, and D2O, Wan et al., arXiv 2406.13035.
type Merging struct {
	Scorer    Scorer
	Budget    Budget
	Threshold float64 // least cosine of two keys whose values merge
	Fraction  float64 // share of the evicted pairs that merge, those most alike; 0 means 1: all
	Compat    bool    // as the Python original: nothing merges when too few pairs reach the threshold for the fraction
}

func init() {
	Register(Method{Name: "merging", Paper: "arXiv 2210.09461, 2406.13035", Press: Merging{}})
}

// Name spells the press, such as "merging(snapkv, threshold=0.3):0.5".
func (p Merging) Name() string { return Spell("merging", p) }

// Plan keeps the best pairs of each head and says what the others leave behind.
func (p Merging) Plan(l *Layer) (Plan, error) {
	fraction, err := share("fraction", p.Fraction, 1)
	if err != nil {
		return Plan{}, l.at("merging", err)
	}
	if !(math.Abs(p.Threshold) <= 1) {
		return Plan{}, l.at("merging", fmt.Errorf("%w: threshold is %v: it is a cosine, from -1 to 1", ErrBadParameter, p.Threshold))
	}
	plan, err := TopKPress{p.Scorer, p.Budget}.Plan(l)
	if err != nil || p.Budget.KeepsAll(l) {
		return plan, err
	}
	norms, err := l.ValueNorms()
	if err != nil {
		return Plan{}, err
	}
	plan.Merge = make([][]Merge, l.KVHeads)
	err = eachHead(l.KVHeads, func(h int) error {
		keys, err := l.rows(h, false)
		if err != nil {
			return err
		}
		plan.Merge[h], err = p.merges(keys, norms.Row(h), plan.Keep[h], fraction)
		return err
	})
	return plan, err
}

// merges pairs every evicted key of a head with the kept one most like it.
func (p Merging) merges(keys tensor.Mat, norms []float32, keep []int, fraction float64) ([]Merge, error) {
	const tiny = 1e-6
	if len(keep) == 0 {
		return nil, nil
	}
	evicted := complement(keep, keys.Rows)
	kept, gone := gather(keys, keep), gather(keys, evicted)
	for _, m := range []tensor.Mat{kept, gone} {
		for i := range m.Rows {
			tensor.Scale(m.Row(i), 1/max(tensor.Norm(m.Row(i)), tiny))
		}
	}
	packed, err := tensor.PackF32(kept.Rows, kept.Cols, kept.Data)
	if err != nil {
		return nil, err
	}
	merges, alike := make([]Merge, len(evicted)), make([]float32, len(evicted))
	cosines := tensor.New(mergeRows, len(keep))
	for from := 0; from < len(evicted); from += mergeRows {
		to := min(from+mergeRows, len(evicted))
		packed.MulT(cosines.Slice(0, to-from), gone.Slice(from, to))
		for i := from; i < to; i++ {
			row := cosines.Row(i - from)
			best := firstLargest(row)
			alike[i], merges[i] = row[best], Merge{From: evicted[i], To: keep[best]}
		}
	}
	least := max(float32(p.Threshold), p.quantile(alike, 1-fraction))
	for i, m := range merges {
		if alike[i] >= least {
			e, k := norms[m.From], norms[m.To]
			merges[i].Weight = max(alike[i], 0) * e / (e + k + tiny)
		}
	}
	return slices.DeleteFunc(merges, func(m Merge) bool { return m.Weight == 0 }), nil
}

// mergeRows is the number of evicted keys whose cosines with all kept ones are found at a time: they stay in the second cache.
const mergeRows = 48

// firstLargest is the place of the largest number, the first one when several are as large; 0 when none is a number.
func firstLargest(x []float32) int {
	const step = 128
	most, at := float32(math.Inf(-1)), 0
	for from := 0; from < len(x); from += step {
		if top := tensor.Max(x[from:min(from+step, len(x))]); top > most {
			most, at = top, from
		}
	}
	return at + max(0, slices.Index(x[at:min(at+step, len(x))], most))
}

// quantile is the q-quantile of the cosines, those below the threshold counting as minus infinity; between two
// numbers it is interpolated.
func (p Merging) quantile(alike []float32, q float64) float32 {
	low := float32(math.Inf(-1))
	if q <= 0 || len(alike) == 0 {
		return low
	}
	sorted := slices.Clone(alike)
	for i, x := range sorted {
		if x < float32(p.Threshold) {
			sorted[i] = low
		}
	}
	slices.Sort(sorted)
	at := q * float64(len(sorted)-1)
	i := int(at)
	below, above, step := sorted[i], sorted[min(i+1, len(sorted)-1)], float32(at-float64(i))
	switch {
	case below == low && !p.Compat:
		return low
	case step < 0.5:
		return below + step*(above-below) // with minus infinity this is no number, and nothing is as large
	}
	return above - (above-below)*(1-step)
}

// complement lists the numbers below n that are not in the ascending list.
func complement(list []int, n int) []int {
	rest := make([]int, 0, n-len(list))
	for i := range n {
		if len(list) > 0 && list[0] == i {
			list = list[1:]
			continue
		}
		rest = append(rest, i)
	}
	return rest
}
