package llm

import (
	"errors"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress"
)

// Decoding compresses while the model answers: every so many tokens its press is asked again, so that a long answer
// runs in bounded memory. The budget of the press says what may stay each time: Tokens or Bytes as they are, a Ratio of
// all tokens seen so far. Session.Press with a Decoding prunes nothing yet; it makes a session that answers this way.
// Every question begins anew from the session's pairs.
//
// Once the first Every tokens were there, a head holds at most the budget and Every-1 pairs between two steps.
type Decoding struct {
	Press  kvpress.Press // a press with a budget: a scorer with TopK, or a head-wise one such as Ada
	Every  int           // tokens of question and answer from one compression to the next; 0 means 512
	Buffer int           // newest tokens whose queries the press may read, the recorded end of the context included; 0 means 256, negative means only those of the last step
	Compat bool          // as the Python original: Every counts steps, the queries are those since the last compression and all stand at the newest position, pairs count in the order of their scores
}

func init() {
	kvpress.Register(kvpress.Method{Name: "decoding", Example: "decoding(snapkv, every=64):512tok", Press: Decoding{}})
}

// Name spells the press, such as "decoding(snapkv:512tok, every=64)".
func (p Decoding) Name() string { return kvpress.Spell("decoding", p) }

// Plan is an error: the press acts while the model answers.
func (p Decoding) Plan(*kvpress.Layer) (kvpress.Plan, error) {
	return kvpress.Plan{}, errors.New("decoding acts while the model answers: give it to Session.Press as it is, or after another press with prefill_decoding")
}

func (p Decoding) begin(a *answering) (run, error) {
	if p.Press == nil {
		return nil, fmt.Errorf("%w: a press is missing: set Press", kvpress.ErrBadParameter)
	}
	r := &decodingRun{Decoding: p, answering: a, buffer: 256}
	r.press = func(b kvpress.Budget) (kvpress.Press, error) { return kvpress.WithBudget(p.Press, b) }
	var err error
	if r.budget, err = kvpress.BudgetOf(p.Press); err != nil {
		return nil, err
	}
	if r.every, err = atLeastOne("every", p.Every, 512); err != nil {
		return nil, err
	}
	if p.Buffer != 0 {
		r.buffer = max(p.Buffer, 0)
	}
	if p.Compat {
		_, sorted := p.Press.(kvpress.TopKPress)
		r.slots = newSlots(a, sorted)
		return r, nil
	}
	return r, a.recall(r.buffer)
}

// atLeastOne is a whole number that has a default.
func atLeastOne(name string, given, usual int) (int, error) {
	if given == 0 {
		return usual, nil
	}
	if given < 1 {
		return 0, fmt.Errorf("%w: %s is %d: at least 1", kvpress.ErrBadParameter, name, given)
	}
	return given, nil
}

// A decodingRun is a Decoding at work on one answer.
type decodingRun struct {
	Decoding
	*answering
	press   func(b kvpress.Budget) (kvpress.Press, error) // the press of a compression
	budget  kvpress.Budget
	every   int
	buffer  int
	patient bool // waits, once Every tokens came, until there is more than the budget
	since   int  // tokens (steps in Compat) since the last compression
	steps   int  // whose tokens are in the buffer
	slots   *slots
}

func (r *decodingRun) after(n int) error {
	r.steps++
	if r.Compat {
		r.since++
	} else {
		r.since += n
	}
	budget := r.budgetNow()
	due, err := r.due(budget, n)
	if err != nil {
		return err
	}
	if due {
		press, err := r.press(budget)
		if err != nil {
			return err
		}
		if r.slots != nil {
			press = slotted{press, r.slots, n}
		}
		if err := r.compress(press); err != nil {
			return err
		}
		r.since = 0
		if r.Compat {
			r.steps = 0
			r.recent.trim(0)
		}
	}
	if !r.Compat || r.steps > r.buffer { // the original counts steps, of which only the first has several tokens
		r.recent.trim(r.buffer)
	}
	return nil
}

// budgetNow is the budget at this moment: a ratio counts all tokens so far.
func (r *decodingRun) budgetNow() kvpress.Budget {
	if r.budget.PerHead == 0 && r.budget.Total == 0 {
		return kvpress.Tokens(kvpress.KeepCount(r.next, r.budget.Removed))
	}
	return r.budget
}

// due tells whether to compress now, after a step of n tokens.
func (r *decodingRun) due(b kvpress.Budget, n int) (bool, error) {
	if r.Compat && b.PerHead > 0 && n >= b.PerHead {
		return true, nil
	}
	if r.since < r.every || !r.patient {
		return r.since >= r.every, nil
	}
	l, err := r.layer(0)
	return err == nil && !b.KeepsAll(l), err
}
