package kvpress

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// A Budget says how much of a cache may stay: a ratio removed, a number of tokens per head, or bytes in all.
// Make one with Ratio, Tokens or Bytes.
type Budget struct {
	Removed float64 // fraction of the pairs that goes, 0 <= Removed <= 1; counts when the other two are 0
	PerHead int     // pairs that each KV head keeps
	Total   int64   // bytes of all layers and heads together
}

// Ratio is the budget that removes the fraction r of all pairs. r = 0 keeps everything, r = 1 removes everything.
func Ratio(r float64) Budget { return Budget{Removed: r} }

// Tokens is the budget of n pairs for every KV head.
func Tokens(n int) Budget { return Budget{PerHead: n} }

// Bytes is the budget of n bytes for all layers and heads together, shared equally.
func Bytes(n int64) Budget { return Budget{Total: n} }

// KeepCount is the number of n pairs that stay when the ratio r is removed: 0 when r is 1, else at least 1. The
// product is truncated in float64 as the Python original does; an exact rational result would differ.
func KeepCount(n int, r float64) int {
	if r >= 1 {
		return 0
	}
	return min(n, max(1, int(float64(n)*(1-r))))
}

// String spells the budget as it stands after the colon of a press: "0.5", "512tok", "64MiB".
func (b Budget) String() string {
	switch {
	case b.PerHead != 0:
		return strconv.Itoa(b.PerHead) + "tok"
	case b.Total != 0:
		for _, u := range byteUnits {
			if b.Total%u.size == 0 {
				return strconv.FormatInt(b.Total/u.size, 10) + u.name
			}
		}
	}
	return strconv.FormatFloat(b.Removed, 'g', -1, 64)
}

var byteUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseBudget reads a budget: "0.5" removes half of the pairs, "512tok" keeps 512 pairs per head, "64MiB" keeps
// 64 MiB in all.
func ParseBudget(s string) (Budget, error) {
	number := strings.TrimRight(s, "tokGMKiB")
	unit := s[len(number):]
	if unit == "" {
		r, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return Budget{}, fmt.Errorf("budget %q: write a ratio (0.5), tokens per head (512tok) or bytes (64MiB)", s)
		}
		b := Ratio(r)
		return b, b.Check()
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err == nil && unit == "tok" {
		b := Budget{PerHead: int(n)}
		return b, b.Check()
	}
	for _, u := range byteUnits {
		if err == nil && u.name == unit && n <= math.MaxInt64/u.size {
			b := Budget{Total: n * u.size}
			return b, b.Check()
		}
	}
	return Budget{}, fmt.Errorf("budget %q: write a ratio (0.5), tokens per head (512tok) or bytes (64MiB)", s)
}

// Check reports a budget that makes no sense.
func (b Budget) Check() error {
	if !(b.Removed >= 0 && b.Removed <= 1) { // also refuses NaN
		return fmt.Errorf("%w: ratio %v: it is the fraction removed, from 0 (keep all) to 1 (keep none)", ErrBadParameter, b.Removed)
	}
	if b.PerHead < 0 || b.Total < 0 {
		return fmt.Errorf("%w: budget %s is negative", ErrBadParameter, b)
	}
	return nil
}

// Keep is the number of pairs that one head of n pairs may keep in a layer like l.
func (b Budget) Keep(l *Layer, n int) int {
	switch {
	case b.PerHead > 0:
		return min(n, b.PerHead)
	case b.Total > 0:
		return min(n, int(b.Total/int64(l.Layers*l.KVHeads*max(1, l.PairBytes))))
	}
	return KeepCount(n, b.Removed)
}

// keep is the number of n pairs that may stay before it is truncated to a whole one.
func (b Budget) keep(l *Layer, n int) float64 {
	if b.isRatio() {
		return float64(n) * (1 - b.Removed)
	}
	return float64(b.Keep(l, n))
}

// keepOfLayer is the number of pairs that all heads of a layer may keep together, truncated once. What a head does not
// use of a count is there for the others.
func (b Budget) keepOfLayer(l *Layer) int {
	if !l.Ragged() || !b.isRatio() {
		return int(b.keep(l, l.Len) * float64(l.KVHeads))
	}
	total := 0.0
	for _, n := range l.Lens {
		total += b.keep(l, n)
	}
	return int(total)
}

// isRatio reports a budget that is a fraction, not a count.
func (b Budget) isRatio() bool { return b.PerHead == 0 && b.Total == 0 }

// removesNothing reports a ratio of 0, which is the same for all layers.
func (b Budget) removesNothing() bool { return b == Budget{} }

// settled reports a budget that leaves nothing to decide: one that makes no sense, or that keeps everything.
func (b Budget) settled(l *Layer) (bool, Plan, error) {
	if err := b.Check(); err != nil {
		return true, Plan{}, l.at("", err)
	}
	if b.KeepsAll(l) {
		return true, KeepAll(l), nil
	}
	return false, Plan{}, nil
}

// RatioOf is the fraction that the budget removes from a layer like l: KeepCount of it gives back the count.
func (b Budget) RatioOf(l *Layer) float64 {
	if b.isRatio() {
		return b.Removed
	}
	keep := b.Keep(l, l.Len)
	switch keep {
	case l.Len:
		return 0
	case 0:
		return 1
	}
	return 1 - (float64(keep)+0.5)/float64(l.Len) // the half survives rounding
}

// KeepsAll reports whether the budget leaves a layer like l as it is.
func (b Budget) KeepsAll(l *Layer) bool {
	if b.removesNothing() {
		return true
	}
	for _, n := range l.Lens {
		if b.Keep(l, n) < n {
			return false
		}
	}
	return true
}

// BudgetOf is the budget of a press; an error for a press that has none, such as think.
func BudgetOf(p Press) (Budget, error) {
	if v := reflect.ValueOf(p); v.Kind() == reflect.Struct {
		if f, ok := fieldOf(v, budgetType); ok {
			return f.Interface().(Budget), nil
		}
	}
	return Budget{}, fmt.Errorf("%w: %s has no budget of its own: take a scorer with TopK, or a head-wise press such as adakv", ErrBadParameter, p.Name())
}

// WithBudget is the press with another budget.
func WithBudget(p Press, b Budget) (Press, error) {
	if _, err := BudgetOf(p); err != nil {
		return nil, err
	}
	v := reflect.New(reflect.TypeOf(p)).Elem()
	v.Set(reflect.ValueOf(p))
	f, _ := fieldOf(v, budgetType)
	f.Set(reflect.ValueOf(b))
	return v.Interface().(Press), nil
}
