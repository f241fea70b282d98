package viz

import (
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// Evictions is what went while a model answered.
type Evictions struct {
	Press  string
	Lens   [][]int    // pairs held before the question, [layer][KV head]
	First  int        // position of the first token of the question
	Asked  int        // tokens of the question
	Tokens int        // tokens of question and answer that came to the cache
	Times  []Eviction // in order
}

// An Eviction is one moment at which pairs went.
type Eviction struct {
	Next int       // position of the token that follows
	Gone [][][]int // token positions, [layer][KV head]
}

// EvictionsOf reads an answer of a session whose press acts while it answers.
func EvictionsOf(s *llm.Session, a llm.Answer) Evictions {
	d := Evictions{Press: s.PressName(), Lens: s.Lens(), First: s.Next(), Asked: len(a.Asked), Tokens: len(a.Asked) + max(0, len(a.Tokens)-1)}
	for _, c := range a.Compressions {
		d.Times = append(d.Times, Eviction{Next: c.Next, Gone: c.Evicted})
	}
	return d
}

// DecodeTimeline draws an answer under a press that acts while the model answers: the pairs that a head holds as tokens
// come and go, and where in the text the pairs lay that went, moment by moment.
func DecodeTimeline(s *llm.Session, a llm.Answer) *Chart { return DecodeTimelineOf(EvictionsOf(s, a)) }

// DecodeTimelineOf is DecodeTimeline for numbers from elsewhere.
func DecodeTimelineOf(d Evictions) *Chart {
	start, heads, _ := Kept{Lens: d.Lens}.sums()
	if heads == 0 || d.Tokens <= 0 || d.First < 0 {
		return failed("timeline", fmt.Errorf("there are %d heads, and %d tokens behind position %d: give a session and its answer", heads, d.Tokens, d.First))
	}
	gone := make([]int, len(d.Times)) // of all heads, at each moment
	total, before := 0, d.First
	for i, e := range d.Times {
		for _, layer := range e.Gone {
			for _, positions := range layer {
				gone[i] += len(positions)
			}
		}
		total += gone[i]
		if e.Next < before || e.Next > d.First+d.Tokens {
			return failed("timeline", fmt.Errorf("moment %d is at position %d: they follow each other from %d to %d", i, e.Next, before, d.First+d.Tokens))
		}
		before = e.Next
	}
	perHead := func(pairs int) float64 { return float64(pairs) / float64(heads) }
	held := series{mark: line, name: "pairs of a head, mean", color: hue(0)}
	free := series{mark: line, name: "without the press", color: ink, dashed: true, data: []datum{{x: 0, y: perHead(start)}, {x: float64(d.Tokens), y: perHead(start) + float64(d.Tokens)}}}
	mark := func(next, evicted int) {
		held.data = append(held.data, datum{x: float64(next - d.First), y: perHead(start-evicted) + float64(next-d.First)})
	}
	mark(d.First, 0)
	sum, top := 0, 0.0
	parts := stretches(len(d.Times), 300)
	for _, part := range parts {
		mark(d.Times[part.from].Next, sum)
		for _, n := range gone[part.from:part.to] {
			sum += n
		}
		mark(d.Times[part.to-1].Next, sum)
	}
	mark(d.First+d.Tokens, sum)
	for _, m := range held.data {
		top = max(top, m.y)
	}
	end := held.data[len(held.data)-1].y
	f := &figure{}
	f.title = fmt.Sprintf("%s: %d times in %d new tokens pairs went, %.0f a head in all; a head never held more than %.0f and ends with %.0f", d.Press, len(d.Times), d.Tokens, perHead(total), top, end)
	if total == 0 {
		f.title = fmt.Sprintf("%s: nothing went in %d new tokens; a head ends with %.0f pairs", d.Press, d.Tokens, end)
	}
	f.summary = fmt.Sprintf("A head held %.0f pairs before the question, mean of %d heads; without the press it would hold %.0f in the end.", perHead(start), heads, perHead(start)+float64(d.Tokens))
	lens := panel{x: axis{name: "tokens of question and answer", zero: true}, y: axis{name: "pairs of a head", zero: true}, height: 200, series: []series{held, free}}
	if d.Asked > 0 && d.Asked < d.Tokens {
		lens.zones = []zone{{name: "question", from: 0, to: float64(d.Asked)}}
	}
	f.panels = []panel{lens}
	if total > 0 {
		f.panels = append(f.panels, d.where(heads))
	}
	return f.chart()
}

// where shows where in the text the pairs lay that went: a row for each moment, or several of them together.
func (d Evictions) where(heads int) panel {
	grid := series{mark: cells}
	text := stretches(d.First+d.Tokens, 60)
	long := text[0].to // tokens of a stretch
	p := panel{x: axis{name: "first token of each stretch of context, question and answer"}, y: axis{name: "after new token"}, scale: "% of the stretch's pairs went"}
	for row, part := range stretches(len(d.Times), min(24, mostMarks/len(text))) {
		count := make([]int, len(text))
		for _, e := range d.Times[part.from:part.to] {
			for _, layer := range e.Gone {
				for _, positions := range layer {
					for _, at := range positions {
						if at >= 0 && at/long < len(text) {
							count[at/long]++
						}
					}
				}
			}
		}
		when := fmt.Sprint(d.Times[part.to-1].Next - d.First)
		for col, n := range count {
			z := percent(n, heads*(text[col].to-text[col].from))
			p.high = max(p.high, z)
			grid.data = append(grid.data, datum{x: float64(col), y: float64(row), z: z, hint: fmt.Sprintf("by new token %s: %.1f pairs a head of tokens %s", when, float64(n)/float64(heads), text[col].name)})
		}
		p.y.places = append(p.y.places, when)
	}
	for _, t := range text {
		p.x.places = append(p.x.places, fmt.Sprint(t.from))
	}
	p.series, p.height = []series{grid}, max(70, 18*len(p.y.places))
	return p
}
