package viz

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Tokens is a text, token by token, with what each KV head kept of it.
type Tokens struct {
	Press string
	Texts []string  // of each token
	Keep  [][][]int // [layer][KV head]: positions of the tokens that are kept
}

// TokensOf reads a session.
func TokensOf(s *llm.Session) Tokens {
	t := Tokens{Press: s.PressName(), Texts: s.TokenTexts()}
	for l, lens := range s.Lens() {
		heads := make([][]int, len(lens))
		for h := range heads {
			heads[h] = s.Kept(l, h)
		}
		t.Keep = append(t.Keep, heads)
	}
	return t
}

// TokenStrip draws the context of a session, each token the bluer the more KV heads keep it, and pale when none does.
// It is plain text with hints: it needs no script. Layer and head choose one layer, or one head of it; -1 means all.
func TokenStrip(s *llm.Session, layer, head int) *Chart {
	return TokenStripOf(TokensOf(s), layer, head)
}

// TokenStripOf is TokenStrip for a text from elsewhere.
func TokenStripOf(t Tokens, layer, head int) *Chart {
	if len(t.Texts) == 0 {
		return failed("token strip", fmt.Errorf("there are no tokens"))
	}
	c, err := t.count(layer, head)
	if err != nil {
		return failed("token strip", err)
	}
	f := c.along()
	f.title, f.summary = c.finding()
	chart := f.chart()
	chart.option = nil
	runs := c.runs()
	chart.page = c.page(f.title, runs, "max-height:420px;overflow-y:auto;")
	if svg, ok := c.drawing(f.title, runs); ok {
		chart.svg = svg
	}
	return chart
}

// finding says how many tokens are kept, and by how many heads.
func (c counted) finding() (title, summary string) {
	all, none, sum := 0, 0, 0
	for _, n := range c.kept {
		sum += n
		if n == c.heads {
			all++
		}
		if n == 0 {
			none++
		}
	}
	title = fmt.Sprintf("%s%s: %d of %d tokens are kept by all %d heads, %d by none", c.Press, c.part, all, len(c.kept), c.heads, none)
	if c.heads == 1 {
		title = fmt.Sprintf("%s%s: %d of %d tokens are kept", c.Press, c.part, all, len(c.kept))
	}
	return title, fmt.Sprintf("A token is kept by %.1f of %d heads on average.", float64(sum)/float64(len(c.kept)), c.heads)
}

// counted is how many of the chosen heads keep each token.
type counted struct {
	Tokens
	layer, head int
	part        string // of the model that was chosen, in words
	kept        []int
	heads       int
}

func (t Tokens) count(layer, head int) (counted, error) {
	c := counted{Tokens: t, layer: layer, head: head, kept: make([]int, len(t.Texts))}
	if layer >= len(t.Keep) {
		return c, fmt.Errorf("there is no layer %d: layers run from 0 to %d, and -1 means all", layer, len(t.Keep)-1)
	}
	if layer < 0 && head >= 0 {
		return c, fmt.Errorf("head %d of which layer? choose a layer too", head)
	}
	if layer >= 0 {
		c.part = fmt.Sprintf(", layer %d", layer)
		if head >= len(t.Keep[layer]) {
			return c, fmt.Errorf("there is no head %d: heads of layer %d run from 0 to %d, and -1 means all", head, layer, len(t.Keep[layer])-1)
		}
		if head >= 0 {
			c.part += fmt.Sprintf(" head %d", head)
		}
	}
	for l, heads := range t.Keep {
		for h, keep := range heads {
			if layer >= 0 && l != layer || head >= 0 && h != head {
				continue
			}
			c.heads++
			for _, at := range keep {
				if at < 0 || at >= len(c.kept) {
					return c, fmt.Errorf("layer %d head %d keeps token %d of %d", l, h, at, len(c.kept))
				}
				c.kept[at]++
			}
		}
	}
	if c.heads == 0 {
		return c, fmt.Errorf("there are no heads to count: Keep is empty")
	}
	return c, nil
}

// along is the strip without its letters: the share of heads that keep each token, along the text.
func (c counted) along() *figure {
	s := series{mark: area, color: hue(0)}
	step := (len(c.kept) + 299) / 300
	for from := 0; from < len(c.kept); from += step {
		to, sum := min(len(c.kept), from+step), 0
		for _, n := range c.kept[from:to] {
			sum += n
		}
		s.data = append(s.data, datum{x: float64(from+to-1) / 2, y: percent(sum, (to-from)*c.heads)})
	}
	return &figure{panels: []panel{{x: axis{name: "token", zero: true, end: float64(len(c.kept))}, y: axis{name: "heads that keep it, %", zero: true, end: 100}, series: []series{s}, height: 160}}}
}

// levels of shade above none.
const levels = 8

// A run is a stretch of tokens of the same shade.
type run struct {
	from, to int // tokens
	level    int
}

func (c counted) level(at int) int {
	if c.kept[at] == 0 {
		return 0
	}
	return max(1, (c.kept[at]*levels+c.heads/2)/c.heads)
}

// runs gives every token its own run, or merges neighbours when there are too many: those of one shade, then those of
// nearly one shade, until few enough are left.
func (c counted) runs() []run {
	if len(c.kept) <= mostMarks {
		all := make([]run, len(c.kept))
		for i := range all {
			all[i] = run{i, i + 1, c.level(i)}
		}
		return all
	}
	for near := 0; ; near++ {
		var all []run
		sum := 0 // of the levels of the run that grows
		for i := range c.kept {
			l := c.level(i)
			if n := len(all) - 1; n >= 0 && max(l-all[n].level, all[n].level-l) <= near {
				all[n].to = i + 1
				sum += l
				all[n].level = (sum + (i+1-all[n].from)/2) / (i + 1 - all[n].from)
				continue
			}
			all, sum = append(all, run{i, i + 1, l}), l
		}
		if len(all) <= mostMarks || near > levels {
			return all
		}
	}
}

// hint says who keeps the tokens of a run.
func (c counted) hint(r run) string {
	if r.to-r.from > 1 {
		sum := 0
		for _, n := range c.kept[r.from:r.to] {
			sum += n
		}
		return fmt.Sprintf("tokens %d to %d: %.1f of %d heads on average", r.from, r.to-1, float64(sum)/float64(r.to-r.from), c.heads)
	}
	who := fmt.Sprintf("token %d: %d of %d heads", r.from, c.kept[r.from], c.heads)
	if c.heads == 1 || c.kept[r.from] == 0 || c.kept[r.from] == c.heads {
		return who
	}
	return who + ": " + c.who(r.from)
}

// who names the heads that keep a token: all heads of some layers, single heads of others.
func (c counted) who(at int) string {
	var whole []int
	var parts []string
	for l, heads := range c.Keep {
		if c.layer >= 0 && l != c.layer {
			continue
		}
		var some []int
		for h, keep := range heads {
			if _, found := slices.BinarySearch(keep, at); found {
				some = append(some, h)
			}
		}
		switch {
		case len(some) == len(heads) && len(heads) > 0:
			whole = append(whole, l)
		case len(some) > 0:
			parts = append(parts, fmt.Sprintf("layer %d: %s", l, ranges(some)))
		}
	}
	if len(whole) > 0 {
		parts = append([]string{"all of layers " + ranges(whole)}, parts...)
	}
	text := strings.Join(parts, "; ")
	if len(text) > 120 { // a hint on each of a thousand tokens must stay short
		text = text[:strings.LastIndex(text[:120], ";")+1] + " ..."
	}
	return text
}

// ranges spells ascending numbers, such as "0-3, 5".
func ranges(all []int) string {
	var parts []string
	for i := 0; i < len(all); {
		end := i
		for end+1 < len(all) && all[end+1] == all[end]+1 {
			end++
		}
		if end > i {
			parts = append(parts, fmt.Sprintf("%d-%d", all[i], all[end]))
		} else {
			parts = append(parts, fmt.Sprint(all[i]))
		}
		i = end + 1
	}
	return strings.Join(parts, ", ")
}

// text is what a run says, with the line breaks that strange characters would make taken out.
func (c counted) text(r run) string { return strings.Join(c.Texts[r.from:r.to], "") }

// page is the strip as hypertext, the text in a box of the given style. Colours are laid over the page's own, so that it
// suits light and dark ones.
func (c counted) page(title string, runs []run, style string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<div style="max-width:%dpx"><div style="font-weight:bold">%s</div><div style="line-height:1.6;white-space:pre-wrap;padding:6px 0;%s">`, width, html.EscapeString(title), style)
	for _, r := range runs {
		fmt.Fprintf(&b, `<span style="%s" title="%s">%s</span>`, tint(r.level), html.EscapeString(c.hint(r)), html.EscapeString(c.text(r)))
	}
	b.WriteString(`</div><div>kept by `)
	for _, l := range []int{0, 2, 4, 6, 8} {
		fmt.Fprintf(&b, `<span style="%s">&nbsp;%d %%&nbsp;</span> `, tint(l), 100*l/levels)
	}
	b.WriteString("of the heads</div></div>")
	return b.String()
}

// tint is the look of a level: letters stay those of the page, pale where no head keeps the token.
func tint(level int) string {
	if level == 0 {
		return "opacity:.45"
	}
	return fmt.Sprintf("background:rgba(0,114,178,%.2g)", opacity(level))
}

func opacity(level int) float64 { return 0.08 + 0.62*float64(level)/levels }
