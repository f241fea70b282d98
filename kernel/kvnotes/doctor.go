package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvnotes/kvnotes/cuda"
	"github.com/kvnotes/kvnotes/kvpress/hub"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// A finding is one thing that doctor looked at.
type finding struct {
	ok   bool
	fact string
	cure string
}

func doctorCommand() *cobra.Command {
	var model string
	var tokens int
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "check what this machine has, and say what to do about what is missing",
		Long:    "doctor checks what is needed to work; with --model it says what that model and a context of so many tokens will take,\nand what share of the pairs must go where that is too much. A model of the hub need not be pulled for it.",
		Example: "  kvnotes doctor --model smollm2 --context 8192",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			looks := append([]func() finding{checkProgram, checkProcessor, checkDevice, checkModel}, kernelChecks...)
			if model != "" {
				looks = append(looks, func() finding { return checkFit(cmd.Context(), model, tokens) })
			}
			bad := 0
			for _, look := range looks {
				f := look()
				mark := "ok  "
				if !f.ok {
					mark = "--  "
					bad++
				}
				fmt.Fprintln(cmd.OutOrStdout(), mark+f.fact)
				if !f.ok {
					fmt.Fprintln(cmd.OutOrStdout(), "    "+f.cure)
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of the above want attention", bad)
			}
			return nil
		},
	}
	c.Flags().StringVar(&model, "model", "", "model to look at: a name, a folder, or ORG/NAME of the Hugging Face hub, which need not be pulled")
	c.Flags().IntVar(&tokens, "context", 2048, "tokens of context for --model")
	return c
}

func checkProgram() finding {
	return finding{true, fmt.Sprintf("kvnotes %s, built with %s for %s/%s", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH), ""}
}

func checkProcessor() finding {
	kind := "assembly for " + strings.ToUpper(tensor.Instructions()) + " is in use"
	if !tensor.Assembly() {
		kind = "the plain Go loops are in use, which are several times slower than those for AVX2"
	}
	return finding{true, fmt.Sprintf("%d cores; %s", runtime.NumCPU(), kind), ""}
}

func checkModel() finding {
	dir, err := hub.Find("smollm2")
	if err != nil {
		return finding{false, "the model smollm2 is not here (needle is part of the program)", "kvnotes pull smollm2"}
	}
	if err := hub.Verify(dir, true); err != nil {
		return finding{false, err.Error(), "remove the folder and run kvnotes pull smollm2"}
	}
	return finding{true, "smollm2 is in " + dir, ""}
}

// checkDevice looks for a graphics card of NVIDIA; a program without CUDA works without one.
func checkDevice() finding {
	if cuda.Built {
		b, err := cuda.New(cuda.Options{})
		if err == nil {
			err = b.Close()
		}
		if err != nil {
			return finding{false, err.Error(), "until then models run on the processor: --backend cpu, or auto"}
		}
		return finding{true, "an NVIDIA card starts: --backend cuda runs models there", ""}
	}
	cards, _ := filepath.Glob("/proc/driver/nvidia/gpus/*")
	if len(cards) == 0 {
		return finding{true, "no NVIDIA card: models run on the processor", ""}
	}
	return finding{true, fmt.Sprintf("%d NVIDIA card(s); this program runs models on the processor: make cuda builds the one that uses them", len(cards)), ""}
}

// checkFit says what a model and a context take, and what would fit.
func checkFit(ctx context.Context, model string, tokens int) finding {
	e, err := llm.EstimateFor(ctx, model, tokens)
	if err != nil {
		return finding{false, err.Error(), "name a model of this machine, or ORG/NAME of the Hugging Face hub, which is asked without pulling"}
	}
	fact := fmt.Sprintf("%s with %d tokens: weights %s, keys and values %s (%s a token), while reading %s, and %s more to keep every press possible",
		e.Model, tokens, megabytes(e.Weights), megabytes(e.KV), kilobytes(e.TokenKV), megabytes(e.Activations), megabytes(e.Record))
	if e.MaxPositions > 0 && tokens > e.MaxPositions {
		return finding{false, fact, fmt.Sprintf("the model reads at most %d tokens: take a shorter context", e.MaxPositions)}
	}
	free, known := freeMemory()
	if !known {
		return finding{true, fact, ""}
	}
	fact += fmt.Sprintf("; free are %s", megabytes(free))
	switch ratio, ok := e.Fits(free); {
	case !ok:
		return finding{false, fact, "not even the weights and one layer fit: take a smaller model, a shorter context, or a larger machine"}
	case ratio > 0:
		return finding{false, fact, fmt.Sprintf("press while reading with a ratio of at least %.2f: PrefillWith(ctx, text, snapkv:%.2f)", ratio, ratio)}
	}
	return finding{true, fact + ": it fits uncompressed", ""}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
func kilobytes(n int64) string { return fmt.Sprintf("%.1f kB", float64(n)/1e3) }

// freeMemory is what the system could give to a program now, where it says so.
func freeMemory() (bytes int64, known bool) {
	bytes = procKilobytes("/proc/meminfo", "MemAvailable") << 10
	return bytes, bytes > 0
}
