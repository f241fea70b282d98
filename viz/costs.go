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
			var costs []string
			if finite(measured(t.KVBytes)) {
				costs = append(costs, fmt.Sprintf("%.1f MiB", t.KVBytes/(1<<20)))
			}
			if finite(measured(t.TokenMillis)) {
				costs = append(costs, fmt.Sprintf("%.2f ms a token", t.TokenMillis))
			}
			if len(costs) > 0 {
				words = append(words, fmt.Sprintf("%s: %s with %.0f %% of the pairs removed", press, strings.Join(costs, " and "), 100*t.Ratio))
			}
		}
		if gain := first.TokenMillis / last.TokenMillis; first.Ratio < last.Ratio && finite(gain) && gain > best {
			best = gain
			memory := ""
			if share := measured(last.KVBytes) / measured(first.KVBytes); finite(share) {
				memory = fmt.Sprintf(" from %.0f %% of the memory,", 100*share)
			}
			f.title = fmt.Sprintf("%s: a token comes %.2f times as fast,%s with %.0f %% of the pairs removed", press, gain, memory, 100*last.Ratio)
		}
	}
	f.summary = strings.Join(words, "\n")
	f.panels = against(byPress, presses, memoryOutcome, timeOutcome)
	return f.chart()
}
