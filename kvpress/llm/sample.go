package llm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/tokenizer"
)

// A Sampling says how tokens are drawn. The zero value draws none: the most likely token is taken, every time. The
// rules apply in the order of transformers: penalty, temperature, TopK, TopP, MinP.
type Sampling struct {
	Temperature float64 // divides the logits; 0 means greedy
	TopK        int     // only so many of the most likely tokens; 0 means all
	TopP        float64 // only the most likely tokens that together have this probability; 0 means all
	MinP        float64 // only tokens with this fraction of the largest probability; 0 means all
	Penalty     float64 // on tokens of the text so far: positive logits are divided by it, negative ones multiplied; 0 means 1
	Seed        uint64  // the same seed draws the same answer
}

func (s Sampling) check() error {
	for _, p := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"temperature", s.Temperature, 0, math.MaxFloat32},
		{"top-k", float64(s.TopK), 0, math.MaxInt32},
		{"top-p", s.TopP, 0, 1},
		{"min-p", s.MinP, 0, 1},
		{"repetition penalty", s.Penalty, 0, math.MaxFloat32},
	} {
		if !(p.value >= p.low && p.value <= p.high) {
			return fmt.Errorf("ask: %s is %v: it should lie between %v and %v", p.name, p.value, p.low, p.high)
		}
	}
	return nil
}

// A sampler draws the tokens of one answer.
type sampler struct {
	Sampling
	random *rand.Rand
	seen   map[int]bool // tokens of the text so far
	row    []float32
	rank   []int // tokens that may be drawn, the most likely first
	weight []float64
}

// sampler begins an answer to a text of these tokens.
func (s Sampling) sampler(text ...[]int) *sampler {
	d := &sampler{Sampling: s, random: rand.New(rand.NewPCG(s.Seed, 0)), seen: map[int]bool{}}
	for _, ids := range text {
		for _, id := range ids {
			d.seen[id] = true
		}
	}
	return d
}

// draw chooses a token. The gap is that of the logits as they are.
func (d *sampler) draw(logits []float32) (token int, gap float32, err error) {
	token, gap, err = choose(logits)
	if err != nil || d.Temperature == 0 && (d.Penalty == 0 || d.Penalty == 1) {
		return token, gap, err
	}
	d.row = append(d.row[:0], logits...)
	if d.Penalty != 0 {
		for id := range d.seen {
			switch v := d.row[id]; {
			case v > 0:
				d.row[id] = v / float32(d.Penalty)
			default:
				d.row[id] = v * float32(d.Penalty)
			}
		}
	}
	if token, _, err = choose(d.row); err == nil && d.Temperature > 0 {
		token = d.sample(d.row[token])
	}
	d.seen[token] = true
	return token, gap, err
}

// sample draws a token of row, whose largest logit is top.
func (d *sampler) sample(top float32) int {
	d.rank = d.rank[:0]
	for id := range d.row {
		d.rank = append(d.rank, id)
	}
	sort.SliceStable(d.rank, func(i, j int) bool { return d.row[d.rank[i]] > d.row[d.rank[j]] })
	if d.TopK > 0 && len(d.rank) > d.TopK {
		d.rank = d.rank[:d.TopK]
	}
	d.weight = d.weight[:0]
	sum := 0.0
	for _, id := range d.rank {
		w := weightOf(d.row[id], top, d.Temperature)
		d.weight = append(d.weight, w)
		sum += w
	}
	if d.TopP > 0 && d.TopP < 1 {
		enough, kept := d.TopP*sum, 0.0
		for i, w := range d.weight {
			if kept += w; kept >= enough {
				d.weight, sum = d.weight[:i+1], kept
				break
			}
		}
	}
	for n := len(d.weight); n > 1 && d.weight[n-1] < d.MinP; n-- {
		sum -= d.weight[n-1]
		d.weight = d.weight[:n-1]
	}
	left := d.random.Float64() * sum
	for i, w := range d.weight {
		if left -= w; left < 0 {
			return d.rank[i]
		}
	}
	return d.rank[0] // rounding
}

// weightOf is a probability relative to the largest one.
func weightOf(v, top float32, temperature float64) float64 {
	return math.Exp(float64(v-top) / temperature)
}

// A speaker hears the tokens of an answer, says its text as far as it is certain, and notices where it should end.
type speaker struct {
	stream *tokenizer.Stream
	stops  []string
	say    func(text string) // nil says nothing
	held   string            // may be the beginning of a stop text
	ended  bool
}

// hear takes a token and tells whether the answer ends.
func (s *speaker) hear(token int) (end bool) {
	s.tell(s.stream.Next(token))
	return s.ended
}

// finish says what was held.
func (s *speaker) finish() {
	s.tell(s.stream.Rest())
	if !s.ended && s.held != "" && s.say != nil {
		s.say(s.held)
	}
	s.held = ""
}

func (s *speaker) tell(text string) {
	if s.ended || text == "" {
		return
	}
	s.held += text
	certain := len(s.held)
	if at := firstStop(s.held, s.stops); at >= 0 {
		certain, s.ended = at, true
	} else {
		for _, stop := range s.stops {
			for n := min(len(stop)-1, len(s.held)); n > 0; n-- {
				if strings.HasSuffix(s.held, stop[:n]) {
					certain = min(certain, len(s.held)-n)
					break
				}
			}
		}
	}
	if certain > 0 && s.say != nil {
		s.say(s.held[:certain])
	}
	s.held = s.held[certain:]
}

// firstStop is where the first of the stop texts begins, -1 if there is none.
func firstStop(text string, stops []string) int {
	first := -1
	for _, stop := range stops {
		if at := strings.Index(text, stop); stop != "" && at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}
