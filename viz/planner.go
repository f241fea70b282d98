package viz

import (
	"slices"
	"sync"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
)

// A planner asks presses for their plans of one whole session, many times. What a scorer said is remembered, so that
// another ratio only plans again.
type planner struct {
	session *llm.Session
	scorers map[string]*remembered
	settled map[string][]kvpress.Plan // of presses that only a session can ask, by spelling
	changes int                       // of the catalogue, when the scorers were remembered
}

// mostRemembered scorers or plans are kept; then all are forgotten.
const mostRemembered = 64

// plan asks a press for the plans of all layers. Nothing is compressed.
func (p *planner) plan(press kvpress.Press) ([]kvpress.Plan, error) {
	if now := kvpress.Changes(); now != p.changes || len(p.scorers)+len(p.settled) > mostRemembered {
		// A press of the same name may be another one now.
		p.scorers, p.settled, p.changes = nil, nil, now
	}
	if plans := p.settled[press.Name()]; plans != nil {
		return plans, nil
	}
	plans, err := p.layerByLayer(p.remembering(press))
	if err == nil {
		return plans, nil
	}
	s, failure := p.session.Press(press) // runs the model again, or acts in answers only
	if failure != nil {
		return nil, failure
	}
	defer s.Close()
	if plans = s.Plans(); plans == nil {
		plans, err = p.layerByLayer(keepAll{press.Name()})
	} else {
		err = nil
	}
	if p.settled == nil {
		p.settled = map[string][]kvpress.Plan{}
	}
	p.settled[press.Name()] = plans
	return plans, err
}

// keepAll is what a press that acts in answers does before there is one.
type keepAll struct{ name string }

func (k keepAll) Name() string                                { return k.name }
func (k keepAll) Plan(l *kvpress.Layer) (kvpress.Plan, error) { return kvpress.KeepAll(l), nil }

func (p *planner) layerByLayer(press kvpress.Press) ([]kvpress.Plan, error) {
	return kvpress.PlanLayers(press, len(p.session.Lens()), p.session.Layer)
}

// remembering is the press with a memory around its scorer, if it has one whose scores do not depend on the ratio.
func (p *planner) remembering(press kvpress.Press) kvpress.Press {
	scorer, err := kvpress.ScorerOf(press)
	if err != nil {
		return press
	}
	r := p.scorers[scorer.Name()]
	if r == nil {
		r = &remembered{Scorer: scorer, pairs: p.session.Len(), layers: map[int]kvpress.Scores{}}
		r.fixed = p.ignoresRatio(scorer)
		if p.scorers == nil {
			p.scorers = map[string]*remembered{}
		}
		p.scorers[scorer.Name()] = r
	}
	if !r.fixed {
		return press
	}
	if with, err := kvpress.WithScorer(press, r); err == nil {
		return with
	}
	return press
}

// ignoresRatio tries whether the scores of the first layer are the same at ratios far apart.
func (p *planner) ignoresRatio(s kvpress.Scorer) (same bool) {
	defer func() {
		if recover() != nil {
			same = false // planning will tell what is wrong
		}
	}()
	var first kvpress.Scores
	for i, ratio := range []float64{0.1, 0.5, 0.9} {
		l, err := p.session.Layer(0)
		if err != nil {
			return false
		}
		l.Ratio = ratio
		scores, err := s.Score(l)
		if err != nil {
			return false
		}
		if i == 0 {
			first = scores
			continue
		}
		if !slices.Equal(first.Values.Data, scores.Values.Data) || !slices.Equal(first.Force, scores.Force) {
			return false
		}
	}
	return true
}

// remembered is a scorer that scores each whole layer once. Parts of layers, which some presses show it, are scored
// each time.
type remembered struct {
	kvpress.Scorer
	pairs int // of a whole layer
	fixed bool

	mu     sync.Mutex
	layers map[int]kvpress.Scores
}

// Score is what the scorer said.
func (r *remembered) Score(l *kvpress.Layer) (kvpress.Scores, error) {
	if l.Len != r.pairs || l.Tokens != r.pairs || l.Ragged() {
		return r.Scorer.Score(l)
	}
	r.mu.Lock()
	s, known := r.layers[l.Index]
	r.mu.Unlock()
	if !known {
		var err error
		if s, err = r.Scorer.Score(l); err != nil {
			return s, err
		}
		r.mu.Lock()
		r.layers[l.Index] = s
		r.mu.Unlock()
	}
	return kvpress.Scores{Values: s.Values.Clone(), Force: s.Force}, nil // presses may write to it
}
