package interp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kvnotes/kvnotes/kernel/display"

	_ "github.com/kvnotes/kvnotes/kernel/bind"
)

func start(t testing.TB) *Interp {
	t.Helper()
	in, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// text runs a cell and returns what it shows.
func text(in *Interp, code string) string {
	d, ok, err := in.Eval(context.Background(), code)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !ok:
		return ""
	}
	return fmt.Sprint(d.Data[display.MIMETypeText])
}

func TestCells(t *testing.T) {
	in := start(t)
	for _, c := range []struct{ code, want string }{
		{"x := 3", ""},
		{"x + 1", "4"},
		{"", ""},
		{"// nothing", ""},
		{"func double(n int) int { return 2 * n }", ""},
		{"double(x)", "6"},
		{"x = 5; double(x)", "10"},
		{"type point struct{ X, Y int }\nfunc (p point) sum() int { return p.X + p.Y }", ""},
		{"point{1, 2}.sum()", "3"},
		{"type point struct{ Z int }", ""},
		{"point{7}.Z", "7"},
		{"import \"fmt\"\nfmt.Sprintf(\"%02d\", x)", "05"},
		{"fmt.Println()", ""},
		{"var a any = 3", ""},
		{"a.(int)", "3"},
		{"min(2, x, 9)", "2"},
		{"max(2, 2.5)", "2.5"},
		{"var f32 float32 = 1.5; max(f32, 2)", "2"},
		{"s := 0; for i := range 4 { s += i }; s", "6"},
		{"s = 0; n := 3; for range n { s++ }; s", "3"},
		{"func count(n int64) (c int64) { for i := range n { c += i }; return c }", ""},
		{"count(5)", "10"},
		{"fs := []func() int{}; for i := 0; i < 3; i++ { fs = append(fs, func() int { return i }) }; fs[0]() + 10*fs[1]() + 100*fs[2]()", "210"},
		{"fs = nil; for _, v := range []int{4, 5} { fs = append(fs, func() int { return v }) }; fs[0]() + 10*fs[1]()", "54"},
		{"import (\n\t\"slices\"\n\t\"maps\"\n\t\"cmp\"\n)", ""},
		{"w := []string{\"b\", \"a\", \"c\"}; slices.Sort(w); w", "[a b c]"},
		{"slices.Contains(w, \"c\")", "true"},
		{"slices.Index(w, \"c\") + slices.Index(w, \"z\")", "1"},
		{"slices.Max(w)", "c"},
		{"m := map[string]int{\"q\": 2, \"p\": 1}; slices.Sorted(maps.Keys(m))", "[p q]"},
		{"t := \"\"; for k := range maps.Keys(map[string]int{\"k\": 1}) { t += k }; t", "k"},
		{"slices.SortFunc(w, func(a, b string) int { return cmp.Compare(b, a) }); w", "[c b a]"},
		{"slices.Insert(w, 1, \"x\")", "[c x b a]"},
		{"slices.Delete([]int{1, 2, 3, 4}, 1, 3)", "[1 4]"},
		{"c := []int{1, 2, 2}; slices.Compact(c); c", "[1 2 0]"},
		{"slices.Clone([]int(nil)) == nil", "true"},
		{"%time timed := 9", ""},
		{"timed", "9"},
		{"i, found := slices.BinarySearch([]int{1, 3, 5}, 3); fmt.Sprint(i, found)", "1 true"},
		{"slices.Concat([]int{1}, []int{2})", "[1 2]"},
		{"maps.Equal(m, maps.Clone(m))", "true"},
		{"slices.IndexFunc(w, func(s string) bool { return s == \"a\" })", "2"},
		{"c := []int{1, 1, 2}; slices.Compact(c)", "[1 2]"},
		{"clear(m); len(m)", "0"},
		{"ctx.Err() == nil", "true"},
	} {
		if got := text(in, c.code); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.code, got, c.want)
		}
	}
}

func TestErrorsSayWhereAndWhatToDo(t *testing.T) {
	in := start(t)
	if got := text(in, "func earlier(i int) int {\n\treturn []int{1}[i]\n}"); got != "" {
		t.Fatal(got)
	}
	for _, c := range []struct {
		code string
		want []string // parts of the traceback
	}{
		{"x := 1\ny := unknown + 2", []string{"undefined identifier: unknown", "line 2 of the cell", "   2 | y := unknown + 2"}},
		{"strings.ToUpper(\"a\")", []string{`import "strings" is missing`}},
		{"for i := 0; i < 3; i++ {", []string{"line 1 of the cell"}},
		{"import \"log/slag\"", []string{"is not in this kernel"}},
		{"import \"rand\"", []string{"did you mean", "math/rand"}},
		{"func boom(i int) int {\n\tz := []int{1}\n\treturn z[i]\n}\n\nboom(5)", []string{"panic", "index out of range", "line 3 of the cell", "   3 | \treturn z[i]", "called from line 6"}},
		{"earlier(4)", []string{"line 2 of an earlier cell", "called from line 1 of the cell"}},
		{"panic(\"hello\")", []string{"panic", "hello"}},
		{"import \"os\"; os.Exit(3)", []string{"a cell cannot end the kernel"}},
		{"func deep(n int) int { return deep(n) + 1 }; deep(1)", []string{"recursion without an end"}},
		{"slices.Max(3)", []string{"slices"}},
		{"import \"slices\"\nslices.Delete([]int{1, 2, 3, 4}, 3, 1)", []string{"panic", "line 2 of the cell"}},
		{"\n%time\nx := 1\nunknown", []string{"line 4 of the cell"}},
		{"%nosuch", []string{"%nosuch", "%time"}},
	} {
		_, _, err := in.Eval(context.Background(), c.code)
		var e *CellError
		shown := fmt.Sprint(err)
		if errors.As(err, &e) {
			shown = strings.Join(e.Traceback, "\n")
		}
		for _, w := range c.want {
			if err == nil || !strings.Contains(shown, w) {
				t.Errorf("%s\n the error does not say %q:\n%s", c.code, w, shown)
			}
		}
	}
	if got := text(in, "1 + 1"); got != "2" {
		t.Errorf("after the errors, 1 + 1 is %q", got)
	}
}

// interrupt runs a cell and interrupts it after a moment.
func interrupt(t *testing.T, in *Interp, code string) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var at time.Time
	timer := time.AfterFunc(50*time.Millisecond, func() { at = time.Now(); cancel() })
	defer timer.Stop()
	ended := make(chan error, 1)
	go func() { _, _, err := in.Eval(ctx, code); ended <- err }()
	select {
	case err := <-ended:
		return time.Since(at), err
	case <-time.After(20 * time.Second):
		t.Fatalf("%s\ndoes not stop", code)
		return 0, nil
	}
}

func TestInterrupt(t *testing.T) {
	in := start(t)
	if got := text(in, "import (\n\"time\"; \"sync\"; \"sort\"; \"strings\")\nkept := 41\nfunc endless() { for { kept = 42 } }\nch := make(chan int)\nvar wg sync.WaitGroup\nwg.Add(1)"); got != "" {
		t.Fatal(got)
	}
	for _, code := range []string{
		"for { kept = 42 }", "endless()", "(func() { for { kept = 42 } })()", "defer func() { recover() }()\nendless()",
		"kept = 42; time.Sleep(time.Hour)", "kept = 42; <-ch", "kept = 42; make(chan int) <- 1", "kept = 42; wg.Wait()", "kept = 42; select {}",
		"kept = 42; <-ctx.Done()", "kept = 42; go endless(); wg.Wait()", "kept = 42; for range ch { }", "$ sleep 100", "%%bash\nsleep 100",
		"kept = 42; sort.Slice([]int{3, 2, 1}, func(i, j int) bool { for {} })", "kept = 42; strings.Map(func(r rune) rune { for {} }, \"a\")",
	} {
		kept := text(in, "kept = 41; 0")
		if kept != "0" {
			t.Fatal(kept)
		}
		took, err := interrupt(t, in, code)
		if !errors.Is(err, ErrInterrupted) && !strings.HasPrefix(code, "defer") {
			t.Errorf("%s\n ended with %v", code, err)
		}
		if took > 300*time.Millisecond {
			t.Errorf("%s\n took %v to stop", code, took)
		}
		if strings.HasPrefix(code, "$") || strings.HasPrefix(code, "%") {
			continue
		}
		if got := text(in, "kept"); got != "42" {
			t.Errorf("%s\n afterwards kept is %s", code, got)
		}
	}
	if got := text(in, "func after() int { return kept + 1 }; after()"); got != "43" {
		t.Errorf("after the interrupts a new function returns %s", got)
	}
}

func TestGoroutines(t *testing.T) {
	in := start(t)
	for _, c := range []struct{ code, want string }{
		{"import (\n\"sync\"; \"time\")\nvar wg sync.WaitGroup; var mu sync.Mutex; sum := 0\nfunc add(n int) { mu.Lock(); sum += n; mu.Unlock(); wg.Done() }", ""},
		{"for i := 0; i < 10; i++ { wg.Add(1); go add(i) }; wg.Wait(); sum", "45"},
		{"sum = 0; for i := 0; i < 10; i++ { wg.Add(1); go func() { add(i) }() }; wg.Wait(); sum", "45"},
		{"sum = 0; wg.Add(1); n := 3; go add(n); n = 100; wg.Wait(); sum", "3"},
		{"const k = 2; func half(x float64) { sum = int(x * 10); wg.Done() }; wg.Add(1); go half(k); wg.Wait(); sum", "20"},
		{"done := make(chan bool); go close(done); <-done", "false"},
		{"wg.Add(1); go func() { defer wg.Done(); panic(\"lost\") }(); wg.Wait(); sum", "20"},
		{"wg.Add(1); go func() { defer wg.Done(); time.Sleep(30 * time.Millisecond); sum = 7 }()", ""},
		{"wg.Wait(); sum", "7"},
	} {
		if got := text(in, c.code); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.code, got, c.want)
		}
	}
	// A goroutine of an earlier cell goes on when a later one is interrupted.
	text(in, "alive := make(chan int); go func() { for n := 0; ; n++ { alive <- n } }()")
	if _, err := interrupt(t, in, "for {}"); !errors.Is(err, ErrInterrupted) {
		t.Error(err)
	}
	if got := text(in, "<-alive; <-alive"); got != "1" {
		t.Errorf("the goroutine of an earlier cell says %s", got)
	}
}

func TestLoopSpeed(t *testing.T) {
	in := start(t)
	begin := time.Now()
	if got := text(in, "s := 0\nfor i := 0; i < 10000000; i++ { s += i }\ns"); got != "49999995000000" {
		t.Fatal(got)
	}
	t.Logf("1e7 interpreted steps: %v", time.Since(begin))
}
