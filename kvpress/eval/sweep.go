// Package eval measures what compression costs in answers: a Sweep asks the questions of a Benchmark under every press,
// and its Report says how each did.
//
// Shapes and units: scores from 0 to 1, ratios are shares removed, contexts in tokens, memory in bytes, times in seconds unless
// a name says Millis.
package eval

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/progress"
)

// A Sweep says what is to be measured: the questions of a benchmark, asked of a model under each of several presses,
// and of the whole cache first.
type Sweep struct {
	Benchmark     Benchmark       // one of Benchmarks, as Find returns it; none means the needle world
	Options       Options         // which of its samples
	Presses       []kvpress.Press // such as those of kvpress.ParseSweep("snapkv, knorm", kvpress.Ratio(0.5))
	QuestionAware bool            // the question stands at the end of what is compressed
	Closeness     bool            // measure each pressed cache against the whole one too, without an answer key

	// File takes the results, a record a line, as they are made. A run that finds some there goes on behind them. Empty
	// keeps them in memory only.
	File string
	// Shard of Shards is the part of the sweep that is run here, from 0. Zero shards mean all of it.
	Shard, Shards int
	// Contexts that are worked on at the same time; 0 means one, or one for each core where the model is so small that
	// its products do not keep the cores busy.
	Contexts int
}

// smallModel is the size of weights, in bytes, below which cores work on contexts of their own.
const smallModel = 32 << 20

// Run runs a sweep. Every context is read once, pressed with every press, and all of its questions are asked of each
// pressed copy. A press that fails, or a context that is too long, gives records that say so; the run goes on.
func Run(ctx context.Context, m *llm.LLM, s Sweep) (*Report, error) {
	r, err := prepare(ctx, m, s)
	if err != nil {
		return nil, err
	}
	report := &Report{Header: r.header}
	var j *journal
	if s.File != "" {
		if j, report.Records, err = openJournal(s.File, r.header); err != nil {
			return nil, err
		}
		report.Resumed = len(report.Records)
	}
	err = r.skip(report.Records)
	if err == nil {
		err = r.work(ctx, func(records []Record) error {
			report.Records = append(report.Records, records...)
			if j == nil {
				return nil
			}
			return j.append(records)
		})
	}
	if j != nil {
		err = errors.Join(err, j.close())
	}
	return report, err
}

// A runner is a sweep with all that must be known before the first answer.
type runner struct {
	Sweep
	model    *llm.LLM
	header   Header
	versions Versions
	record   llm.Record
	presses  []kvpress.Press // nil for the whole cache, which is the first
	names    []string
	jobs     []job // of the shard
	records  int   // of the shard
	skipped  int   // of them, that were there before
}

// A job is one context and some presses: what can be done without knowing of anything else.
type job struct {
	samples  []Sample // that share the context
	first    int      // number of the context's first record
	numbers  []int    // of the presses
	together int      // presses from which answers are made side by side
	done     int      // records that were there before
}

func prepare(ctx context.Context, m *llm.LLM, s Sweep) (*runner, error) {
	if s.Benchmark.Samples == nil {
		s.Benchmark = needleBenchmark
	}
	if s.Shards == 0 {
		s.Shards = 1
	}
	if s.Shard < 0 || s.Shard >= s.Shards {
		return nil, fmt.Errorf("there is no shard %d of %d: they run from 0 to %d", s.Shard, s.Shards, s.Shards-1)
	}
	samples, err := s.Benchmark.Samples(ctx, m, s.Options)
	if err != nil {
		return nil, fmt.Errorf("benchmark %s: %w", s.Benchmark.Name, err)
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("benchmark %s: these options leave no samples", s.Benchmark.Name)
	}
	r := &runner{Sweep: s, model: m, versions: versions(m.Fingerprint()), presses: []kvpress.Press{nil}, names: []string{"none"}}
	for i, p := range s.Presses {
		if p == nil {
			return nil, fmt.Errorf("press %d of the sweep is nil: the whole cache comes first by itself", i)
		}
		if slices.Contains(r.names, p.Name()) {
			return nil, fmt.Errorf("the press %s is there twice: name each once", p.Name())
		}
		r.presses, r.names = append(r.presses, p), append(r.names, p.Name())
	}
	if r.record, err = r.recordFor(s.Presses); err != nil {
		return nil, err
	}
	if err := r.describe(samples); err != nil {
		return nil, err
	}
	err = r.deal(samples)
	r.header.ShardRecords = r.records
	return r, err
}

// recordFor is what prefills keep for all presses of the sweep, whichever shard runs them: the same bits everywhere.
func (r *runner) recordFor(presses []kvpress.Press) (llm.Record, error) {
	if r.QuestionAware {
		for _, p := range presses {
			if _, ok := p.(kvpress.Finch); ok { // its window is not known before the question
				return llm.Full(), nil
			}
		}
	}
	return r.model.Light(presses...)
}

// describe fills in the header.
func (r *runner) describe(samples []Sample) error {
	before, after, err := r.model.Frame("kvnotes")
	if err != nil {
		return err
	}
	var all []string
	for _, s := range samples {
		all = append(all, s.ID, s.Task, s.Context, s.Question, s.Prefix, fmt.Sprint(s.MaxTokens, s.Answers))
	}
	r.header = Header{
		Format: format, Benchmark: r.Benchmark.Name, Options: r.Options, Samples: hash(all...), Model: r.model.Name, Files: r.versions.Files,
		Template: hash(before, after), Backend: r.model.Backend(), Presses: r.names[1:], QuestionAware: r.QuestionAware, Closeness: r.Closeness,
		Records: len(samples) * len(r.names), Shard: r.Shard, Shards: r.Shards,
	}.hashed()
	return nil
}

// deal sorts samples by context, and contexts and presses into jobs, of which every shard gets its share in turn.
func (r *runner) deal(samples []Sample) error {
	groups := map[string]int{}
	var contexts [][]Sample
	seen := map[string]bool{}
	for _, s := range samples {
		if seen[s.ID] {
			return fmt.Errorf("benchmark %s: two samples are called %s", r.Benchmark.Name, s.ID)
		}
		seen[s.ID] = true
		if r.QuestionAware {
			s.Context += s.Question
		}
		i, known := groups[s.Context]
		if !known || r.QuestionAware {
			i = len(contexts)
			groups[s.Context] = i
			contexts = append(contexts, nil)
		}
		contexts[i] = append(contexts[i], s)
	}
	// With more shards than contexts, several share one and each takes some of the presses.
	most := (r.Shards + len(contexts) - 1) / len(contexts)
	first, number := 0, 0
	for _, c := range contexts {
		together := r.together(c)
		batches := (len(r.names) + together - 1) / together
		parts := min(batches, most)
		for part := range parts {
			if number++; (number-1)%r.Shards != r.Shard {
				continue
			}
			j := job{samples: c, first: first, together: together}
			for p := part * batches / parts * together; p < min(len(r.names), (part+1)*batches/parts*together); p++ {
				j.numbers = append(j.numbers, p)
			}
			r.jobs = append(r.jobs, j)
			r.records += len(c) * len(j.numbers)
		}
		first += len(c) * len(r.names)
	}
	return nil
}

const (
	// answersTogether is how many answers are made side by side, if they are of several presses.
	answersTogether = 24
	// heldTogether bounds the bytes of the pressed copies that are held for it, as if nothing were removed.
	heldTogether = 1 << 30
)

// together is how many presses of a context are asked side by side: the more, the less often weights are read. It
// depends on the context and the model alone, for answers that are made together depend on each other in their last
// bits.
func (r *runner) together(samples []Sample) int {
	c := r.model.Config
	tokens := len(r.model.Tokenizer.Encode(samples[0].Context))
	bytes := max(1, tokens*c.Layers*c.KVHeads*2*4*c.Dim)
	return max(1, min(answersTogether/len(samples), heldTogether/bytes))
}

// skip notes which records are there already. A file holds the shard's records in order, without gaps.
func (r *runner) skip(there []Record) error {
	r.skipped = len(there)
	for i := range r.jobs {
		j := &r.jobs[i]
		for _, p := range j.numbers {
			for k, s := range j.samples {
				if len(there) == 0 {
					return nil
				}
				old := there[0]
				if old.Number != j.first+p*len(j.samples)+k || old.Sample != s.ID || old.Press != r.names[p] {
					return fmt.Errorf("results in %s: record %d is %s of %s, it should be %s of %s: the file was changed; name another one", r.File, old.Number, old.Press, old.Sample, r.names[p], s.ID)
				}
				there = there[1:]
				j.done++
			}
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("results in %s: there are %d records too many: the file was changed; name another one", r.File, len(there))
	}
	return nil
}

// contexts is how many contexts are worked on at a time.
func (r *runner) contexts() int {
	switch {
	case r.Contexts > 0:
		return r.Contexts
	case r.model.Backend() == "cpu" && r.model.Bytes() < smallModel:
		return runtime.NumCPU()
	}
	return 1
}

// work does all jobs, several at a time, and hands their records over in order: a file that a kill cut short lacks its
// end and nothing else.
func (r *runner) work(ctx context.Context, take func([]Record) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	quiet := progress.With(ctx, func(string, int64, int64) {}) // prefills and answers have bars of their own
	type made struct {
		records []Record
		err     error
	}
	queues := make([]chan made, len(r.jobs))
	for i := range queues {
		queues[i] = make(chan made, len(r.jobs[i].numbers)+1)
	}
	next := make(chan int)
	started := make(chan struct{}, 2*r.contexts()) // nobody runs far ahead of what is written
	var all sync.WaitGroup
	for range r.contexts() {
		all.Go(func() {
			for i := range next {
				err := r.run(quiet, r.jobs[i], func(records []Record) { queues[i] <- made{records: records} })
				if err != nil {
					queues[i] <- made{err: err}
				}
				close(queues[i])
			}
		})
	}
	all.Go(func() {
		defer close(next)
		for i := range r.jobs {
			select {
			case started <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	defer all.Wait()
	defer stop()
	written := r.skipped
	progress.Report(ctx, "answers", int64(written), int64(r.records))
	for i := range queues {
		for open := true; open; {
			if ctx.Err() != nil { // also where answers are ready
				return ctx.Err()
			}
			var m made
			select {
			case m, open = <-queues[i]:
			case <-ctx.Done():
				return ctx.Err()
			}
			if m.err != nil {
				return m.err
			}
			if len(m.records) == 0 {
				continue
			}
			if err := take(m.records); err != nil {
				return err
			}
			written += len(m.records)
			progress.Report(ctx, "answers", int64(written), int64(r.records))
		}
		<-started
	}
	return nil
}
