//go:build amd64 && !noasm

package tensor

import "golang.org/x/sys/cpu"

//go:noescape
func tileCodes512(a, b *uint32, pairs int, c *float32, cRow int)

// hasCodes tells whether products of codes are faster than those of float32.
func hasCodes() bool { return active == avx512 && cpu.X86.HasAVX512VNNI }

func tileCodes(a, b []uint32, pairs int, c []float32, cRow int) {
	if !hasCodes() {
		tileCodesGo(a, b, pairs, c, cRow)
		return
	}
	_, _, _ = a[pairs*codeRows-1], b[pairs*tileCols-1], c[(codeRows-1)*cRow+tileCols-1]
	tileCodes512(&a[0], &b[0], pairs, &c[0], 4*cRow)
}
