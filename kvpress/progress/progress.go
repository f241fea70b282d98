// Package progress carries reports of how far a long step is through a context, from the code that does the work to
// whoever shows a bar: a terminal, a notebook, nobody.
//
// Shapes and units: done and total count what the stage names, as a rule tokens or bytes; a total of 0 is not known.
package progress

import "context"

// A Func takes a report: done of total steps of a stage are finished. Total is 0 when it is not known.
type Func func(stage string, done, total int64)

type key struct{}

// With makes a context whose reports go to f.
func With(ctx context.Context, f Func) context.Context { return context.WithValue(ctx, key{}, f) }

// Report says how far a stage is. Without a Func in the context it does nothing.
func Report(ctx context.Context, stage string, done, total int64) {
	if f, ok := ctx.Value(key{}).(Func); ok && f != nil {
		f(stage, done, total)
	}
}
