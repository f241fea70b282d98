//go:build amd64 && !noasm

package tensor

//go:noescape
func tileCodes512(a, b *uint32, pairs int, c *float32, cRow int)

func tileCodes(a, b []uint32, pairs int, c []float32, cRow int) {
	if !vnni() {
		tileCodesGo(a, b, pairs, c, cRow)
		return
	}
	_, _, _ = a[pairs*codeRows-1], b[pairs*tileCols-1], c[(codeRows-1)*cRow+tileCols-1]
	tileCodes512(&a[0], &b[0], pairs, &c[0], 4*cRow)
}
