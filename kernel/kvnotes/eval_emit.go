package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An emission is a sweep handed to somebody else's scheduler: its shards need nothing but a folder that all of them see.
type emission struct {
	kind   string // slurm or kubernetes; empty for none
	shards int
	image  string
	claim  string
}

func (m *emission) flags(f *pflag.FlagSet) {
	f.StringVar(&m.kind, "emit", "", "print a job that runs the sweep in shards, instead of running it: slurm or kubernetes")
	f.IntVar(&m.shards, "shards", 8, "shards of the job that --emit prints")
	f.StringVar(&m.image, "image", "kvnotes:latest", "image that has kvnotes and the models (kubernetes)")
	f.StringVar(&m.claim, "claim", "kvnotes-results", "persistent volume claim that is mounted at --out (kubernetes)")
}

// own are the flags that say how to emit, or what belongs to a single run.
var own = map[string]bool{"emit": true, "shards": true, "image": true, "claim": true, "shard": true, "json": true, "chart": true}

const slurmText = `#!/bin/bash
#SBATCH --job-name=kvnotes-eval
#SBATCH --array=0-{{.Last}}
#SBATCH --output=kvnotes-eval-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Every task of the array runs one shard. A task that is killed and queued again goes on where it stopped. KVNOTES names
# the program, if it is not on the path. When all are done: kvnotes eval merge {{.Out}}
set -eu
exec {{.Command}} --shard "$SLURM_ARRAY_TASK_ID/{{.Shards}}"
`

const kubernetesText = `# Every index of the job runs one shard. A pod that is killed starts again and goes on where it stopped.
# When all are done, in a pod that sees the claim: kvnotes eval merge {{.Out}}
apiVersion: batch/v1
kind: Job
metadata:
  name: kvnotes-eval
spec:
  completionMode: Indexed
  completions: {{.Shards}}
  parallelism: {{.Shards}}
  backoffLimit: {{.Restarts}}
  template:
    spec:
      restartPolicy: OnFailure
      containers:
        - name: eval
          image: {{.Image}}
          command: ["sh", "-c", {{.Script}}]
          volumeMounts:
            - name: results
              mountPath: {{.Mount}}
      volumes:
        - name: results
          persistentVolumeClaim:
            claimName: {{.Claim}}
`

// write prints the job.
func (m emission) write(cmd *cobra.Command, e evaluation) error {
	text := map[string]string{"slurm": slurmText, "kubernetes": kubernetesText}[m.kind]
	switch {
	case text == "":
		return fmt.Errorf("--emit %s: it is slurm or kubernetes", m.kind)
	case m.shards < 1:
		return fmt.Errorf("--shards %d: a job has at least one", m.shards)
	case e.out == "":
		return errors.New("--emit needs --out, the folder that all shards share")
	case m.kind == "kubernetes" && !path.IsAbs(e.out):
		return fmt.Errorf("--out %s: name an absolute path, where pods mount the claim", e.out)
	}
	command := `"${KVNOTES:-kvnotes}" eval` + arguments(cmd.Flags())
	// A text of JSON is one of YAML.
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			return `""` // texts can always be written
		}
		return string(b)
	}
	return template.Must(template.New(m.kind).Parse(text)).Execute(cmd.OutOrStdout(), map[string]interface{}{
		"Shards": m.shards, "Last": m.shards - 1, "Restarts": 6 * m.shards, "Out": shellQuote(e.out), "Command": command,
		"Script": quoted(fmt.Sprintf(`exec %s --shard "$JOB_COMPLETION_INDEX/%d"`, command, m.shards)),
		"Image":  quoted(m.image), "Claim": quoted(m.claim), "Mount": quoted(e.out),
	})
}

// arguments spells the flags that were given, for a shell.
func arguments(f *pflag.FlagSet) string {
	var b strings.Builder
	f.Visit(func(f *pflag.Flag) {
		if own[f.Name] {
			return
		}
		values := []string{f.Value.String()}
		if s, ok := f.Value.(pflag.SliceValue); ok {
			values = s.GetSlice()
			if f.Value.Type() == "stringSlice" {
				values = []string{strings.Join(values, ",")}
			}
		}
		for _, v := range values {
			fmt.Fprintf(&b, " --%s=%s", f.Name, shellQuote(v))
		}
	})
	return b.String()
}

// shellQuote makes one word of a text, for a shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return !strings.ContainsRune("-_./,:=+@%", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	if s != "" && !strings.ContainsFunc(s, plain) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
