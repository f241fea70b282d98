package viz

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/eval"
)

// Trial is how one press did at one ratio. Likelihood, bytes and milliseconds of 0 mean that nobody measured.
type Trial struct {
	Press       string  // without its ratio, such as "adakv(snapkv)"; "none" for the whole cache
	Ratio       float64 // of pairs removed
	Score       float64 // share of right answers, from 0 to 1
	Likelihood  float64 // mean log-likelihood of a token of the reference answer
	KVBytes     float64
	TokenMillis float64 // time of one new token
}

// TrialsOf reads scores of package eval. The budget at the end of a press's name tells the points of a line apart; where
// it is no ratio, the ratio is the one that was measured, and a press of which nobody measured it is left out.
func TrialsOf(scores []eval.Score) []Trial {
	var all []Trial
	for _, s := range scores {
		t := Trial{Press: s.Press, Ratio: s.Ratio, Score: s.Accuracy(), KVBytes: float64(s.KVBytes)}
		for _, m := range s.Others {
			if m.Metric == "log_likelihood" && m.Of != 0 {
				t.Likelihood = m.Got / m.Of
			}
		}
		if s.Press != "none" {
			at := strings.LastIndexByte(s.Press, ':')
			b, err := kvpress.ParseBudget(s.Press[at+1:])
			switch {
			case at < 0 || err != nil:
			case b.PerHead == 0 && b.Total == 0:
				t.Press, t.Ratio = s.Press[:at], b.Removed
			default:
				t.Press = s.Press[:at]
			}
			if t.Press == s.Press && t.Ratio == 0 || s.Failed > 0 && s.Failed == s.Answers {
				continue
			}
		}
		all = append(all, t)
	}
	return all
}

// Sweep draws the share of right answers and the memory against the ratio removed, a line per press. The press "none"
// becomes a dashed line.
func Sweep(scores []eval.Score) *Chart { return SweepOf(TrialsOf(scores)) }

// SweepOf is Sweep for numbers from elsewhere: a panel for everything that was measured.
func SweepOf(trials []Trial) *Chart {
	byPress, presses := grouped(trials)
	// The best press comes first, the whole cache last.
	worth := func(press string) float64 {
		if press == "none" {
			return math.Inf(-1)
		}
		return meanScore(byPress[press])
	}
	slices.SortStableFunc(presses, func(a, b string) int {
		return cmp.Compare(worth(b), worth(a))
	})
	f := &figure{title: "no press was tried"}
	var words []string
	for _, press := range presses {
		ts := byPress[press]
		text := press + ":"
		for _, t := range ts {
			if press == "none" {
				text += fmt.Sprintf(" %.0f %% right", 100*t.Score)
			} else {
				text += fmt.Sprintf(" %.0f %% right at %g,", 100*t.Score, t.Ratio)
			}
		}
		words = append(words, strings.TrimSuffix(text, ","))
	}
	f.summary = strings.Join(words, "\n")
	if len(presses) > 0 && presses[0] != "none" {
		worst := presses[len(presses)-1]
		if worst == "none" && len(presses) > 1 {
			worst = presses[len(presses)-2]
		}
		f.title = fmt.Sprintf("%s keeps most answers (%.0f %% right on average)", presses[0], 100*meanScore(byPress[presses[0]]))
		if worst != presses[0] {
			f.title += fmt.Sprintf(", %s fewest (%.0f %%)", worst, 100*meanScore(byPress[worst]))
		}
	}
	f.panels = against(byPress, presses,
		outcome{"right answers, %", true, func(t Trial) float64 { return 100 * t.Score }},
		outcome{"log-likelihood of the answer", false, func(t Trial) float64 { return measured(t.Likelihood) }},
		memoryOutcome, timeOutcome)
	if len(f.panels) > 0 {
		f.panels[0].height = 280
	}
	return f.chart()
}

// grouped tells the trials of each press, and the presses in the order they came in.
func grouped(trials []Trial) (byPress map[string][]Trial, presses []string) {
	byPress = map[string][]Trial{}
	for _, t := range trials {
		if byPress[t.Press] == nil {
			presses = append(presses, t.Press)
		}
		byPress[t.Press] = append(byPress[t.Press], t)
	}
	for _, ts := range byPress {
		slices.SortStableFunc(ts, func(a, b Trial) int { return cmp.Compare(a.Ratio, b.Ratio) })
	}
	return byPress, presses
}

// An outcome is a number of a trial with a panel of its own.
type outcome struct {
	name string
	zero bool // its axis begins at zero
	of   func(Trial) float64
}

var (
	memoryOutcome = outcome{"keys and values, MiB", true, func(t Trial) float64 { return measured(t.KVBytes / (1 << 20)) }}
	timeOutcome   = outcome{"ms per new token", true, func(t Trial) float64 { return measured(t.TokenMillis) }}
)

// against draws outcomes against the ratio removed: a panel for each that was measured, in it a line for each press.
func against(byPress map[string][]Trial, presses []string, outcomes ...outcome) []panel {
	low, high := math.Inf(1), math.Inf(-1)
	for press, ts := range byPress {
		for _, t := range ts {
			if press != "none" && finite(t.Ratio) {
				low, high = math.Min(low, t.Ratio), math.Max(high, t.Ratio)
			}
		}
	}
	if high < low {
		low, high = 0, 1
	}
	var panels []panel
	for _, m := range outcomes {
		p := panel{x: axis{name: "share of pairs removed"}, y: axis{name: m.name, zero: m.zero}, height: 190}
		found := false
		for i, press := range presses {
			s := series{mark: line, name: press, color: hue(i)}
			for _, t := range byPress[press] {
				s.data = append(s.data, datum{x: t.Ratio, y: m.of(t)})
				found = found || finite(m.of(t))
			}
			if press == "none" {
				s.name, s.color, s.dashed = "whole cache", ink, true
				s.data = []datum{{x: low, y: s.data[0].y}, {x: high, y: s.data[0].y}}
			}
			p.series = append(p.series, s)
		}
		if found {
			panels = append(panels, p)
		}
	}
	return panels
}

// measured turns the 0 of what nobody measured into no number.
func measured(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

func meanScore(trials []Trial) float64 {
	sum, n := 0.0, 0
	for _, t := range trials {
		if finite(t.Score) {
			sum, n = sum+t.Score, n+1
		}
	}
	return sum / float64(max(1, n))
}
