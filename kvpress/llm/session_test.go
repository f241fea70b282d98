package llm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// needle is the embedded model, loaded once for all tests.
var needle = sync.OnceValues(func() (*llm.LLM, error) { return llm.Load("needle", device()) })

func loadNeedle(t testing.TB) *llm.LLM {
	t.Helper()
	m, err := needle()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// someTokens are n random tokens of the model, the same for the same seed.
func someTokens(m *llm.LLM, n int, seed uint64) []int {
	r := rand.New(rand.NewPCG(seed, 1))
	ids := make([]int, n)
	for i := range ids {
		ids[i] = 10 + r.IntN(m.Config.Vocabulary-10)
	}
	return ids
}

func prefilled(t testing.TB, n int) *llm.Session {
	t.Helper()
	m := loadNeedle(t)
	s, err := m.PrefillTokens(context.Background(), someTokens(m, n, 7), llm.Full())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// logits are all logits of a few greedy steps after a question.
func logits(t testing.TB, s *llm.Session, question []int) [][]float32 {
	t.Helper()
	var rows [][]float32
	_, err := s.AskTokens(context.Background(), question, 4, nil, func(_ int, row []float32) {
		rows = append(rows, append([]float32(nil), row...))
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func parse(t testing.TB, spelling string) kvpress.Press {
	t.Helper()
	p, err := kvpress.Parse(spelling)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func press(t testing.TB, s *llm.Session, spelling string) *llm.Session {
	t.Helper()
	out, err := s.Press(parse(t, spelling))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var question = []int{17, 400, 33, 1200, 90}

func TestRatioZeroIsNoPress(t *testing.T) {
	s := prefilled(t, 300)
	want := logits(t, s, question)
	for _, spelling := range []string{"knorm:0", "snapkv:0", "adakv(snapkv):0", "expected_attention:0", "adasnapkv:0"} {
		if got := logits(t, press(t, s, spelling), question); !reflect.DeepEqual(got, want) {
			t.Errorf("%s changes the logits", spelling)
		}
	}
}

func TestQuestionsDoNotSeeEachOther(t *testing.T) {
	fresh := logits(t, press(t, prefilled(t, 300), "adakv(knorm):0.5"), question)
	s := press(t, prefilled(t, 300), "adakv(knorm):0.5")
	logits(t, s, []int{5, 6, 7, 8})
	if got := logits(t, s, question); !reflect.DeepEqual(got, fresh) {
		t.Error("a question before changes the answer")
	}
}

func TestPressLeavesItsSource(t *testing.T) {
	s := prefilled(t, 300)
	want, before := logits(t, s, question), s.Bytes()
	p := press(t, s, "adakv(snapkv(window=16)):0.7")
	logits(t, p, question)
	if got := logits(t, s, question); !reflect.DeepEqual(got, want) {
		t.Error("pressing a copy changed the source")
	}
	if after := s.Bytes(); after.KV != before.KV || after.Live != before.Live {
		t.Errorf("pressing a copy changed the bytes of the source: %+v, then %+v", before, after)
	}
	if s.PressName() != "none" || p.PressName() != "adakv(snapkv(window=16)):0.7" {
		t.Errorf("press names are %q and %q", s.PressName(), p.PressName())
	}
}

func TestBytesFallWithTheRatio(t *testing.T) {
	s := prefilled(t, 2000)
	full := s.Bytes()
	if full.Live != full.Full {
		t.Errorf("an uncompressed session holds %d bytes of %d", full.Live, full.Full)
	}
	for _, ratio := range []float64{0.25, 0.5, 0.9} {
		for _, name := range []string{"knorm", "adakv(knorm)", "adasnapkv(window=16)"} {
			p := press(t, s, fmt.Sprintf("%s:%v", name, ratio))
			b := p.Bytes()
			want := float64(full.Full) * (1 - ratio)
			if float64(b.Live) < 0.995*want || float64(b.Live) > 1.005*want {
				t.Errorf("%s at %v holds %d bytes, %.0f expected", name, ratio, b.Live, want)
			}
			// A head's last page may be filled in part, and no more.
			c := p.Model().Config
			slack := int64(c.Layers * c.KVHeads * tensor.PageRows * 2 * c.Dim * 4)
			if b.KV < b.Live || b.KV > b.Live+slack {
				t.Errorf("%s at %v allocates %d bytes for %d live ones, more than a page a head", name, ratio, b.KV, b.Live)
			}
		}
	}
}

func TestHeadsDiffer(t *testing.T) {
	for layer, heads := range press(t, prefilled(t, 600), "adasnapkv(window=16):0.5").Lens() {
		differ := false
		for _, n := range heads {
			differ = differ || n != heads[0]
		}
		if !differ {
			t.Errorf("layer %d: every head keeps %d pairs: a head-wise press should tell heads apart", layer, heads[0])
		}
	}
}

func TestPrefillWithEqualsPrefillThenPress(t *testing.T) {
	m := loadNeedle(t)
	ids := someTokens(m, 900, 7)
	s := prefilled(t, 900)
	for _, spelling := range []string{
		"snapkv(window=16):0.5", "snapkv(window=300):0.5", "tova:0.5", "adakv(expected_attention):0.7", "rerotate(knorm):0.5", "merging(snapkv):0.5", "lagkv:0.5",
		"observed_attention:0.5", "criticalkv(snapkv):0.5", "leverage:0.5", "cur:0.5", "block(snapkv):0.5",
	} {
		p, err := kvpress.Parse(spelling)
		if err != nil {
			t.Fatal(err)
		}
		low, err := m.PrefillTokensWith(context.Background(), ids, p)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(logits(t, low, question), logits(t, press(t, s, spelling), question)) {
			t.Errorf("%s: compressing during the prefill gives other logits than afterwards", spelling)
		}
		if b := low.Bytes(); b.Peak >= b.Full {
			t.Errorf("%s: peak %d bytes, the uncompressed cache has %d", spelling, b.Peak, b.Full)
		}
	}
	_, err := m.PrefillTokensWith(context.Background(), ids, kvpress.Global(kvpress.Knorm{}, kvpress.Ratio(0.5), 0.2))
	if err == nil || !strings.Contains(err.Error(), "global(knorm, floor=0.2):0.5 waits for the scores of all layers") {
		t.Errorf("a press that waits for all layers gave: %v", err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	m := loadNeedle(t)
	for _, s := range []*llm.Session{prefilled(t, 200), press(t, prefilled(t, 200), "adakv(knorm):0.5")} {
		path := filepath.Join(t.TempDir(), "session")
		if err := s.Save(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("a saved session is for its owner only: %v, %v", info.Mode(), err)
		}
		back, err := m.LoadSession(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(logits(t, back, question), logits(t, s, question)) {
			t.Errorf("%s: a loaded session answers differently", s.PressName())
		}
		if back.PressName() != s.PressName() || !reflect.DeepEqual(back.Lens(), s.Lens()) || len(back.Plans()) != len(s.Plans()) {
			t.Errorf("%s: press, lengths or plans did not survive", s.PressName())
		}
		if !reflect.DeepEqual(logits(t, press(t, back, "snapkv(window=16):0.5"), question), logits(t, press(t, s, "snapkv(window=16):0.5"), question)) {
			t.Errorf("%s: pressing a loaded session gives something else", s.PressName())
		}
	}
}

func TestGlobalSharesOneBudget(t *testing.T) {
	s := prefilled(t, 500)
	p := press(t, s, "global(knorm):0.5")
	total, layers := 0, map[int]bool{}
	for _, heads := range p.Lens() {
		sum := 0
		for _, n := range heads {
			sum += n
			if n < 50 {
				t.Errorf("a head keeps %d pairs, its floor is 50", n)
			}
		}
		total, layers[sum] = total+sum, true
	}
	c := s.Model().Config
	if want := c.Layers * c.KVHeads * 250; total != want {
		t.Errorf("%d pairs stay, the budget is %d", total, want)
	}
	if len(layers) < 2 {
		t.Error("all layers keep the same number of pairs")
	}
}

func TestForksAnswerSideBySide(t *testing.T) {
	s := press(t, prefilled(t, 300), "adakv(knorm):0.5")
	want := logits(t, s, question)
	var wait sync.WaitGroup
	for range 4 {
		f, err := s.Fork()
		if err != nil {
			t.Fatal(err)
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			if got := logits(t, f, question); !reflect.DeepEqual(got, want) {
				t.Error("a fork answers differently")
			}
		}()
	}
	wait.Wait()
}

// slow is a context that is cancelled while a prefill runs.
func TestCancelIsPrompt(t *testing.T) {
	m := loadNeedle(t)
	ctx, cancel := context.WithCancel(context.Background())
	started := make(chan struct{})
	done := make(chan error)
	var at time.Time
	go func() {
		close(started)
		for {
			if _, err := m.PrefillTokens(ctx, someTokens(m, 4000, 3), llm.Full()); err != nil {
				done <- err
				return
			}
		}
	}()
	<-started
	time.AfterFunc(50*time.Millisecond, func() { at = time.Now(); cancel() })
	err := <-done
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelling gave: %v", err)
	}
	if late := time.Since(at); late > 200*time.Millisecond {
		t.Errorf("the prefill went on for %v after it was cancelled", late)
	}
}

// broken is a press that does what it should not.
type broken struct {
	plan func(l *kvpress.Layer) (kvpress.Plan, error)
}

func (broken) Name() string                                  { return "broken" }
func (b broken) Plan(l *kvpress.Layer) (kvpress.Plan, error) { return b.plan(l) }

func TestErrorsNameThePlaceAndTheCure(t *testing.T) {
	m := loadNeedle(t)
	s := prefilled(t, 40)
	ask := func(ids []int, n int) error {
		_, err := s.AskTokens(context.Background(), ids, n, nil, nil)
		return err
	}
	prefill := func(ids []int) error {
		_, err := m.PrefillTokens(context.Background(), ids, llm.Full())
		return err
	}
	try := func(p kvpress.Press) error { _, err := s.Press(p); return err }
	parsed := func(spelling string) kvpress.Press {
		p, err := kvpress.Parse(spelling)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	bare, err := m.PrefillTokens(context.Background(), someTokens(m, 100, 1), llm.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	_, unrecorded := bare.Press(parsed("snapkv(window=16):0.5"))
	_, other := m.LoadSession(filepath.Join("testdata", "nothing"))
	for _, c := range []struct {
		err  error
		want []string
	}{
		{prefill(nil), []string{"empty"}},
		{prefill(make([]int, 5000)), []string{"5000 tokens", "at most 4096", "shorten"}},
		{prefill([]int{1, 2048}), []string{"token 1 is number 2048", "0 to 2047"}},
		{ask(nil, 4), []string{"question is empty"}},
		{ask([]int{1}, 0), []string{"at least 1"}},
		{ask([]int{1}, 5000), []string{"4096 positions"}},
		{try(parsed("snapkv:0.5")), []string{"layer 0", "snapkv", "40", "64", "Window"}},
		{try(broken{func(l *kvpress.Layer) (kvpress.Plan, error) { panic("boom") }}), []string{"broken", "layer 0", "boom"}},
		{try(broken{func(l *kvpress.Layer) (kvpress.Plan, error) { return kvpress.Plan{}, nil }}), []string{"broken", "layer 0", "0 heads"}},
		{try(broken{func(l *kvpress.Layer) (kvpress.Plan, error) {
			p := kvpress.KeepAll(l)
			p.Keep[1][3] = 99
			return p, nil
		}}), []string{"layer 0", "KV head 1", "99", "40"}},
		{try(kvpress.TopK(kvpress.Knorm{}, kvpress.Ratio(1.5))), []string{"1.5", "fraction removed"}},
		{unrecorded, []string{"layer 0", "not recorded", "Record"}},
		{other, []string{"testdata/nothing"}},
	} {
		if c.err == nil {
			t.Errorf("no error, wanted one with %q", c.want)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(c.err.Error(), w) {
				t.Errorf("error %q does not say %q", c.err, w)
			}
		}
	}
}

// TestMemoryIsReallyFreed holds what a session reports against what the process takes.
func TestMemoryIsReallyFreed(t *testing.T) {
	s := prefilled(t, 4000)
	before, residentBefore := process()
	full := s.Bytes().KV
	if err := s.PressInPlace(kvpress.Ada(kvpress.Knorm{}, kvpress.Ratio(0.9), 0.2)); err != nil {
		t.Fatal(err)
	}
	after, residentAfter := process()
	reported := full - s.Bytes().KV
	t.Logf("cache %d bytes, reported freed %d, the heap fell by %d, resident memory by %d", full, reported, before-after, residentBefore-residentAfter)
	// The plan and its scores stay; nothing else may.
	if slack := full / 8; before-after < reported-slack {
		t.Errorf("the press reports %d bytes freed, the heap fell by %d", reported, before-after)
	}
	if residentBefore > 0 && residentBefore-residentAfter < reported/2 {
		t.Errorf("the press reports %d bytes freed, the process gave back %d", reported, residentBefore-residentAfter)
	}
	runtime.KeepAlive(s)
}

// process is what the heap and, where the system tells, the process take, in bytes.
func process() (heap, resident int64) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return int64(m.HeapAlloc), 0
	}
	fields := strings.Fields(string(text))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return int64(m.HeapAlloc), 0
	}
	return int64(m.HeapAlloc), pages * int64(os.Getpagesize())
}

func TestWhatCellsShow(t *testing.T) {
	s := prefilled(t, 200)
	half := press(t, s, "knorm:0.5")
	for got, want := range map[string]string{
		s.Model().String(): "needle on cpu: 6 layers, in each 8 query heads and 4 KV heads of 32 channels; 9.9 MB of weights",
		s.String():         "session of needle: 200 tokens, press none, 1.2 of 1.2 MB of keys and values",
		half.String():      "session of needle: 200 tokens, press knorm:0.5, 0.6 of 1.2 MB of keys and values",
	} {
		if got != want {
			t.Errorf("%q is shown, not %q", got, want)
		}
	}
	if err := half.Close(); err != nil || !strings.Contains(half.String(), "200 tokens") {
		t.Errorf("a closed session shows %q, %v", half, err)
	}
}
