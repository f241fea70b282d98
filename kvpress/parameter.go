package kvpress

import "fmt"

// Parameters of presses are plain fields whose zero value means a default. Where 0 itself has a meaning, a negative
// value stands for it.

// whole reads a count: 0 means the default.
func whole(name string, v, otherwise int) (int, error) {
	if v == 0 {
		return otherwise, nil
	}
	if v < 0 {
		return 0, fmt.Errorf("%w: %s is %d: it must be at least 1", ErrBadParameter, name, v)
	}
	return v, nil
}

// wholeOrNone reads a count that may be none: 0 means the default, negative means none.
func wholeOrNone(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return max(v, 0)
}

// number reads a real parameter that may be 0: 0 means the default, negative means 0.
func number(name string, v, otherwise float64) (float64, error) {
	if v == 0 {
		return otherwise, nil
	}
	if v != v {
		return 0, fmt.Errorf("%w: %s is not a number", ErrBadParameter, name)
	}
	return max(v, 0), nil
}

// share reads a parameter from 0 to 1 whose zero value means a default and whose negative values mean 0.
func share(name string, v, otherwise float64) (float64, error) {
	if v > 1 {
		return 0, fmt.Errorf("%w: %s is %v: it is a share, from 0 to 1", ErrBadParameter, name, v)
	}
	return number(name, v, otherwise)
}

// atLeastOne truncates a share of a budget; a share that is not nothing keeps at least one pair.
func atLeastOne(pairs float64) int {
	if pairs <= 0 {
		return 0
	}
	return max(1, int(pairs))
}
