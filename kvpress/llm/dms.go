package llm

import (
	"github.com/kvnotes/kvnotes/kvpress"
)

// dmsDecoding goes on with a dms press while the model answers: pairs that leave the window are judged then.
type dmsDecoding struct{ kvpress.DMS }

func (p dmsDecoding) begin(a *answering) (run, error) {
	window := p.Recent()
	r := &dmsRun{dmsDecoding: p, answering: a, window: window, judged: a.next - window}
	return r, a.recall(window)
}

// A dmsRun remembers up to which position pairs were judged.
type dmsRun struct {
	dmsDecoding
	*answering
	window, judged int
}

func (r *dmsRun) after(int) error {
	defer func() { r.recent.trim(r.window) }()
	from, to := max(0, r.judged), r.next-r.window
	if from >= to {
		return nil
	}
	r.judged = to
	return r.compress(judge{r.DMS, from, to})
}

// judge is the press of one step: of the pairs at some positions those go that score too little.
type judge struct {
	kvpress.DMS
	from, to int
}

func (p judge) Plan(l *kvpress.Layer) (kvpress.Plan, error) { return p.Judge(l, p.from, p.to) }
