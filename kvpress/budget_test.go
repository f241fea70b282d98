package kvpress

import (
	"errors"
	"testing"
)

// Numbers of the Python original.
func TestKeepCount(t *testing.T) {
	tests := []struct {
		n     int
		ratio float64
		want  int
	}{
		{23, 0.4, 13},
		{28, 0.4, 16},
		{256, 0.1, 230},
		{128, 0.2, 102},
		{128, 0.8, 25},
		{100, 0.9, 9},
		{10, 0.9, 1},
		{1000, 0.7, 300},
		{4096, 0.1, 3686},
		{5, 0.8, 1},
		{50, 0.8, 9},
		{30, 0.9, 2},
		{7, 1, 0},
		{7, 0, 7},
		{0, 0.5, 0},
	}
	for _, test := range tests {
		if got := KeepCount(test.n, test.ratio); got != test.want {
			t.Errorf("KeepCount(%d, %v) = %d, want %d", test.n, test.ratio, got, test.want)
		}
	}
}

func TestBudgetsOfAllKinds(t *testing.T) {
	l := NewLayer(Layer{Layers: 4, Heads: 2, KVHeads: 2, Dim: 8, Len: 100, Tokens: 100, PairBytes: 64}, nil)
	tests := []struct {
		budget   Budget
		keep     int
		spelling string
		keepsAll bool
	}{
		{Ratio(0.5), 50, "0.5", false},
		{Ratio(0), 100, "0", true},
		{Ratio(1), 0, "1", false},
		{Tokens(30), 30, "30tok", false},
		{Tokens(512), 100, "512tok", true},
		{Bytes(20 * 64 * 4 * 2), 20, "10KiB", false},
		{Bytes(1 << 30), 100, "1GiB", true},
		{Bytes(100), 0, "100B", false},
	}
	for _, test := range tests {
		if got := test.budget.Keep(l, l.Len); got != test.keep {
			t.Errorf("%v keeps %d of 100, want %d", test.budget, got, test.keep)
		}
		if got := test.budget.KeepsAll(l); got != test.keepsAll {
			t.Errorf("%v keeps all: %v, want %v", test.budget, got, test.keepsAll)
		}
		if test.budget.String() != test.spelling {
			t.Errorf("%v is spelled %s, want %s", test.budget, test.budget, test.spelling)
		}
		if back, err := ParseBudget(test.spelling); err != nil || back != test.budget {
			t.Errorf("%s reads as %v, %v", test.spelling, back, err)
		}
		if got := KeepCount(l.Len, test.budget.RatioOf(l)); got != test.keep {
			t.Errorf("%v: its ratio %v keeps %d, want %d", test.budget, test.budget.RatioOf(l), got, test.keep)
		}
	}
}

func TestRatioOfGivesBackEveryCount(t *testing.T) {
	for n := 1; n < 300; n++ {
		l := NewLayer(Layer{Layers: 1, Heads: 1, KVHeads: 1, Len: n, Tokens: n}, nil)
		for keep := 1; keep <= n; keep++ {
			if got := KeepCount(n, Tokens(keep).RatioOf(l)); got != keep {
				t.Fatalf("%d of %d tokens: the ratio %v keeps %d", keep, n, Tokens(keep).RatioOf(l), got)
			}
		}
	}
}

func TestBudgetErrors(t *testing.T) {
	for _, text := range []string{"", "x", "1.5", "-0.1", "NaN", "5to", "0.5tok", "3TiB", "-4tok", "-1MiB", "99999999999999999999B", "20000000000GiB"} {
		if b, err := ParseBudget(text); err == nil {
			t.Errorf("%q reads as %v", text, b)
		}
	}
	if err := Ratio(2).Check(); !errors.Is(err, ErrBadParameter) {
		t.Errorf("%v is no ErrBadParameter", err)
	}
}
