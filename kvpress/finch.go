package kvpress

import "fmt"

// Finch keeps what the question looks at: the question stands at the end of the context, its queries vote, and it
// stays. Kept keys move together. Corallo and Papotti, TACL 2024 (tacl_a_00716).
type Finch struct {
	Budget      Budget
	Window      int  // tokens of the question at the end of the context; it has no default
	Chunk       int  // choose within chunks of so many tokens; 0 means over the whole context
	NoNormalize bool // count all queries alike, not by how many pairs each could look at
	NoRerotate  bool // leave the kept keys at their positions
}

func init() {
	Register(Method{Name: "finch", Paper: "TACL 2024, 00716", Example: "finch(window=12):0.5", Press: Finch{}})
}

// Name spells the press, such as "finch(window=12):0.5".
func (p Finch) Name() string { return Spell("finch", p) }

// Plan keeps the pairs of each head that the question looks at most.
func (p Finch) Plan(l *Layer) (Plan, error) {
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	s, force, err := score(questionScorer{p}, l, p.Budget.RatioOf(l))
	if err != nil {
		return Plan{}, err
	}
	length := l.Len
	if p.Chunk > 0 {
		length = p.Chunk
		if least := float64(p.Window) / (1 - p.Budget.RatioOf(l)); float64(length) <= least {
			return Plan{}, l.at("finch", fmt.Errorf("%w: chunk is %d: the question alone needs more than %.0f tokens at this budget", ErrBadParameter, length, least))
		}
	}
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: s.Values, Force: s.Force, Rerotate: !p.NoRerotate}
	for h, n := range l.Lens {
		for from := 0; from < n; from += length {
			to := min(from+length, n)
			var inside []int
			for _, i := range force[h] {
				if i >= from && i < to {
					inside = append(inside, i-from)
				}
			}
			for _, i := range best(s.Values.Row(h)[from:to], inside, chunkShare(p.Budget, l, n, from, to)) {
				plan.Keep[h] = append(plan.Keep[h], from+i)
			}
		}
	}
	return plan, l.at("finch", plan.checkRotation(l))
}

// A questionScorer is the scoring part of Finch.
type questionScorer struct{ press Finch }

func (questionScorer) Name() string { return "finch" }

func (s questionScorer) Score(l *Layer) (Scores, error) {
	window := s.press.Window
	if n := min(l.Len, l.Tokens); window < 1 || window >= n {
		return Scores{}, fmt.Errorf("%w: window is %d of %d tokens: set it to the tokens of the question at the end of the context", ErrBadParameter, window, n)
	}
	weights := make([]float32, window)
	for i := range weights {
		weights[i] = 1 / float32(window)
		if !s.press.NoNormalize {
			weights[i] *= float32(l.Tokens - window + i)
		}
	}
	attention, err := l.Attention(window, weights)
	if err != nil {
		return Scores{}, err
	}
	last, err := l.Last(window)
	if err != nil {
		return Scores{}, err
	}
	return l.Protect(l.GroupMean(attention), last)
}
