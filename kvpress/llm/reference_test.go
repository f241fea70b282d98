package llm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/internal/reference"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A tally is what became of the cases of one press.
type tally struct {
	cases, unbuilt, passedOver, wrong, ties int
	tokens, compared                        int
	worst                                   float64
}

// TestReferenceTiny compares logits, kept sets and tokens of every case on the tiny models with the Python original.
func TestReferenceTiny(t *testing.T) {
	for _, root := range reference.Roots(t) {
		dirs, err := filepath.Glob(filepath.Join(root, "tiny", "*"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("no tiny cases in %s: %v", root, err)
		}
		found := map[string]tally{}
		for _, dir := range dirs {
			name := filepath.Base(dir)
			t.Run(name, func(t *testing.T) {
				m, err := llm.Load(filepath.Join(root, "models", name), device())
				if err != nil {
					t.Skipf("NOT RUN: %v", err)
				}
				g, err := reference.Load(dir)
				if err != nil {
					t.Fatal(err)
				}
				results := map[string]*tally{}
				var whole *llm.Session
				for _, c := range g.Cases {
					label := c.Label
					if results[label] == nil {
						results[label] = &tally{}
					}
					results[label].cases++
					if whole == nil {
						whole = contextOf(t, m, c)
					}
					runTiny(t, m, whole, c, results[label])
				}
				found[name] = report(t, results)
			})
		}
		familiesTable(t, root, found)
	}
}

func contextOf(t *testing.T, m *llm.LLM, c *reference.Case) *llm.Session {
	t.Helper()
	ids, err := c.ContextIDs()
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.PrefillTokens(context.Background(), ids, llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func runTiny(t *testing.T, m *llm.LLM, whole *llm.Session, c *reference.Case, r *tally) {
	t.Helper()
	if c.Error != "" {
		r.passedOver++
		return
	}
	p, err := c.Press()
	if errors.Is(err, reference.ErrNotBuilt) {
		r.unbuilt++
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", c.ID, err)
	}
	if c.Label == "KVzip-template" {
		m = withTemplate(t, m, c)
		whole = contextOf(t, m, c)
	}
	if c.Context != "" { // Finch's context ends with its question
		whole = contextOf(t, m, c)
	}
	s, err := pressed(whole, p, c)
	if err != nil {
		r.wrong++
		t.Errorf("%s: %v", c.ID, err)
		return
	}
	if tie, err := compareKept(c, whole, s, reference.TinyTie); err != nil {
		r.wrong++
		t.Errorf("%s: %v", c.ID, err)
		return
	} else if tie {
		r.ties++
		return
	}
	if err := compareReplay(c, p, s); err != nil {
		r.wrong++
		t.Errorf("%s: %v", c.ID, err)
		return
	}
	if c.SecondCopy() { // only what is kept of the first one counts
		return
	}
	if s.Next() != c.Position { // without re-rotation upstream counts the delimiter that it has dropped
		r.passedOver++
		return
	}
	want, err := c.Logits()
	if err != nil {
		t.Fatal(err)
	}
	ask, err := c.QuestionIDs()
	if err != nil {
		t.Fatal(err)
	}
	worst, agree := 0.0, true
	a, err := s.AskTokens(context.Background(), ask, len(c.Tokens), nil, func(step int, row []float32) {
		if !agree || step >= len(want) {
			return
		}
		for j, v := range row {
			worst = max(worst, math.Abs(float64(v-want[step][j])))
		}
		best := slices.Index(row, slices.Max(row))
		agree = step < len(c.Tokens) && best == c.Tokens[step]
	})
	if err != nil {
		t.Fatal(err)
	}
	if tie, err := compareFinal(c, "", s, len(ask)+len(a.Tokens)-1, a, nil); err != nil {
		r.wrong++
		t.Errorf("%s: %v", c.ID, err)
		return
	} else if tie {
		r.ties++
		return
	}
	r.worst = max(r.worst, worst)
	for i, id := range c.Tokens {
		r.compared++
		if a.Tokens[i] != id {
			if a.Gaps[i] < reference.TinyGap {
				break
			}
			r.wrong++
			t.Errorf("%s: token %d is %d, the reference has %d", c.ID, i, a.Tokens[i], id)
			return
		}
		r.tokens++
	}
	if worst > c.LogitTolerance() {
		r.wrong++
		t.Errorf("%s: logits differ by %g", c.ID, worst)
	}
}

// pressed is the session under the press of a case, with the random numbers that the reference drew.
func pressed(whole *llm.Session, p kvpress.Press, c *reference.Case) (*llm.Session, error) {
	if p == nil {
		return whole, nil
	}
	if cam, ok := p.(llm.CAM); ok {
		draws, err := c.Draws()
		if err != nil {
			return nil, err
		}
		cam.Draws = draws
		p = cam
	}
	if restore, ok := p.(llm.RestoreKV); ok {
		trained, err := restorer(c.Group(), restore.Plus)
		if err != nil {
			return nil, err
		}
		restore.Trained = trained
		p = restore
	}
	return whole.Press(p)
}

// restorer reads the tokens and the adapter that the reference invented; the adapter's scale is 2.
func restorer(g *reference.Group, plus bool) (llm.Restorer, error) {
	x, shape, err := g.Floats("mock.restorekv.embeddings")
	if err != nil {
		return llm.Restorer{}, err
	}
	r := llm.Restorer{Embeddings: tensor.Mat{Rows: shape[0], Cols: shape[1], Data: x}, Adapter: map[string]llm.LoRA{}}
	prefix := "mock.restorekv.model."
	if plus {
		prefix = "mock.restorekv_plus.model."
	}
	for _, name := range g.Names() {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		x, shape, err := g.Floats(name)
		if err != nil {
			return r, err
		}
		m := tensor.Mat{Rows: shape[0], Cols: shape[1], Data: slices.Clone(x)}
		target, in := strings.CutSuffix(rest, ".lora_A.weight")
		if !in {
			target = strings.TrimSuffix(rest, ".lora_B.weight")
		}
		lora := r.Adapter[target]
		if in {
			lora.In = m
		} else {
			tensor.Scale(m.Data, 2)
			lora.Out = m
		}
		r.Adapter[target] = lora
	}
	return r, nil
}

// compareFinal reports positions that are left at the end of an answer on one side only; n tokens of question and
// answer came after the context. Where the reference says that rounding decides, this is a tie; tied, if not nil, tells
// of other ties.
func compareFinal(c *reference.Case, number string, s *llm.Session, n int, a llm.Answer, tied func(layer, head int, ours, theirs []int) bool) (tie bool, err error) {
	want, err := c.FinalKept(number, s.Model().Config.KVHeads)
	if err != nil || want == nil {
		return false, err
	}
	for layer, heads := range want {
		for h, kept := range heads {
			left := s.Kept(layer, h)
			for i := range n {
				left = append(left, s.Next()+i)
			}
			for _, e := range a.Compressions {
				left = without(left, e.Evicted[layer][h])
			}
			ours, theirs := without(left, kept), without(kept, left)
			if len(ours)+len(theirs) == 0 {
				continue
			}
			if !c.Ambiguous && (tied == nil || !tied(layer, h, ours, theirs)) {
				return false, fmt.Errorf("layer %d: KV head %d: at the end %d pairs are left, the reference has %d; only ours are %v, only theirs %v", layer, h, len(left), len(kept), ours, theirs)
			}
			tie = true
		}
	}
	return tie, nil
}

// without lists what is in a and not in b; both ascend.
func without(a, b []int) []int {
	var only []int
	for _, x := range a {
		if _, ok := slices.BinarySearch(b, x); !ok {
			only = append(only, x)
		}
	}
	return only
}

// withTemplate loads the model of a case with the chat template that its group gives.
func withTemplate(t *testing.T, m *llm.LLM, c *reference.Case) *llm.LLM {
	t.Helper()
	dir := t.TempDir()
	from, err := hub.Find(m.Folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	var template string
	if err := json.Unmarshal(c.Group().Header["kvzip_template"], &template); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	with, err := llm.Load(dir, device())
	if err != nil {
		t.Fatal(err)
	}
	return with
}

// compareKept reports kept sets that differ; differences among scores as good as equal are a tie.
func compareKept(c *reference.Case, whole, s *llm.Session, tolerance float64) (tie bool, err error) {
	want, err := c.Kept(s.Model().Config.KVHeads)
	if err != nil || want == nil || s.Plans() == nil {
		return false, err
	}
	for layer, heads := range want {
		plan := s.Plans()[layer]
		var shared spread // of heads that keep other numbers of pairs: they compete with each other
		for h, keep := range heads {
			only := slices.Concat(without(keep, plan.Keep[h]), without(plan.Keep[h], keep))
			if len(only) == 0 {
				continue
			}
			tie = true
			if plan.Scores.Rows == 0 {
				return false, fmt.Errorf("layer %d: KV head %d: positions %v are kept by one side only", layer, h, only)
			}
			own := &shared
			if len(keep) == len(plan.Keep[h]) {
				own = &spread{}
			}
			for _, i := range only {
				own.add(float64(plan.Scores.Row(h)[i]))
			}
			if own != &shared && !own.tied(tolerance) && !tiedBefore(c, whole, s, layer, h, only, tolerance) {
				return false, fmt.Errorf("layer %d: KV head %d: %d positions are kept by one side only, scores %g to %g", layer, h, len(only), own.low, own.high)
			}
		}
		if !shared.tied(tolerance) {
			return false, fmt.Errorf("layer %d: %d positions are kept by one side only, scores %g to %g", layer, shared.n, shared.low, shared.high)
		}
	}
	return tie, nil
}

// compareReplay compares scores of presses that run the model again, and the pairs that they put into the cache: other
// scores are compared by package kvpress.
func compareReplay(c *reference.Case, p kvpress.Press, s *llm.Session) error {
	if p == nil || !llm.RunsAgain(p) {
		return nil
	}
	want, err := c.Scores()
	if err != nil {
		return err
	}
	allowed := c.Tolerance()
	for layer, m := range want {
		for i, v := range s.Plans()[layer].Scores.Data {
			if d := math.Abs(float64(v - m.Data[i])); d > allowed.Absolute+allowed.Relative*math.Abs(float64(m.Data[i])) {
				return fmt.Errorf("layer %d: score %d is %g, the reference has %g", layer, i, v, m.Data[i])
			}
		}
	}
	if c.Tensors["keys"] == "" {
		return nil
	}
	for kind, of := range map[string]func(*kvpress.Layer, int) (tensor.Mat, error){"keys": (*kvpress.Layer).Keys, "values": (*kvpress.Layer).Values} {
		want, err := c.Edited(kind)
		if err != nil {
			return err
		}
		for layer := range want {
			l, err := s.Layer(layer)
			if err != nil {
				return err
			}
			for h, m := range want[layer] {
				rows, err := of(l, h)
				if err != nil {
					return err
				}
				for i, v := range rows.Slice(rows.Rows-m.Rows, rows.Rows).Data {
					if d := math.Abs(float64(v - m.Data[i])); d > reference.EditedPairs {
						return fmt.Errorf("layer %d: KV head %d: number %d of the appended %s is %g, the reference has %g", layer, h, i, kind, v, m.Data[i])
					}
				}
			}
		}
	}
	return nil
}

// tiedBefore tells whether positions of one head are tied in the numbers that their scores were made of: LagKV's are
// ranks, where a tie shows as neighbouring ranks, and CriticalKV protects the best of its inner scorer.
func tiedBefore(c *reference.Case, whole, s *llm.Session, layer, head int, positions []int, tolerance float64) bool {
	var own spread
	switch c.Label {
	case "LagKV":
		for _, i := range positions {
			own.add(float64(s.Plans()[layer].Scores.Row(head)[i]))
		}
		return own.high-own.low <= 1.0/128+1e-6
	case "CriticalKV(Knorm)":
		l, err := whole.Layer(layer)
		if err != nil {
			return false
		}
		norms, err := l.KeyNorms()
		if err != nil {
			return false
		}
		// The first stage protects half of what stays: a tie at its cut moves every later choice of the head.
		sorted := slices.Sorted(slices.Values(norms.Row(head)))
		cut := int((1 - c.Ratio) * float64(len(sorted)) / 2)
		if gap := float64(sorted[cut] - sorted[cut-1]); gap <= tolerance*float64(sorted[cut]) {
			return true
		}
		for _, i := range positions {
			own.add(float64(norms.Row(head)[i]))
		}
		return own.tied(tolerance)
	}
	return false
}

// A spread is the range of some scores.
type spread struct {
	low, high float64
	n         int
}

func (s *spread) add(v float64) {
	if s.n == 0 {
		s.low, s.high = v, v
	}
	s.low, s.high, s.n = min(s.low, v), max(s.high, v), s.n+1
}

// tied tells whether the scores are as good as equal.
func (s *spread) tied(tolerance float64) bool {
	return s.high-s.low <= tolerance*max(math.Abs(s.high), math.Abs(s.low))
}

// report prints one line per press.
func report(t *testing.T, results map[string]*tally) tally {
	t.Helper()
	var labels []string
	for l := range results {
		labels = append(labels, l)
	}
	sort.Strings(labels)
	var all tally
	var unbuilt []string
	for _, l := range labels {
		r := results[l]
		all.cases, all.wrong, all.ties, all.worst = all.cases+r.cases-r.unbuilt-r.passedOver, all.wrong+r.wrong, all.ties+r.ties, max(all.worst, r.worst)
		if r.unbuilt == r.cases {
			unbuilt = append(unbuilt, l)
			continue
		}
		name := l
		if name == "" {
			name = "none"
		}
		t.Logf("%-32s %3d cases, %d mismatches, %d ties excused, %d of %d tokens, largest logit difference %.1e", name, r.cases-r.unbuilt-r.passedOver, r.wrong, r.ties, r.tokens, r.compared, r.worst)
	}
	t.Logf("%d cases, %d mismatches, %d ties excused, largest logit difference %.1e; %d presses of the reference are not built: %v", all.cases, all.wrong, all.ties, all.worst, len(unbuilt), unbuilt)
	return all
}
