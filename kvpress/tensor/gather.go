package tensor

// Gather makes pages of the listed pairs, ascending. A page is made at a time, from the few pages that its pairs lie
// in; channels that these do not store become zeros.
func (p Pages) Gather(list []int) Pages {
	out := Pages{Dim: p.Dim, Len: len(list), List: make([]*Page, 0, (len(list)+PageRows-1)/PageRows)}
	var room []float32
	at, k, v := -1, []float32(nil), []float32(nil) // the page that is read
	for ; len(list) > 0; list = list[min(PageRows, len(list)):] {
		page := NewPage(p.Dim)
		out.List = append(out.List, page)
		rest := list[:min(PageRows, len(list))]
		for done := 0; len(rest) > 0; {
			from := rest[0] / PageRows
			n := 1
			for n < len(rest) && rest[n]/PageRows == from {
				n++
			}
			source := p.List[from]
			if from != at {
				if at = from; source.packed != nil {
					room = grown(room, 2*p.Dim*PageRows)
				}
				k, v = source.read(room, p.Dim)
			}
			var rows [PageRows]uint8
			for i, pair := range rest[:n] {
				rows[i] = uint8(pair % PageRows)
				copy(page.V[(done+i)*p.Dim:(done+i+1)*p.Dim], v[int(rows[i])*p.Dim:])
			}
			gatherKeys(page.K[done:], k, source.Channels, rows[:n])
			done, rest = done+n, rest[n:]
		}
	}
	return out
}

// gatherKeys copies some rows of the keys of a page, which has all channels or those that are listed, beside each other.
func gatherKeys(dst, k []float32, channels []int, rows []uint8) {
	if channels == nil {
		gatherWhole(dst, k, rows)
		return
	}
	for i, c := range channels {
		gatherWhole(dst[c*PageRows:], k[i*PageRows:(i+1)*PageRows], rows)
	}
}

// gatherWholeGo copies the listed numbers of every channel.
func gatherWholeGo(dst, k []float32, rows []uint8) {
	for ; len(k) > 0; k = k[PageRows:] {
		from, to := (*[PageRows]float32)(k), dst[:len(rows)]
		for i, row := range rows {
			to[i] = from[row%PageRows]
		}
		dst = dst[min(PageRows, len(dst)):]
	}
}
