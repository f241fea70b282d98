package viz

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strings"
	"testing"
)

// The tests of this file count pairs again, with loops of their own.

func TestHeadBudgetTellsTheTruth(t *testing.T) {
	s := pressed(t, "adakv(expected_attention):0.5")
	c := HeadBudget(whole(t), s, 2)
	for h := range s.Lens()[2] {
		for name, want := range map[string]int{"whole cache": s.Len(), s.PressName(): len(s.Kept(2, h))} {
			if got := named(t, c, name)[h]; got[0] != float64(h) || got[1] != float64(want) {
				t.Errorf("%s: head %d holds %d pairs, the chart shows %v", name, h, want, got)
			}
		}
		// Both bars stand in the drawing, beside the sign in the legend.
		for _, color := range []string{css(hues[7]), css(hues[0])} {
			if n := len(rectangles(c.SVG(), color)); n != len(s.Lens()[2])+1 {
				t.Errorf("%d rectangles of colour %s for %d heads", n, color, len(s.Lens()[2]))
			}
		}
	}
	var lens []int
	for l, heads := range s.Lens() {
		for h := range heads {
			lens = append(lens, len(s.Kept(l, h)))
		}
	}
	sort.Sort(sort.Reverse(sort.IntSlice(lens)))
	all := named(t, HeadBudget(whole(t), s, -1), s.PressName())
	for i, n := range lens {
		if p := all[i+1]; p[0] != float64(i)+0.5 || p[1] != float64(n) { // the first point only begins the step
			t.Errorf("head number %d from the top holds %d pairs, the chart shows %v", i, n, p)
		}
	}
}

func TestCompareTellsTheTruth(t *testing.T) {
	a, b := pressed(t, "adakv(expected_attention):0.5"), pressed(t, "snapkv(window=16):0.7")
	c := Compare(a, b)
	both := 0
	tokens := make([]float64, a.Len()) // pairs that only a keeps
	heads := 0
	for l, lens := range a.Lens() {
		count := map[string]int{}
		for h := range lens {
			heads++
			in := map[int]int{}
			for _, at := range a.Kept(l, h) {
				in[at]++
			}
			for _, at := range b.Kept(l, h) {
				in[at] += 2
			}
			for at := range a.Len() {
				count[[]string{"kept by none", "only " + a.PressName(), "only " + b.PressName(), "kept by both"}[in[at]]]++
				if in[at] == 1 {
					tokens[at]++
				}
			}
		}
		both += count["kept by both"]
		for _, name := range []string{"kept by both", "kept by none", "only " + a.PressName(), "only " + b.PressName()} {
			if got := named(t, c, name)[l][1]; !close5(got, 100*float64(count[name])/float64(len(lens)*a.Len())) {
				t.Errorf("layer %d: %d pairs are %s, the chart shows %g %%", l, count[name], name, got)
			}
		}
	}
	if want := fmt.Sprintf("%d pairs are kept by both", both); !strings.Contains(c.Text(), want) {
		t.Errorf("the summary does not say %q: %s", want, c.Text())
	}
	along := named(t, c, "only "+a.PressName())[len(a.Lens()):]
	step := int(math.Ceil(float64(a.Len()) / float64(pooled/2)))
	for i, p := range along {
		sum, n := 0.0, 0
		for at := i * step; at < min(a.Len(), (i+1)*step); at++ {
			sum, n = sum+tokens[at], n+1
		}
		if !close5(p[1], 100*sum/float64(n*heads)) {
			t.Errorf("tokens from %d: only one press keeps %g pairs of %d heads, the chart shows %g %%", i*step, sum, heads, p[1])
		}
	}
}

func TestTimelineTellsTheTruth(t *testing.T) {
	s := pressed(t, "decoding(snapkv(window=16):64tok, every=8)")
	a, err := s.AskTokens(context.Background(), s.Tokens()[:10], 40, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Compressions) < 3 {
		t.Fatalf("%d compressions in 49 tokens", len(a.Compressions))
	}
	c := DecodeTimeline(s, a)
	heads, gone := 0, 0
	for _, lens := range s.Lens() {
		heads += len(lens)
	}
	points := named(t, c, "pairs of a head, mean")
	for i, m := range a.Compressions {
		for after, p := range points[1+2*i : 3+2*i] {
			if after == 1 {
				for _, layer := range m.Evicted {
					for _, at := range layer {
						gone += len(at)
					}
				}
			}
			came := m.Next - s.Next()
			if want := float64(s.Len()+came) - float64(gone)/float64(heads); p[0] != float64(came) || !close5(p[1], want) {
				t.Errorf("after token %d a head holds %g pairs, the chart shows %v", came, want, p)
			}
		}
	}
	// All that went is somewhere in the map.
	sum := 0.0
	for _, one := range seriesOf(t, c) {
		if one.Type == "heatmap" {
			for _, d := range one.Data {
				var perHead float64
				var rest string
				if _, err := fmt.Sscanf(d.Name[strings.LastIndex(d.Name, ": ")+2:], "%f %s", &perHead, &rest); err != nil {
					t.Fatal(d.Name, err)
				}
				sum += perHead
			}
		}
	}
	if want := float64(gone) / float64(heads); math.Abs(sum-want) > 0.02*want {
		t.Errorf("%g pairs a head went, the map shows %g", want, sum)
	}
	// The end agrees with what the session itself counted.
	if want := float64(a.KV) / float64(s.Bytes().Live) * float64(s.Len()); !close5(points[len(points)-1][1], want) {
		t.Errorf("a head ends with %g pairs, the chart shows %g", want, points[len(points)-1][1])
	}
}

func TestPressesTellTheTruth(t *testing.T) {
	a, b := pressed(t, "adakv(expected_attention):0.5"), pressed(t, "streaming_llm:0.7")
	c := Presses(a, b)
	step := int(math.Ceil(float64(a.Len()) / 60))
	for _, d := range seriesOf(t, c)[0].Data {
		s := b
		if *d.Value[1] == 1 { // the first press stands on top
			s = a
		}
		from := int(*d.Value[0]) * step
		to := min(s.Len(), from+step)
		kept, all := 0, 0
		for l, lens := range s.Lens() {
			for h := range lens {
				all += to - from
				for _, at := range s.Kept(l, h) {
					if at >= from && at < to {
						kept++
					}
				}
			}
		}
		if want := 100 * float64(kept) / float64(all); !close5(*d.Value[2], want) {
			t.Errorf("%s keeps %g %% of tokens %d to %d, the chart shows %g", s.PressName(), want, from, to-1, *d.Value[2])
		}
	}
}
