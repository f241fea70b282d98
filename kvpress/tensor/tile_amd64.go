//go:build amd64 && !noasm

package tensor

//go:noescape
func tile12x32(rows, k int, a *float32, aRow, aStep int, b *[]float32, pieces, bStep, bHalf int, c *float32, cRow int, add bool)

//go:noescape
func tiles12x32(rows, k int, a *float32, aRow int, b *[]float32, pieces, bStep, bHalf int, c *float32, cRow int)

//go:noescape
func tile6x16(rows, k int, a *float32, aRow, aStep int, b *[]float32, pieces, bStep, bFrom int, c *float32, cRow int, add bool)

func tileFast(rows, k int, a []float32, aRow, aStep int, b *strip, c []float32, cRow int, add bool) {
	if active == avx512 {
		tile12x32(rows, k, &a[0], 4*aRow, 4*aStep, &b.pieces[0], len(b.pieces), 4*b.step, 4*b.half, &c[0], 4*cRow, add)
		return
	}
	tile6x16(rows, k, &a[0], 4*aRow, 4*aStep, &b.pieces[0], len(b.pieces), 4*b.step, 0, &c[0], 4*cRow, add)
	tile6x16(rows, k, &a[0], 4*aRow, 4*aStep, &b.pieces[0], len(b.pieces), 4*b.step, 4*b.half, &c[tileCols/2], 4*cRow, add)
}

func tilesFast(rows, k int, a []float32, aRow int, b *strip, c []float32, cRow int) {
	if active == avx512 {
		tiles12x32(rows, k, &a[0], 4*aRow, &b.pieces[0], len(b.pieces), 4*b.step, 4*b.half, &c[0], 4*cRow)
		return
	}
	tilesGo(rows, k, a, aRow, b, c, cRow)
}
