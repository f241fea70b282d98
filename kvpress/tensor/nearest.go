package tensor

import (
	"math"
	"slices"
)

// nearestRows is the number of rows whose products with all others are found at a time: they stay in the second cache.
const nearestRows = 48

// Nearest finds, for every row of x, the row of among with the largest product: its place, the first one when several are
// as large, 0 when none is a number; and the product. No row may be longer than 1. It works on the calling goroutine alone.
func Nearest(x, among Mat) (places []int, products []float32) {
	places, products = make([]int, x.Rows), make([]float32, x.Rows)
	if vnni() { // products of codes are then faster than those of float32
		nearestByCodes(places, products, x, among)
		return places, products
	}
	all := New(nearestRows, among.Rows)
	for from := 0; from < x.Rows; from += nearestRows {
		rows := x.Slice(from, min(from+nearestRows, x.Rows))
		MulT(all.Slice(0, rows.Rows), rows, among)
		for i := range rows.Rows {
			row := all.Row(i)
			at := max(0, slices.Index(row, Max(row)))
			places[from+i], products[from+i] = at, row[at]
		}
	}
	return places, products
}

// codeRows is how many rows of x a tile of codes has; its columns are tileCols rows of among.
const codeRows = 12

// nearestByCodes is Nearest by whole numbers of 16 bits, whose products are found two at a time. They say which rows may
// be the nearest; these alone are looked at in float32.
func nearestByCodes(places []int, products []float32, x, among Mat) {
	pairs, panels := (x.Cols+1)/2, (among.Rows+tileCols-1)/tileCols
	b, a := make([]uint32, panels*pairs*tileCols), make([]uint32, nearestRows*pairs)
	for j := range among.Rows {
		encode(b[j/tileCols*pairs*tileCols+j%tileCols:], tileCols, among.Row(j))
	}
	stride := panels * tileCols
	all := New(nearestRows, stride)
	for from := 0; from < x.Rows; from += nearestRows {
		n := min(nearestRows, x.Rows-from)
		for i := range n {
			encode(a[i/codeRows*pairs*codeRows+i%codeRows:], codeRows, x.Row(from+i))
		}
		for p := range panels {
			for i := 0; i < n; i += codeRows {
				tileCodes(a[i*pairs:], b[p*pairs*tileCols:], pairs, all.Data[i*stride+p*tileCols:], stride)
			}
		}
		for i := range n {
			places[from+i], products[from+i] = nearestOf(x.Row(from+i), among, all.Row(i)[:among.Rows])
		}
	}
}

// codeOne is the code of 1.
const codeOne = math.MaxInt16

// encode writes the codes of a row, two in each number, step apart.
func encode(dst []uint32, step int, row []float32) {
	code := func(v float32) int32 { return int32(v*codeOne+codeOne+0.5) - codeOne } // to the nearest
	at := 0
	for ; len(row) > 1; row = row[2:] {
		dst[at] = uint32(code(row[0]))&0xffff | uint32(code(row[1]))<<16
		at += step
	}
	if len(row) == 1 {
		dst[at] = uint32(code(row[0])) & 0xffff
	}
}

// nearestOf is the row of among with the largest product with x, where products of codes are near.
func nearestOf(x []float32, among Mat, codes []float32) (place int, product float32) {
	const chunk = 128
	// A code is off by little more than a half, a product with another row so by the sum of a row's numbers, √Cols at most,
	// times as much, for either row; and the largest product and another one may be off on different sides.
	off := 0.52 * (2*math.Sqrt(float64(len(x))) + float64(len(x))/codeOne) / codeOne
	most := Max(codes)
	least := most - float32(2*off+1e-5)*codeOne*codeOne
	product = float32(math.Inf(-1))
	for from := 0; from < len(codes); from += chunk {
		part := codes[from:min(from+chunk, len(codes))]
		if Max(part) < least {
			continue
		}
		for i, v := range part {
			if v < least {
				continue
			}
			if p := Dot(x, among.Row(from+i)); p > product {
				place, product = from+i, p
			}
		}
	}
	if math.IsInf(float64(product), -1) {
		product = Dot(x, among.Row(0))
	}
	return place, product
}

// tileCodesGo is the twin of the assembly: 12 rows of a times 32 of b, in the codes' units; c has 32 numbers in each row, cRow apart.
func tileCodesGo(a, b []uint32, pairs int, c []float32, cRow int) {
	for r := range codeRows {
		var sum [tileCols]int32
		for k := range pairs {
			x := a[k*codeRows+r]
			for j, y := range b[k*tileCols : (k+1)*tileCols] {
				sum[j] += int32(int16(x))*int32(int16(y)) + int32(int16(x>>16))*int32(int16(y>>16))
			}
		}
		for j, s := range sum {
			c[r*cRow+j] = float32(s)
		}
	}
}
