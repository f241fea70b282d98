package eval

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Benchmarks lists what models can be asked.
func Benchmarks() []Benchmark {
	return []Benchmark{
		needleBenchmark, rulerBenchmark, haystackBenchmark, kvRetrievalBenchmark, passkeyBenchmark,
		longbenchBenchmark, longbenchEBenchmark, longbench2Benchmark, loogleBenchmark, infinitebenchBenchmark, zeroscrollsBenchmark,
		aime25Benchmark, math500Benchmark,
	}
}

// Find is the benchmark of a name.
func Find(name string) (Benchmark, error) {
	var known []string
	for _, b := range Benchmarks() {
		if b.Name == name {
			return b, nil
		}
		known = append(known, b.Name)
	}
	return Benchmark{}, fmt.Errorf("there is no benchmark %q: take one of %s", name, strings.Join(known, ", "))
}

// wanted are the tasks that the options ask for, in the order of the benchmark.
func (o Options) wanted(tasks []string) ([]string, error) {
	if len(o.Tasks) == 0 {
		return tasks, nil
	}
	for _, t := range o.Tasks {
		if !slices.Contains(tasks, t) {
			return nil, fmt.Errorf("there is no task %q here: take one of %s", t, strings.Join(tasks, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(tasks), func(t string) bool { return !slices.Contains(o.Tasks, t) }), nil
}

// tokens is how long a sample is to be.
func (o Options) tokens() int { return cmp.Or(o.Tokens, 1000) }

// samples is how many samples of each generated task are wanted.
func (o Options) samples() int { return cmp.Or(o.Samples, 10) }
