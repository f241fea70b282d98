package tensor

// tileCols is how many columns a tile has: two registers of sixteen numbers, or four of eight.
const tileCols = 32

// tileRows is how many rows a tile has at most: as many as have all their sums in registers.
func tileRows() int {
	if active == avx512 {
		return 12
	}
	return 6
}

// A strip is the right-hand side of a tile: k steps of 32 numbers in each of its pieces, one piece after the other.
type strip struct {
	pieces [][]float32
	step   int // distance of one step from the next
	half   int // distance of the second 16 numbers of a step from the first
}

// tiles multiplies rows of a with every piece of a strip by itself: piece p gives the 32 numbers from 32*p on of each row
// of c. Every sum is that of tile.
func tiles(rows, k int, a []float32, aRow int, b *strip, c []float32, cRow int) {
	if rows == 0 || k == 0 || len(b.pieces) == 0 {
		tilesGo(rows, k, a, aRow, b, c, cRow)
		return
	}
	_, _ = a[(rows-1)*aRow+k-1], c[(rows-1)*cRow+len(b.pieces)*tileCols-1]
	b.check(k)
	tilesFast(rows, k, a, aRow, b, c, cRow)
}

// tilesGo is the twin of the assembly.
func tilesGo(rows, k int, a []float32, aRow int, b *strip, c []float32, cRow int) {
	for p := range b.pieces {
		tile(rows, k, a, aRow, 1, &strip{b.pieces[p : p+1], b.step, b.half}, c[p*tileCols:], cRow, false)
	}
}

// check panics unless the last numbers of every piece are there.
func (b *strip) check(k int) {
	for _, piece := range b.pieces {
		_ = piece[(k-1)*b.step+b.half+tileCols/2-1]
	}
}

// tile multiplies rows of a with a strip, and writes to c or adds to it. Number t of row r is a[r*aRow+t*aStep]; c has
// 32 numbers in each row, cRow apart. Every sum runs over the steps in their order and begins with what c holds or with
// 0: its bits depend on nothing else.
func tile(rows, k int, a []float32, aRow, aStep int, b *strip, c []float32, cRow int, add bool) {
	if rows == 0 {
		return
	}
	if active == plain || k == 0 || len(b.pieces) == 0 {
		tileGo(rows, k, a, aRow, aStep, b, c, cRow, add)
		return
	}
	// The last numbers that are read and written must be there.
	_, _ = a[(rows-1)*aRow+(len(b.pieces)*k-1)*aStep], c[(rows-1)*cRow+tileCols-1]
	b.check(k)
	tileFast(rows, k, a, aRow, aStep, b, c, cRow, add)
}

// tileGo is the twin of the assembly.
func tileGo(rows, k int, a []float32, aRow, aStep int, b *strip, c []float32, cRow int, add bool) {
	for r := range rows {
		var sum [tileCols]float32
		if add {
			copy(sum[:], c[r*cRow:])
		}
		at := r * aRow
		for _, piece := range b.pieces {
			for i := range k {
				x, low := a[at], piece[i*b.step:]
				high := low[b.half:]
				for j, v := range low[:tileCols/2] {
					sum[j] += x * v
				}
				for j, v := range high[:tileCols/2] {
					sum[tileCols/2+j] += x * v
				}
				at += aStep
			}
		}
		copy(c[r*cRow:r*cRow+tileCols], sum[:])
	}
}

// product is tile for any number of rows and up to 32 columns; tiles of nearly equal height share the rows.
func (r *room) product(rows, cols, k int, a []float32, aRow, aStep int, b *strip, c []float32, cRow int, add bool) {
	tiles := (rows + tileRows() - 1) / tileRows()
	for i := range tiles {
		from, to := rows*i/tiles, rows*(i+1)/tiles
		if cols == tileCols {
			tile(to-from, k, a[from*aRow:], aRow, aStep, b, c[from*cRow:], cRow, add)
			continue
		}
		r.c = grown(r.c, tileRows()*tileCols)
		for row := from; add && row < to; row++ {
			copy(r.c[(row-from)*tileCols:], c[row*cRow:row*cRow+cols])
		}
		tile(to-from, k, a[from*aRow:], aRow, aStep, b, r.c, tileCols, add)
		for row := from; row < to; row++ {
			copy(c[row*cRow:row*cRow+cols], r.c[(row-from)*tileCols:])
		}
	}
}
