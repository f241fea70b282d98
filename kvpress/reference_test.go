package kvpress_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/internal/reference"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A result is what became of the cases of one press.
type result struct {
	cases, mismatches, ties, notBuilt, edited int
	largest                                   float64 // relative difference of scores
}

// TestReferenceScores compares what every press that looks at one layer scores, keeps and edits with what the Python
// original did, on layers made by a plain forward pass. Logits and answers are compared by package llm.
func TestReferenceScores(t *testing.T) {
	for _, root := range reference.Roots(t) {
		dirs, err := filepath.Glob(filepath.Join(root, "tiny", "*"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("no tiny cases in %s: %v", root, err)
		}
		for _, dir := range dirs {
			t.Run(filepath.Base(dir), func(t *testing.T) { compareGroup(t, root, dir) })
		}
	}
}

func compareGroup(t *testing.T, root, dir string) {
	g, err := reference.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]*result{}
	twins := map[string]*twin{} // by context
	for _, c := range g.Cases {
		if c.Spec == nil || c.Error != "" {
			continue // no press, or one that failed in Python
		}
		m := twins[c.Context]
		if m == nil {
			ids, err := c.ContextIDs()
			if err != nil {
				t.Fatal(err)
			}
			if m = readTwin(t, filepath.Join(root, g.Model), ids); m == nil {
				t.Logf("%s is no plain Llama: package llm compares it", g.Model)
				return
			}
			twins[c.Context] = m
		}
		r := results[c.Label]
		if r == nil {
			r = &result{}
			results[c.Label] = r
		}
		compareCase(t, m, c, r)
	}
	var labels, notBuilt []string
	for label, r := range results {
		labels = append(labels, label)
		if r.notBuilt > 0 {
			notBuilt = append(notBuilt, label)
		}
	}
	sort.Strings(labels)
	for _, label := range labels {
		if r := results[label]; r.notBuilt == 0 {
			t.Logf("%-34s %d cases, %d mismatches, %d ties excused, %d edited tensors, largest score difference %.1e", label, r.cases, r.mismatches, r.ties, r.edited, r.largest)
		}
	}
	t.Logf("%d presses need the model again, act while decoding or are not built: %s", len(notBuilt), strings.Join(notBuilt, ", "))
}

func compareCase(t *testing.T, m *twin, c *reference.Case, r *result) {
	t.Helper()
	p, err := c.Press()
	if errors.Is(err, reference.ErrNotBuilt) {
		r.notBuilt++
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", c.ID, err)
	}
	r.cases++
	tie, err := m.compare(c, p, r)
	if tie {
		r.ties++
	}
	if err != nil {
		r.mismatches++
		t.Errorf("%s: %s: %v", c.ID, p.Name(), err)
	}
}

func (m *twin) compare(c *reference.Case, p kvpress.Press, r *result) (tie bool, err error) {
	var plans []kvpress.Plan
	for _, l := range m.layers {
		plan, err := p.Plan(l)
		if err != nil {
			return false, err
		}
		plans = append(plans, plan)
	}
	if plans[0].Wait != nil {
		if err := plans[0].Wait(plans); err != nil {
			return false, err
		}
	}
	scores, err := c.Scores()
	if err != nil {
		return false, err
	}
	kept, err := c.Kept(m.KVHeads)
	if err != nil {
		return false, err
	}
	for i, plan := range plans {
		if err := plan.Check(m.layers[i]); err != nil {
			return false, err
		}
		if scores != nil && plan.Scores.Rows > 0 {
			if err := compareScores(plan.Scores, scores[i], c.Tolerance(), r); err != nil {
				return false, fmt.Errorf("layer %d: %w", i, err)
			}
		}
		if kept == nil {
			continue
		}
		for h := range plan.Keep {
			if slices.Equal(plan.Keep[h], kept[i][h]) {
				continue
			}
			if !c.Ambiguous && !closeCall(plan, h, kept[i][h]) {
				return false, fmt.Errorf("layer %d: KV head %d: %d pairs kept, the reference keeps %d; ours only %v, theirs only %v", i, h, len(plan.Keep[h]), len(kept[i][h]), without(plan.Keep[h], kept[i][h]), without(kept[i][h], plan.Keep[h]))
			}
			tie = true
		}
	}
	if tie {
		return true, nil
	}
	return false, m.compareEdits(c, plans, r)
}

// closeCall reports kept pairs that differ among scores as good as equal.
func closeCall(plan kvpress.Plan, h int, theirs []int) bool {
	if plan.Scores.Rows == 0 {
		return false
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, i := range append(without(plan.Keep[h], theirs), without(theirs, plan.Keep[h])...) {
		v := float64(plan.Scores.Row(h)[i])
		low, high = min(low, v), max(high, v)
	}
	return high-low <= reference.TinyTie*max(math.Abs(low), math.Abs(high))
}

// compareScores compares at every place where the original's number means something: it overwrites protected places
// with the largest float.
func compareScores(ours, theirs tensor.Mat, tolerance reference.Tolerance, r *result) error {
	if ours.Rows != theirs.Rows || ours.Cols != theirs.Cols {
		return fmt.Errorf("scores are (%d, %d), the reference has (%d, %d)", ours.Rows, ours.Cols, theirs.Rows, theirs.Cols)
	}
	for i, want := range theirs.Data {
		if want > 1e30 {
			continue
		}
		difference := math.Abs(float64(ours.Data[i] - want))
		if !(difference <= tolerance.Absolute+tolerance.Relative*math.Abs(float64(want))) {
			return fmt.Errorf("KV head %d, pair %d scores %g, the reference has %g", i/ours.Cols, i%ours.Cols, ours.Data[i], want)
		}
		r.largest = max(r.largest, difference/max(math.Abs(float64(want)), 1e-2))
	}
	return nil
}

// compareEdits carries a plan out on the keys and values and compares them with what the original stored.
func (m *twin) compareEdits(c *reference.Case, plans []kvpress.Plan, r *result) error {
	for kind, edit := range map[string]func(*kvpress.Layer, kvpress.Plan, int) (tensor.Mat, error){"keys": m.editedKeys, "values": editedValues} {
		if c.Tensors[kind] == "" {
			continue
		}
		want, err := c.Edited(kind)
		if err != nil {
			return err
		}
		for i, plan := range plans {
			for h := range plan.Keep {
				got, err := edit(m.layers[i], plan, h)
				if err != nil {
					return err
				}
				for j, x := range want[i][h].Data {
					if math.Abs(float64(got.Data[j]-x)) > reference.EditedPairs {
						return fmt.Errorf("layer %d: KV head %d: %s: row %d differs: %g, the reference has %g", i, h, kind, j/m.Dim, got.Data[j], x)
					}
				}
			}
		}
		r.edited++
	}
	return nil
}

func (m *twin) editedKeys(l *kvpress.Layer, p kvpress.Plan, h int) (tensor.Mat, error) {
	keys, err := l.Keys(h)
	if err != nil {
		return keys, err
	}
	kept := tensor.New(len(p.Keep[h]), m.Dim)
	for i, from := range p.Keep[h] {
		copy(kept.Row(i), keys.Row(from))
		if p.Channels != nil {
			for j := range m.Dim {
				if !slices.Contains(p.Channels[h], j) {
					kept.Row(i)[j] = 0
				}
			}
		}
		if p.Rerotate {
			m.rope.Rotate(kept.Row(i), i-from)
		}
	}
	return kept, nil
}

func editedValues(l *kvpress.Layer, p kvpress.Plan, h int) (tensor.Mat, error) {
	values, err := l.Values(h)
	if err != nil {
		return values, err
	}
	merged, weight := values.Clone(), make([]float32, values.Rows)
	for _, m := range p.Merge[h] {
		tensor.AddScaled(merged.Row(m.To), m.Weight, values.Row(m.From))
		weight[m.To] += m.Weight
	}
	kept := tensor.New(len(p.Keep[h]), values.Cols)
	for i, from := range p.Keep[h] {
		tensor.AddScaled(kept.Row(i), 1/(1+weight[from]), merged.Row(from))
	}
	return kept, nil
}

// without lists what is in a and not in b.
func without(a, b []int) []int {
	var only []int
	for _, x := range a {
		if !slices.Contains(b, x) {
			only = append(only, x)
		}
	}
	return only
}
