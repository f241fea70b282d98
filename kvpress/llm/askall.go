package llm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// mostTogether is how many answers are made at a time.
const mostTogether = 32

// AskAll answers several questions about one context side by side, each on a fork that shares the context's pairs.
// Every step reads the weights once for all answers, so that many take little longer than one; the last bits of logits
// may differ from those of Ask, and are the same whenever the same questions are asked together. Where a press acts in
// answers they are made one after the other. Streams are called from several goroutines.
func (s *Session) AskAll(ctx context.Context, questions []Question) ([]Answer, error) {
	sessions := make([]*Session, len(questions))
	for i := range sessions {
		sessions[i] = s
	}
	answers, errs := s.model.AskEach(ctx, sessions, questions)
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("question %d: %w", i, err)
		}
	}
	return answers, nil
}

// AskEach is AskAll for sessions that may differ, such as several pressed copies of one: question i is asked of session
// i. Each answer has an error of its own, nil for those that came about.
func (m *LLM) AskEach(ctx context.Context, sessions []*Session, questions []Question) ([]Answer, []error) {
	answers, errs := make([]Answer, len(questions)), make([]error, len(questions))
	if len(sessions) != len(questions) {
		for i := range errs {
			errs[i] = fmt.Errorf("ask: %d sessions for %d questions: give one for each", len(sessions), len(questions))
		}
		return answers, errs
	}
	var together []int // the others' presses act in answers
	for i, s := range sessions {
		switch {
		case s.model != m:
			errs[i] = fmt.Errorf("ask: the session is of another model, %s: ask that", s.model.Name)
		case s.during != nil:
			answers[i], errs[i] = s.AskWith(ctx, questions[i])
		default:
			together = append(together, i)
		}
	}
	for from := 0; from < len(together); from += mostTogether {
		some := together[from:min(len(together), from+mostTogether)]
		m.askSome(ctx, some, sessions, questions, answers, errs)
		progress.Report(ctx, "questions", int64(from+len(some)), int64(len(together)))
	}
	return answers, errs
}

// askSome answers a few questions at the same time.
func (m *LLM) askSome(ctx context.Context, some []int, sessions []*Session, questions []Question, answers []Answer, errs []error) {
	c, err := m.decoder.chorus(len(some))
	if err != nil {
		for _, i := range some {
			errs[i] = err
		}
		return
	}
	quiet := progress.With(ctx, func(string, int64, int64) {}) // the bars of single answers would run into each other
	var all sync.WaitGroup
	for number, i := range some {
		fork, err := sessions[i].Fork()
		if err != nil {
			errs[i] = err
			c.leave(ctx)
			continue
		}
		fork.chorus, fork.voice = c, number
		all.Go(func() {
			defer fork.cache.Close()
			defer c.leave(ctx)
			answers[i], errs[i] = fork.AskWith(quiet, questions[i])
		})
	}
	all.Wait()
}

// A chorus runs the next tokens of several answers through the model at once. It waits until every answer that is not
// done has one.
type chorus struct {
	decoder      *decoder
	work         *workspace
	last, logits Buf       // a row for each answer
	result       []float32 // their logits

	mu      sync.Mutex
	members int
	voices  []voice
}

// A voice is the next token of one answer.
type voice struct {
	number       int // of the answer
	id, position int
	cache        Cache
	row          []float32  // takes the logits
	done         chan error // told when they are there
}

func (d *decoder) chorus(members int) (*chorus, error) {
	c := &chorus{decoder: d, members: members, result: make([]float32, members*d.config.Vocabulary)}
	var err1, err2, err3 error
	c.work, err1 = d.workspace(members)
	c.last, err2 = d.backend.Alloc(members, d.config.Width)
	c.logits, err3 = d.backend.Alloc(members, d.config.Vocabulary)
	return c, errors.Join(err1, err2, err3)
}

// sing leaves the logits of the token that follows in row.
func (c *chorus) sing(ctx context.Context, number, id, position int, cache Cache, row []float32) error {
	v := voice{number: number, id: id, position: position, cache: cache, row: row, done: make(chan error, 1)}
	c.mu.Lock()
	c.voices = append(c.voices, v)
	c.together(ctx)
	c.mu.Unlock()
	return <-v.done
}

// leave says that an answer is done, or failed.
func (c *chorus) leave(ctx context.Context) {
	c.mu.Lock()
	c.members--
	c.together(ctx)
	c.mu.Unlock()
}

// together runs the tokens if all are there.
func (c *chorus) together(ctx context.Context) {
	if len(c.voices) == 0 || len(c.voices) < c.members {
		return
	}
	// A row's last bits depend on the rows beside it: in order, the same questions get the same bits every time.
	slices.SortFunc(c.voices, func(a, b voice) int { return a.number - b.number })
	err := c.step(ctx)
	for i, v := range c.voices {
		size := c.decoder.config.Vocabulary
		copy(v.row, c.result[i*size:(i+1)*size])
		v.done <- err
	}
	c.voices = c.voices[:0]
}

// step runs one token of every voice through all layers.
func (c *chorus) step(ctx context.Context) error {
	d, n, w := c.decoder, len(c.voices), c.work
	ids := make([]int, n)
	for i, v := range c.voices {
		ids[i] = v.id
	}
	x := w.x.Slice(0, n)
	d.backend.Embed(x, d.embed, ids, d.embedScale)
	for layer := range d.layers {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("layer %d of %d: %w", layer, d.config.Layers, err)
		}
		d.project(w, x, w.h.Slice(0, n), layer, adapter{})
		for i, v := range c.voices {
			a := d.attention(layer, v.position+1)
			a.Positions = []int{v.position}
			d.backend.Attend(w.attended.Slice(i, i+1), w.qkv.Slice(i, i+1), v.cache, a)
		}
		d.finish(w, x, w.attended.Slice(0, n), layer, adapter{})
	}
	d.backend.Norm(c.last.Slice(0, n), x, d.norm, d.config.Epsilon)
	d.backend.MatMul(c.logits.Slice(0, n), c.last.Slice(0, n), d.head)
	if err := d.backend.Read(c.result, c.logits.Slice(0, n)); err != nil {
		return err
	}
	d.bend(c.result[:n*d.config.Vocabulary])
	return nil
}
