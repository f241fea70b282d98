package eval

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// A Report is what a sweep, or a part of one, found.
type Report struct {
	Header  Header
	Records []Record // in the order of the sweep
	Resumed int      // of them, that an earlier run had made

	unfinished []string // shards of a merged report that are not done
}

// A Score is how one press did.
type Score struct {
	Task         string  // of the benchmark; empty for all of them together
	Press        string  // as spelled
	Ratio        float64 // of pairs removed
	Metric       string  // the benchmark's first
	Right, Of    float64 // sums over the answers; an answer is right in part where the metric counts parts
	Others       []Measure
	Answers      int
	Failed       int     // of them, for which there is an error instead of an answer
	KVBytes      int64   // of the compressed caches, mean over the answers
	PressMillis  float64 // mean likewise
	AnswerMillis float64
}

// Accuracy is the share of right answers, from 0 to 1.
func (s Score) Accuracy() float64 {
	if s.Of == 0 {
		return 0
	}
	return s.Right / s.Of
}

// String says how the press did.
func (s Score) String() string { return fmt.Sprintf("%s: %.4g of %g right", s.Press, s.Right, s.Of) }

// Tasks are the tasks of the benchmark that were asked, in order.
func (r *Report) Tasks() []string {
	var tasks []string
	for _, a := range r.Records {
		if !slices.Contains(tasks, a.Task) {
			tasks = append(tasks, a.Task)
		}
	}
	return tasks
}

// Scores are how each press did over all tasks, in the order of the sweep.
func (r *Report) Scores() []Score { return r.ScoresOf("") }

// ScoresOf are how each press did in a task.
func (r *Report) ScoresOf(task string) []Score {
	var scores []Score
	at := map[string]int{}
	for _, press := range append([]string{"none"}, r.Header.Presses...) {
		at[press] = len(scores)
		scores = append(scores, Score{Task: task, Press: press})
	}
	for _, a := range r.Records {
		if i, known := at[a.Press]; known && (task == "" || task == a.Task) {
			scores[i].add(a)
		}
	}
	scores = slices.DeleteFunc(scores, func(s Score) bool { return s.Answers == 0 })
	for i := range scores {
		s := &scores[i]
		n := float64(max(1, s.Answers-s.Failed))
		s.KVBytes, s.PressMillis, s.AnswerMillis = int64(float64(s.KVBytes)/n), s.PressMillis/n, s.AnswerMillis/n
	}
	return scores
}

// add adds an answer; means are sums still.
func (s *Score) add(a Record) {
	s.Answers++
	if a.Error != "" {
		s.Failed++
		return
	}
	n := float64(s.Answers - s.Failed)
	s.Ratio += (a.Ratio - s.Ratio) / n // exact while all are equal
	s.KVBytes += a.KVBytes
	s.PressMillis += 1e3 * a.Seconds.Press
	s.AnswerMillis += 1e3 * a.Seconds.Answer
	for i, m := range a.Measures {
		if i == 0 && (s.Metric == "" || s.Metric == m.Metric) {
			s.Metric, s.Right, s.Of = m.Metric, s.Right+m.Got, s.Of+m.Of
			continue
		}
		k := slices.IndexFunc(s.Others, func(o Measure) bool { return o.Metric == m.Metric })
		if k < 0 {
			k = len(s.Others)
			s.Others = append(s.Others, Measure{Metric: m.Metric})
		}
		s.Others[k].Got, s.Others[k].Of = s.Others[k].Got+m.Got, s.Others[k].Of+m.Of
	}
}

// PrefillSeconds are how long reading the contexts took, and how much longer it would have taken to read them again for
// every press.
func (r *Report) PrefillSeconds() (spent, saved float64) {
	type reading struct {
		context string
		seconds float64
	}
	presses, readings := map[string]map[string]bool{}, map[reading]bool{}
	longest := map[string]float64{}
	for _, a := range r.Records {
		if presses[a.Context] == nil {
			presses[a.Context] = map[string]bool{}
		}
		presses[a.Context][a.Press] = true
		if x := (reading{a.Context, a.Seconds.Prefill}); !readings[x] { // no two of a context take the same time
			readings[x] = true
			spent += x.seconds
		}
		longest[a.Context] = max(longest[a.Context], a.Seconds.Prefill)
	}
	for context, names := range presses {
		saved += float64(len(names)) * longest[context]
	}
	return spent, max(0, saved-spent)
}

// Failed is the number of records that have an error instead of an answer.
func (r *Report) Failed() int {
	n := 0
	for _, a := range r.Records {
		if a.Error != "" {
			n++
		}
	}
	return n
}

// firstFailure is the first error of the records.
func (r *Report) firstFailure() error {
	for _, a := range r.Records {
		if a.Error != "" {
			return errors.New(a.Error)
		}
	}
	return nil
}

// rows is the table of the report: the names of the columns, and a row for every press, of each task and then of all.
func (r *Report) rows() [][]string {
	tasks := r.Tasks()
	if len(tasks) > 1 {
		tasks = append(tasks, "")
	}
	var others []string
	for _, s := range r.Scores() {
		for _, m := range s.Others {
			if !slices.Contains(others, m.Metric) {
				others = append(others, m.Metric)
			}
		}
	}
	head := append([]string{"task", "press", "right", "of", "%"}, others...)
	rows := [][]string{append(head, "KV MB", "press ms", "answer ms", "failed")}
	for _, task := range tasks {
		for _, s := range r.ScoresOf(task) {
			name := task
			if task == "" {
				name = "all"
			}
			row := []string{name, s.Press, fmt.Sprintf("%.4g", s.Right), fmt.Sprintf("%g", s.Of), fmt.Sprintf("%.1f", 100*s.Accuracy())}
			for _, metric := range others {
				row = append(row, s.other(metric))
			}
			rows = append(rows, append(row, fmt.Sprintf("%.2f", float64(s.KVBytes)/1e6), fmt.Sprintf("%.1f", s.PressMillis), fmt.Sprintf("%.1f", s.AnswerMillis), fmt.Sprint(s.Failed)))
		}
	}
	return rows
}

// other is the mean of one of the other metrics, as the table shows it.
func (s Score) other(metric string) string {
	for _, m := range s.Others {
		if m.Metric == metric && m.Of != 0 {
			return fmt.Sprintf("%.3f", m.Got/m.Of)
		}
	}
	return ""
}

// String is a table of the scores, of each task and of all, and a line that says what reading once saved.
func (r *Report) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range r.rows() {
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String() + r.summary() + "\n"
}

// Markdown is the same table for a notebook.
func (r *Report) Markdown() string {
	var b strings.Builder
	for i, row := range r.rows() {
		for k := range row {
			row[k] = strings.ReplaceAll(row[k], "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString("|---|---" + strings.Repeat("|--:", len(row)-2) + "|\n")
		}
	}
	return b.String() + "\n" + r.summary() + "\n"
}

func (r *Report) summary() string {
	spent, saved := r.PrefillSeconds()
	s := fmt.Sprintf("%s on %s, %s: %d answers; reading each context once took %.1f s and saved %.1f s", r.Header.Benchmark, r.Header.Model, r.Header.Backend, len(r.Records), spent, saved)
	if r.Resumed > 0 {
		s += fmt.Sprintf("; %d answers were there before", r.Resumed)
	}
	if n := r.Failed(); n > 0 {
		s += fmt.Sprintf("; %d answers failed, the first because of: %v", n, r.firstFailure())
	}
	return s
}
