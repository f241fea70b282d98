package jinja

import (
	"math"
	"strconv"
	"strings"
)

// wholes calculates with whole numbers, which stay whole but for a division.
func wholes(op string, l, r int) any {
	var out int
	exact := true
	switch op {
	case "+":
		out, exact = l+r, (l+r > l) == (r > 0)
	case "-":
		out, exact = l-r, (l-r < l) == (r > 0)
	case "*":
		out = l * r
		exact = l == 0 || out/l == r && !(l == -1 && r == math.MinInt)
	case "**":
		if r < 0 {
			return floats(op, float64(l), float64(r))
		}
		if l >= -1 && l <= 1 { // whose powers repeat
			r = min(r, 2-r%2)
		}
		out = 1
		for range r {
			out = wholes("*", out, l).(int)
		}
	default:
		if r == 0 {
			fail("division by zero")
		}
		if op == "/" {
			return float64(l) / float64(r)
		}
		rest := l % r
		if rest != 0 && (rest < 0) != (r < 0) {
			rest += r
		}
		if op == "%" {
			return rest
		}
		out = (l - rest) / r
	}
	if !exact {
		fail("%d %s %d is too large a number", l, op, r)
	}
	return out
}

func floats(op string, l, r float64) any {
	switch op {
	case "+":
		return l + r
	case "-":
		return l - r
	case "*":
		return l * r
	case "**":
		if l == 0 && r < 0 {
			fail("0.0 cannot be raised to a negative power")
		}
		return math.Pow(l, r)
	}
	if r == 0 {
		fail("float division by zero")
	}
	switch op {
	case "/":
		return l / r
	case "//":
		return math.Floor(l / r)
	}
	rest := math.Mod(l, r)
	if rest != 0 && (rest < 0) != (r < 0) {
		rest += r
	}
	return rest
}

func toFloat(_ *frame, a []any) any {
	switch v := number(a[0]).(type) {
	case int:
		return float64(v)
	case float64:
		return v
	case string:
		if x, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			return x
		}
	}
	return a[1]
}

func toInt(_ *frame, a []any) any {
	switch v := number(a[0]).(type) {
	case int:
		return v
	case float64:
		if !math.IsNaN(v) && math.Abs(v) < 1<<62 {
			return int(v)
		}
	case string:
		v = strings.TrimSpace(v)
		if i, err := strconv.ParseInt(v, wholeNumber(a[2], "base"), 64); err == nil {
			return int(i)
		}
		if x, err := strconv.ParseFloat(v, 64); err == nil && math.Abs(x) < 1<<62 {
			return int(x)
		}
	}
	return a[1]
}

// mostDigits behind the point of a float64: more do not change it.
const mostDigits = 1074

func rounded(f *frame, a []any) any {
	x, ok := toFloat(f, []any{a[0], nil}).(float64)
	if !ok {
		fail("round wants a number, not '%s'", typeName(a[0]))
	}
	scale := math.Pow(10, float64(wholeNumber(a[1], "precision")))
	switch a[2] {
	case "ceil":
		return math.Ceil(x*scale) / scale
	case "floor":
		return math.Floor(x*scale) / scale
	case "common":
		digits := min(wholeNumber(a[1], "precision"), mostDigits)
		n, whole := number(a[0]).(int)
		if digits < 0 {
			unit := math.Pow(10, float64(min(-digits, 300))) // beyond, no float64 is left
			x = math.RoundToEven(x/unit) * unit
			n, digits = int(x), 0
		}
		if whole {
			return n
		}
		v, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', digits, 64), 64) // it was a number
		return v
	}
	fail("method must be common, ceil or floor")
	return nil
}
