package kvpress

// Random keeps pairs by lot: the baseline that a method has to beat.
type Random struct {
	Seed uint64 // the same seed draws the same numbers; layers draw different ones
}

func init() { Register(Method{Name: "random", Scorer: Random{}}) }

// Name spells the scorer, such as "random(seed=42)".
func (s Random) Name() string { return Spell("random", s) }

// Score draws a number from 0 to 1 for every pair.
func (s Random) Score(l *Layer) (Scores, error) {
	m, err := l.Uniform(l.KVHeads, l.Len, s.Seed)
	return Scores{Values: m}, err
}
