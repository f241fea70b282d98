package viz

import (
	"fmt"
	"html"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Tokens is a text, token by token, with the KV heads that keep each.
type Tokens struct {
	Press string
	Texts []string
	Kept  []int    // heads that keep the token
	Heads int      // heads there are
	Who   []string // which heads, in words; may be nil
}

// TokenStrip draws the context of a session, each token the darker the more KV heads keep it. layer and head choose
// one layer, or one head of it; -1 means all.
func TokenStrip(s *llm.Session, layer, head int) *Chart {
	lens := s.Lens()
	if layer >= len(lens) || layer >= 0 && head >= len(lens[layer]) || layer < 0 && head >= 0 {
		return failed("token strip", fmt.Errorf("there is no head %d of layer %d: layers run from 0 to %d, heads from 0 to %d; -1 means all", head, layer, len(lens)-1, len(lens[0])-1))
	}
	t := Tokens{Press: s.PressName(), Texts: s.TokenTexts(), Kept: make([]int, s.Len())}
	who := make([]map[int]int, s.Len())
	for l := range lens {
		for h := range lens[l] {
			if layer >= 0 && l != layer || head >= 0 && h != head {
				continue
			}
			t.Heads++
			for _, at := range s.Kept(l, h) {
				if at < len(t.Kept) {
					t.Kept[at]++
					if who[at] == nil {
						who[at] = map[int]int{}
					}
					who[at][l]++
				}
			}
		}
	}
	for at := range who {
		t.Who = append(t.Who, layersOf(who[at], len(lens)))
	}
	return Strip(t)
}

// layersOf says which layers keep a token, with neighbouring layers taken together.
func layersOf(heads map[int]int, layers int) string {
	var parts []string
	for l := 0; l < layers; l++ {
		n := heads[l]
		if n == 0 {
			continue
		}
		end := l
		for end+1 < layers && heads[end+1] == n {
			end++
		}
		span := fmt.Sprintf("%d", l)
		if end > l {
			span = fmt.Sprintf("%d-%d", l, end)
		}
		parts = append(parts, fmt.Sprintf("layer %s: %d", span, n))
		l = end
	}
	return strings.Join(parts, ", ")
}

// mostRuns is how many differently shaded pieces a strip has at most.
const mostRuns = 1000

// A run is neighbouring tokens of about the same shade.
type run struct {
	from, to int // tokens
	level    int // of levels
	kept     int // heads, mean over the tokens
}

// levels of shade.
const levels = 10

// runs merges neighbours of the same shade, and if these are too many, neighbours whatever their shade.
func (t Tokens) runs() []run {
	shade := func(kept int) int { return (kept*levels + t.Heads/2) / max(1, t.Heads) }
	var all []run
	for i, k := range t.Kept {
		if n := len(all); n > 0 && all[n-1].level == shade(k) && len(t.Kept) > mostRuns {
			all[n-1].to = i + 1
			continue
		}
		all = append(all, run{from: i, to: i + 1, level: shade(k), kept: k})
	}
	for len(all) > mostRuns {
		var half []run
		for i := 0; i < len(all); i += 2 {
			r := all[i]
			if i+1 < len(all) {
				r.to = all[i+1].to
			}
			sum := 0
			for _, k := range t.Kept[r.from:r.to] {
				sum += k
			}
			r.kept = sum / (r.to - r.from)
			r.level = shade(r.kept)
			half = append(half, r)
		}
		all = half
	}
	return all
}

// Strip is TokenStrip for tokens that come from elsewhere. It is text with a background: it needs no script.
func Strip(t Tokens) *Chart {
	if len(t.Texts) == 0 || len(t.Texts) != len(t.Kept) {
		return failed("token strip", fmt.Errorf("%d texts and %d numbers: one number for each token is wanted", len(t.Texts), len(t.Kept)))
	}
	all, none, sum := 0, 0, 0
	for _, k := range t.Kept {
		sum += k
		if k == t.Heads {
			all++
		}
		if k == 0 {
			none++
		}
	}
	c := &Chart{width: 900}
	c.title = fmt.Sprintf("%s: %d of %d tokens are kept by all %d heads, %d by none", t.Press, all, len(t.Kept), t.Heads, none)
	c.summary = fmt.Sprintf("a token is kept by %.1f of %d heads on average.", float64(sum)/float64(len(t.Kept)), t.Heads)

	var b strings.Builder
	fmt.Fprintf(&b, `<div style="font-family:sans-serif;font-size:13px;max-width:900px"><div style="font-weight:bold;margin-bottom:4px">%s</div>`, html.EscapeString(c.title))
	b.WriteString(`<div style="line-height:1.7;max-height:320px;overflow-y:auto;border:1px solid #999;padding:6px;white-space:pre-wrap">`)
	for _, r := range t.runs() {
		text := strings.Join(t.Texts[r.from:r.to], "")
		hint := fmt.Sprintf("token %d: %d of %d heads", r.from, r.kept, t.Heads)
		if r.to-r.from > 1 {
			hint = fmt.Sprintf("tokens %d to %d: %d of %d heads on average", r.from, r.to-1, r.kept, t.Heads)
		} else if t.Who != nil && t.Who[r.from] != "" && len(t.Kept) <= mostRuns {
			hint += " (" + t.Who[r.from] + ")"
		}
		fmt.Fprintf(&b, `<span style="%s" title="%s">%s</span>`, shadeStyle(r.level), html.EscapeString(hint), html.EscapeString(text))
	}
	b.WriteString(`</div><div style="margin-top:4px">kept by: `)
	for level := 0; level <= levels; level += 2 {
		fmt.Fprintf(&b, `<span style="%s;padding:1px 6px">%d %%</span>`, shadeStyle(level), level*100/levels)
	}
	b.WriteString(" of the heads</div></div>")
	c.page = b.String()
	c.svg = t.bar(c)
	return c
}

// shadeStyle is a background with letters that can be read on it.
func shadeStyle(level int) string {
	// From white to dark blue; the letters turn white where the ground is dark.
	part := float64(level) / levels
	mix := func(a, b float64) int { return int(a + part*(b-a)) }
	ink := "#111"
	if level > levels/2 {
		ink = "#fff"
	}
	return fmt.Sprintf("background:rgb(%d,%d,%d);color:%s", mix(255, 0), mix(255, 60), mix(255, 120), ink)
}

// bar is the strip without its letters: one drawing for places that show no hypertext.
func (t Tokens) bar(c *Chart) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 90" width="900" height="90" font-family="sans-serif" font-size="13"><text x="0" y="16" fill="%s">%s</text>`, hexOf(ink), html.EscapeString(c.title))
	for _, r := range t.runs() {
		x, w := 900*float64(r.from)/float64(len(t.Kept)), 900*float64(r.to-r.from)/float64(len(t.Kept))
		part := float64(r.kept) / float64(max(1, t.Heads))
		fmt.Fprintf(&b, `<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="rgb(0,90,160)"/>`, x, 80-55*part, w, 55*part)
	}
	fmt.Fprintf(&b, `<line x1="0" y1="80" x2="900" y2="80" stroke="%s"/><text x="0" y="90" font-size="9" fill="%s">token 0 to %d; height: share of heads that keep it</text></svg>`, hexOf(ink), hexOf(ink), len(t.Kept)-1)
	return b.String()
}
