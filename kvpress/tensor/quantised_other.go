//go:build !amd64 || noasm

package tensor

func gemvGroups(g *groups, dst, x, sums []float32, panel []byte) {
	gemvGroupsGo(g, dst, x, sums, panel)
}

func widenGroups(g *groups, dst []float32, stride, blocks int, panel []byte) {
	widenGroupsGo(g, dst, stride, blocks, panel)
}

func unpackBytes(dst []float32, code []byte, low, step float32) { unpackBytesGo(dst, code, low, step) }
