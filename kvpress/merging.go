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
		plan.Merge[h] = p.merges(keys, norms.Row(h), plan.Keep[h], fraction)
		return nil
	})
	return plan, err
}

// merges pairs every evicted key of a head with the kept one most like it.
func (p Merging) merges(keys tensor.Mat, norms []float32, keep []int, fraction float64) []Merge {
	const tiny = 1e-6
	if len(keep) == 0 {
		return nil
	}
	evicted := complement(keep, keys.Rows)
	kept, gone := gather(keys, keep), gather(keys, evicted)
	for _, m := range []tensor.Mat{kept, gone} {
		for i := range m.Rows {
			tensor.Scale(m.Row(i), 1/max(tensor.Norm(m.Row(i)), tiny))
		}
	}
	nearest, alike := tensor.Nearest(gone, kept)
	merges := make([]Merge, len(evicted))
	for i, at := range nearest {
		merges[i] = Merge{From: evicted[i], To: keep[at]}
	}
	least := max(float32(p.Threshold), p.quantile(alike, 1-fraction))
	for i, m := range merges {
		if alike[i] >= least {
			e, k := norms[m.From], norms[m.To]
			merges[i].Weight = max(alike[i], 0) * e / (e + k + tiny)
		}
	}
	return slices.DeleteFunc(merges, func(m Merge) bool { return m.Weight == 0 })
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
