package viz

import (
	"fmt"
	"strings"
)

// CostsOf draws what keys and values take and how long a new token takes against the ratio removed, a line per press or
// whatever else Trial.Press tells apart. Scores are not asked for.
func CostsOf(trials []Trial) *Chart {
	byPress, presses := grouped(trials)
	f := &figure{title: "nothing was measured"}
	var words []string
	best := 0.0
	for _, press := range presses {
		ts := byPress[press]
		first, last := ts[0], ts[len(ts)-1]
		for _, t := range ts {
			words = append(words, fmt.Sprintf("%s: %.1f MiB and %.2f ms a token with %.0f %% of the pairs removed", press, t.KVBytes/(1<<20), t.TokenMillis, 100*t.Ratio))
		}
		if gain := first.TokenMillis / last.TokenMillis; first.Ratio < last.Ratio && finite(gain) && gain > best {
			best = gain
			f.title = fmt.Sprintf("%s: a token comes %.2f times as fast, from %.0f %% of the memory, with %.0f %% of the pairs removed",
				press, gain, 100*last.KVBytes/first.KVBytes, 100*last.Ratio)
		}
	}
	f.summary = strings.Join(words, "\n")
	f.panels = against(byPress, presses, memoryOutcome, timeOutcome)
	return f.chart()
}
