// Package presstest checks the promises that every press and every scorer keeps, on a small invented model. It is
// meant for those who write one, in Go or in a notebook cell:
//
//	err := presstest.CheckScorer(MyScorer{})
//
// Shapes and units: an invented layer has 3 KV heads and 6 query heads of 16 channels; a ratio is the share of pairs removed.
package presstest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// context is the length that a press must work with; it is no multiple of a page or block.
const context = 301

// Check reports the first promise that a press breaks:
//
//   - it has a name, always the same one;
//   - its plans fit the layer: places ascending, each once, none outside;
//   - it changes nothing, and gives the same plan for the same layer, also from several goroutines;
//   - equal scores, short contexts, heads of different lengths and keys that are no numbers lead to a plan that fits
//     or to an error, never to a panic.
func Check(p kvpress.Press) (err error) {
	defer recovered(&err)
	if err := checkName(p.Name()); err != nil {
		return err
	}
	if first := p.Name(); first != p.Name() {
		return fmt.Errorf("press %s: the name changes from call to call", p.Name())
	}
	if err := checkPlans(p); err != nil {
		return fmt.Errorf("press %s: %w", p.Name(), err)
	}
	return nil
}

// CheckScorer reports the first promise that a scorer breaks: those of Check for the presses that TopK, Ada and Global
// make of it, and
//
//   - it gives one number for every pair, none of them NaN;
//   - a budget is met exactly: a ratio of 0 keeps all, others keep what KeepCount says;
//   - positions it forces are kept, also when all scores are equal.
func CheckScorer(s kvpress.Scorer) (err error) {
	defer recovered(&err)
	if err := checkName(s.Name()); err != nil {
		return err
	}
	half := kvpress.Ratio(0.5)
	for _, p := range []kvpress.Press{kvpress.TopK(s, half), kvpress.Ada(s, half, 0.2), kvpress.Global(s, half, 0.2)} {
		if err := Check(p); err != nil {
			return err
		}
	}
	for _, l := range []*kvpress.Layer{layer(0, context, 1), layer(0, context, 0)} {
		if err := checkBudget(s, l); err != nil {
			return fmt.Errorf("scorer %s: %w", s.Name(), err)
		}
	}
	return nil
}

func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: the name is empty: it is how people ask for the press", kvpress.ErrBadParameter)
	}
	return nil
}

func checkPlans(p kvpress.Press) error {
	layers := Layers(context)
	before, err := numbers(layers)
	if err != nil {
		return err
	}
	first, err := plans(p, layers)
	if err != nil {
		return err
	}
	after, err := numbers(layers)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(before, after) {
		return errors.New("it changed the keys or values of the layer: work on what the verbs return, which is a copy")
	}
	if err := checkRepeats(p, layers, first); err != nil {
		return err
	}
	ragged, err := pressed(layers)
	if err != nil {
		return err
	}
	odd := []*kvpress.Layer{layer(0, context, 0), broken(context), ragged}
	for tokens := 1; tokens < context; tokens = tokens*2 + 1 {
		odd = append(odd, layer(0, tokens, 1))
	}
	for _, l := range odd {
		plan, err := guarded(p, l)
		if _, broke := errors.AsType[panicked](err); broke {
			return fmt.Errorf("with %v pairs: %w", l.Lens, err)
		}
		if err == nil && plan.Wait == nil {
			if err := plan.Check(l); err != nil {
				return fmt.Errorf("with %v pairs: %w", l.Lens, err)
			}
		}
	}
	return nil
}

// checkRepeats asks for the same plans again, all at once.
func checkRepeats(p kvpress.Press, layers []*kvpress.Layer, first []kvpress.Plan) error {
	var wait sync.WaitGroup
	again, errs := make([][]kvpress.Plan, 4), make([]error, 4)
	for i := range again {
		wait.Go(func() { again[i], errs[i] = plans(p, layers) })
	}
	wait.Wait()
	for i := range again {
		if errs[i] != nil {
			return fmt.Errorf("the same layers again: %w", errs[i])
		}
		for j, plan := range again[i] {
			if !reflect.DeepEqual(plan.Keep, first[j].Keep) {
				return fmt.Errorf("layer %d: the same layer got a different plan: seed what is random, and keep no state between calls", j)
			}
		}
	}
	return nil
}

// plans asks for the plans of all layers, settles those that wait, and checks that they fit.
func plans(p kvpress.Press, layers []*kvpress.Layer) (all []kvpress.Plan, err error) {
	defer recovered(&err)
	all = make([]kvpress.Plan, len(layers))
	for i, l := range layers {
		if all[i], err = guarded(p, l); err != nil {
			return nil, err
		}
	}
	if all[0].Wait != nil {
		if err := all[0].Wait(all); err != nil {
			return nil, err
		}
	}
	for i, plan := range all {
		if err := plan.Check(layers[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// panicked is the error of a call that panicked.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("it panicked: %v: return an error", p.value) }

// recovered turns a panic into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = panicked{r}
	}
}

func guarded(p kvpress.Press, l *kvpress.Layer) (plan kvpress.Plan, err error) {
	defer recovered(&err)
	return p.Plan(l)
}

// pressed is a layer whose heads hold different numbers of pairs.
func pressed(layers []*kvpress.Layer) (*kvpress.Layer, error) {
	plan, err := kvpress.Ada(kvpress.KeyDiff{}, kvpress.Ratio(0.3), 0.2).Plan(layers[0])
	if err != nil {
		return nil, err
	}
	return layers[0].Select(plan.Keep)
}

// numbers copies all keys and values.
func numbers(layers []*kvpress.Layer) ([]tensor.Mat, error) {
	var all []tensor.Mat
	for _, l := range layers {
		for h := range l.KVHeads {
			keys, err := l.Keys(h)
			if err != nil {
				return nil, err
			}
			values, err := l.Values(h)
			if err != nil {
				return nil, err
			}
			all = append(all, keys, values)
		}
	}
	return all, nil
}

func checkBudget(s kvpress.Scorer, l *kvpress.Layer) error {
	scores, err := s.Score(l)
	if err != nil {
		return err
	}
	if scores.Values.Rows != l.KVHeads || scores.Values.Cols != l.Len {
		return fmt.Errorf("scores are (%d, %d), the layer has %d KV heads of %d pairs", scores.Values.Rows, scores.Values.Cols, l.KVHeads, l.Len)
	}
	for i, v := range scores.Values.Data {
		if math.IsNaN(float64(v)) {
			return fmt.Errorf("the score of KV head %d, pair %d is not a number", i/l.Len, i%l.Len)
		}
	}
	for _, ratio := range []float64{0, 0.1, 0.5, 0.73} {
		plan, err := kvpress.TopK(s, kvpress.Ratio(ratio)).Plan(l)
		if err != nil {
			return err
		}
		want := kvpress.KeepCount(l.Len, ratio)
		for h, keep := range plan.Keep {
			if len(keep) != want {
				return fmt.Errorf("ratio %v: KV head %d keeps %d pairs instead of %d", ratio, h, len(keep), want)
			}
			if missing := absent(keep, plan.Force); len(plan.Force) <= want && len(missing) > 0 {
				return fmt.Errorf("ratio %v: KV head %d lost positions %v, which are to stay", ratio, h, missing)
			}
		}
	}
	return nil
}

// absent lists the entries of wanted that are not in list.
func absent(list, wanted []int) []int {
	held := map[int]bool{}
	for _, i := range list {
		held[i] = true
	}
	var missing []int
	for _, i := range wanted {
		if !held[i] {
			missing = append(missing, i)
		}
	}
	return missing
}
