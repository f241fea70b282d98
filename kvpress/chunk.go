package kvpress

import "github.com/kvnotes/kvnotes/kvpress/tensor"

// Chunk presses every chunk of a long context by itself, as if it were the whole context, so that each keeps its
// best. Corallo and Papotti, TACL 2024 (tacl_a_00716).
type Chunk struct {
	Scorer Scorer
	Budget Budget
	Length int  // tokens of a chunk; 0 means 1024
	Compat bool // as the Python original: queries of every chunk are rotated to the end of the context
}

func init() {
	Register(Method{Name: "chunk", Paper: "TACL 2024, 00716", Example: "chunk(keydiff, length=64):0.5", Press: Chunk{}})
}

// Name spells the press, such as "chunk(knorm, length=256):0.5".
func (p Chunk) Name() string { return Spell("chunk", p) }

// Plan keeps the best pairs of each head in each chunk. A last chunk that is too short for the scorer is an error.
func (p Chunk) Plan(l *Layer) (Plan, error) {
	length, err := whole("length", p.Length, 1024)
	if err != nil {
		return Plan{}, l.at("chunk", err)
	}
	if done, plan, err := p.Budget.settled(l); done {
		return plan, err
	}
	ratio := p.Budget.RatioOf(l)
	plan := Plan{Keep: make([][]int, l.KVHeads), Scores: tensor.New(l.KVHeads, l.Len)}
	for from := 0; from < l.Len; from += length {
		to := min(from+length, l.Len)
		part, err := l.Slice(from, to)
		if err != nil {
			return Plan{}, l.at("chunk", err)
		}
		if p.Compat {
			part.misplace(l.Next)
		}
		s, force, err := score(p.Scorer, part, ratio)
		if err != nil {
			return Plan{}, l.at("chunk", err)
		}
		keep := chunkShare(p.Budget, l, l.Len, from, to)
		for h := range plan.Keep {
			copy(plan.Scores.Row(h)[from:to], s.Values.Row(h))
			for _, i := range best(s.Values.Row(h), force[h], keep) {
				plan.Keep[h] = append(plan.Keep[h], from+i)
			}
		}
		if !p.Compat {
			plan.Force = append(plan.Force, s.Force...)
		}
	}
	return plan, nil
}

// chunkShare is the number of pairs that a chunk of a head of n pairs keeps. Chunks round a ratio by themselves, and
// divide a number of tokens.
func chunkShare(b Budget, l *Layer, n, from, to int) int {
	if b.isRatio() {
		return KeepCount(to-from, b.Removed)
	}
	total := b.Keep(l, n)
	return total*to/n - total*from/n
}
