package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kvnotes/kvnotes/kvpress/eval"
)

// TestMain makes this test the command itself, where it is called so: tests can then run it, and kill it.
func TestMain(m *testing.M) {
	if os.Getenv("KVNOTES_TEST_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command is the kvnotes command with some arguments.
func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "KVNOTES_TEST_COMMAND=1")
	return c
}

func kvnotes(t *testing.T, args ...string) string {
	t.Helper()
	c := command(args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("kvnotes %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// sweep is a small one: 12 questions, 4 pressed copies of each text and the whole one, 60 records.
func sweep(more ...string) []string {
	return append([]string{"eval", "--tokens=150", "--samples=12", "--press=knorm,adakv(snapkv(window=16))", "--ratio=0.25,0.75"}, more...)
}

// results is a file of results without its times.
func results(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(regexp.MustCompile(`,"seconds":\{[^}]*\}`).ReplaceAll(text, nil))
}

func TestEvalCommand(t *testing.T) {
	dir := t.TempDir()
	chart := filepath.Join(dir, "sweep.html")
	table := kvnotes(t, sweep("--out="+filepath.Join(dir, "a"), "--chart="+chart, "--closeness")...)
	for _, want := range []string{"adakv(snapkv(window=16)):0.75", "kl", "attention_lost", "60 answers", "saved"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	page, err := os.ReadFile(chart)
	if err != nil || !bytes.Contains(page, []byte("share of pairs removed")) {
		t.Errorf("the chart: %v", err)
	}
	var list []struct {
		Answers int
		Scores  []eval.Score
	}
	if err := json.Unmarshal([]byte(kvnotes(t, sweep("--out="+filepath.Join(dir, "b"), "--json", "--closeness", "--contexts=1")...)), &list); err != nil || len(list) != 1 || list[0].Answers != 60 || len(list[0].Scores) != 5 {
		t.Errorf("%+v, %v", list, err)
	}
	a, b := filepath.Join(dir, "a", "needle-needle.jsonl"), filepath.Join(dir, "b", "needle-needle.jsonl")
	if out := kvnotes(t, "eval", "diff", a, b); !strings.Contains(out, "equal but for times: 60 records") && out != "" {
		t.Error(out)
	}
	if results(t, a) != results(t, b) {
		t.Error("two runs differ in more than times")
	}
	other := command(sweep("--out=" + filepath.Join(dir, "a"))...) // without closeness
	if out, err := other.CombinedOutput(); err == nil || !strings.Contains(string(out), "closeness is false, was true") {
		t.Errorf("another sweep over the same file: %v\n%s", err, out)
	}
}

// TestEvalOfAllMethods asks under one press of every method, and names those that cannot work here.
func TestEvalOfAllMethods(t *testing.T) {
	c := command("eval", "--press=all", "--tokens=200", "--samples=2", "--json")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	var list []struct {
		Answers, Failed int
		Scores          []eval.Score
	}
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err != nil || len(list) != 1 || list[0].Failed != 0 || len(list[0].Scores) < 30 || list[0].Answers != 2*len(list[0].Scores) {
		t.Errorf("%v: %+v\n%s", err, list, stderr.Bytes())
	}
	for _, want := range []string{"not run: qfilter: ", "not run: restorekv: "} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in\n%s", want, stderr.Bytes())
		}
	}
}

func TestEvalRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--bench=nothing"}, "no benchmark"},
		{[]string{"--press=nothing"}, "no press"},
		{[]string{"--ratio=2"}, "ratio 2"},
		{[]string{"--shard=8/8", "--out=x"}, "such as 0/8"},
		{[]string{"--shard=0/8"}, "needs --out"},
		{[]string{"--model=needle,needle", "--chart=x.html"}, "one model"},
		{[]string{"--emit=pbs", "--out=x"}, "slurm or kubernetes"},
		{[]string{"--emit=slurm"}, "needs --out"},
		{[]string{"--emit=slurm", "--out=x", "--shards=0"}, "at least one"},
		{[]string{"--emit=kubernetes", "--out=x"}, "absolute"},
		{[]string{"--tokens=5000", "--samples=1"}, "every answer failed"},
	} {
		out, err := command(append([]string{"eval"}, c.args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, want %q\n%s", c.args, err, c.want, out)
		}
	}
}

// killed runs a command and kills it after a while; it reports whether the command had come to its end before.
func killed(t *testing.T, after time.Duration, args ...string) (done bool) {
	t.Helper()
	c := command(args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = c.Process.Kill() }) // it may be over by then
	err := c.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("kvnotes %s: %v", strings.Join(args, " "), err)
	}
	return err == nil
}

// long says whether the long tests were asked for.
func long() bool { return os.Getenv("KVNOTES_LONG") != "" }

// TestEvalSurvivesKills kills runs at moments spread over their time, and lets each go on until it is done.
func TestEvalSurvivesKills(t *testing.T) {
	dir := t.TempDir()
	whole := sweep("--out=" + filepath.Join(dir, "whole"))
	start := time.Now()
	kvnotes(t, whole...)
	took := time.Since(start)
	want := results(t, filepath.Join(dir, "whole", "needle-needle.jsonl"))
	rounds := 2
	if long() {
		rounds = 20
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		out := filepath.Join(dir, strconv.Itoa(round))
		kills, last := 0, int64(0)
		moment := func() time.Duration { // later and later: where others work on this machine, runs take longer than the first
			return time.Duration(random.Int64N(int64(took)*int64(10+kills)/10 + 1))
		}
		for !killed(t, moment(), sweep("--out="+out)...) {
			kills++
			if info, err := os.Stat(filepath.Join(out, "needle-needle.jsonl")); err == nil {
				if info.Size() < last {
					t.Errorf("a kill took %d bytes away", last-info.Size())
				}
				last = info.Size()
			}
			if kills > 100 {
				t.Fatal("killed a hundred times and not done")
			}
		}
		if got := results(t, filepath.Join(out, "needle-needle.jsonl")); got != want {
			t.Errorf("after %d kills the file is\n%s\nwant\n%s", kills, got, want)
		}
		t.Logf("round %d: %d kills", round, kills)
	}
}

// TestEvalInEightProcesses runs shards side by side, kills two of them with some answers made, and starts these again.
func TestEvalInEightProcesses(t *testing.T) {
	dir := t.TempDir()
	const many = "--samples=40" // about ten texts: work for every shard
	kvnotes(t, sweep(many, "--out="+filepath.Join(dir, "whole"))...)
	out := filepath.Join(dir, "shards")
	args := func(i int) []string {
		return sweep(many, "--out="+out, fmt.Sprintf("--shard=%d/8", i), "--contexts=1")
	}
	file := func(i int) string { return filepath.Join(out, fmt.Sprintf("needle-needle.%d-of-8.jsonl", i)) }
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 8))
	victims := random.Perm(8)[:2]
	t.Logf("shards %v are killed", victims)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := command(args(i)...)
			if err := c.Start(); err != nil {
				t.Error(err)
				return
			}
			over := make(chan error, 1)
			go func() { over <- c.Wait() }()
			for slices.Contains(victims, i) {
				select {
				case err := <-over: // too fast for us: its file is cut instead, as a kill would have done
					if text, failed := os.ReadFile(file(i)); err == nil && failed == nil {
						err = os.Truncate(file(i), int64(len(text)*2/3))
					}
					over <- err
					return
				case <-time.After(time.Millisecond):
				}
				if info, err := os.Stat(file(i)); err == nil && info.Size() > 0 {
					if err := c.Process.Kill(); err != nil {
						continue
					}
					if err := <-over; err == nil {
						t.Logf("shard %d was through before it could be killed", i)
					}
					return
				}
			}
			if err := <-over; err != nil {
				t.Errorf("shard %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if out, err := command("eval", "merge", out).CombinedOutput(); err == nil || !strings.Contains(string(out), "missing") {
		t.Errorf("merged with two shards half done: %v\n%s", err, out)
	}
	for _, i := range victims {
		kvnotes(t, args(i)...)
	}
	if text := kvnotes(t, "eval", "merge", out); !strings.Contains(text, "200 answers") {
		t.Error(text)
	}
	checkMerged(t, filepath.Join(dir, "whole", "needle-needle.jsonl"), out)
}

// checkMerged compares the merged file of a folder with the file of a single run.
func checkMerged(t *testing.T, single, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "merged", "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("merged files %v, %v", files, err)
	}
	if results(t, files[0]) != results(t, single) {
		t.Error("the merged shards are not the single run")
	}
}

// The fields of a Kubernetes Job (batch/v1) that may stand in ours; a field of another name is an error.
type (
	kubernetesJob struct {
		APIVersion string                 `yaml:"apiVersion"`
		Kind       string                 `yaml:"kind"`
		Metadata   struct{ Name string }  `yaml:"metadata"`
		Spec       kubernetesSpec         `yaml:"spec"`
		Status     map[string]interface{} `yaml:"status"`
	}
	kubernetesSpec struct {
		CompletionMode string `yaml:"completionMode"`
		Completions    int    `yaml:"completions"`
		Parallelism    int    `yaml:"parallelism"`
		BackoffLimit   int    `yaml:"backoffLimit"`
		Template       struct {
			Spec struct {
				RestartPolicy string `yaml:"restartPolicy"`
				Containers    []struct {
					Name, Image   string
					Command, Args []string
					VolumeMounts  []struct {
						Name      string
						MountPath string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
				}
				Volumes []struct {
					Name                  string
					PersistentVolumeClaim struct {
						ClaimName string `yaml:"claimName"`
					} `yaml:"persistentVolumeClaim"`
				}
			}
		}
	}
)

// TestEvalEmit parses the jobs as strictly as their schedulers, and runs what they would run.
func TestEvalEmit(t *testing.T) {
	dir := t.TempDir()
	kvnotes(t, sweep("--out="+filepath.Join(dir, "whole"))...)
	single := filepath.Join(dir, "whole", "needle-needle.jsonl")

	out := filepath.Join(dir, "slurm it's")
	script := kvnotes(t, sweep("--out="+out, "--emit=slurm", "--shards=3")...)
	check := exec.Command("bash", "-n")
	check.Stdin = strings.NewReader(script)
	if text, err := check.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, script)
	}
	options := map[string]string{}
	for i, line := range strings.Split(script, "\n") {
		if i == 0 && line != "#!/bin/bash" {
			t.Errorf("the script begins with %q", line)
		}
		if option, ok := strings.CutPrefix(line, "#SBATCH "); ok {
			name, value, _ := strings.Cut(option, "=")
			options[name] = value
			if i != 1+len(options)-1 {
				t.Errorf("line %d, %q, stands behind what is no option: Slurm would not read it", i+1, line)
			}
		}
	}
	if want := map[string]string{"--job-name": "kvnotes-eval", "--array": "0-2", "--output": "kvnotes-eval-%A_%a.log", "--open-mode": "append", "--requeue": ""}; fmt.Sprint(options) != fmt.Sprint(want) {
		t.Errorf("options %v, want %v", options, want)
	}
	for i := range 3 {
		shell(t, script, fmt.Sprintf("SLURM_ARRAY_TASK_ID=%d", i))
	}
	kvnotes(t, "eval", "merge", out)
	checkMerged(t, single, out)

	out = filepath.Join(dir, "pods")
	manifest := kvnotes(t, sweep("--out="+out, "--emit=kubernetes", "--shards=2", "--image=example/kvnotes:1", "--claim=shared")...)
	var job kubernetesJob
	decoder := yaml.NewDecoder(strings.NewReader(manifest))
	decoder.KnownFields(true)
	if err := decoder.Decode(&job); err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	spec, pod := job.Spec, job.Spec.Template.Spec
	if job.APIVersion != "batch/v1" || job.Kind != "Job" || job.Metadata.Name != "kvnotes-eval" || spec.CompletionMode != "Indexed" || spec.Completions != 2 || spec.Parallelism != 2 ||
		spec.BackoffLimit < 2 || pod.RestartPolicy != "OnFailure" || len(pod.Containers) != 1 || len(pod.Volumes) != 1 || pod.Volumes[0].PersistentVolumeClaim.ClaimName != "shared" {
		t.Fatalf("the job is %+v", job)
	}
	c := pod.Containers[0]
	if c.Image != "example/kvnotes:1" || len(c.VolumeMounts) != 1 || c.VolumeMounts[0].MountPath != out || c.VolumeMounts[0].Name != pod.Volumes[0].Name || len(c.Command) != 3 || c.Command[0] != "sh" || c.Command[1] != "-c" {
		t.Fatalf("the container is %+v", c)
	}
	for i := range 2 {
		shell(t, c.Command[2], fmt.Sprintf("JOB_COMPLETION_INDEX=%d", i))
	}
	kvnotes(t, "eval", "merge", out)
	checkMerged(t, single, out)
}

// shell runs a script with this test as its kvnotes.
func shell(t *testing.T, script, index string) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	c := exec.CommandContext(ctx, "bash", "-c", script)
	c.Env = append(os.Environ(), "KVNOTES_TEST_COMMAND=1", "KVNOTES="+os.Args[0], index)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", index, err, out)
	}
}

// TestShardsOfSeveralModels checks that every part of a sweep over models is somebody's, once.
func TestShardsOfSeveralModels(t *testing.T) {
	for _, models := range []int{1, 2, 3, 5} {
		for _, n := range []int{1, 2, 4, 7, 8} {
			e := evaluation{out: "x", bench: "needle"}
			for m := range models {
				e.models = append(e.models, fmt.Sprintf("model%d", m))
			}
			files, rows := map[string]bool{}, map[string]int{}
			for i := range n {
				e.shard = fmt.Sprintf("%d/%d", i, n)
				parts, err := e.parts()
				if err != nil {
					t.Fatal(err)
				}
				if n >= models && len(parts) != 1 {
					t.Errorf("shard %s of %d models has %d parts", e.shard, models, len(parts))
				}
				for _, p := range parts {
					if files[e.file(p)] {
						t.Errorf("two shards write %s", e.file(p))
					}
					files[e.file(p)] = true
					rows[p.model] = p.shards
				}
			}
			sum := 0
			for _, shards := range rows {
				sum += shards
			}
			if len(rows) != models || sum != len(files) {
				t.Errorf("%d models in %d shards: %v", models, n, files)
			}
		}
	}
}
