//go:build !amd64 || noasm

package tensor

func (f *fixed) fix(x []float32, _ int) {
	f.grow(len(x))
	f.fixGo(x)
}

func gemvGroups(g *groups, dst []float32, x *fixed, panel []byte) { gemvGroupsGo(g, dst, x, panel) }

func widenGroups(g *groups, dst []float32, stride, blocks int, panel []byte) {
	widenGroupsGo(g, dst, stride, blocks, panel)
}

func unpackBytes(dst []float32, code []byte, low, step float32) { unpackBytesGo(dst, code, low, step) }
