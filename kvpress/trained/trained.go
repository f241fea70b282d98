// Package trained reads what methods learnt beforehand (filters, nets, gates, patterns, curves, statistics) from the
// files that their authors publish. A method is then used like any other once it is registered with what was read:
//
//	filters, err := trained.QFilter("Llama-3.1-8B_qfilt")
//	kvpress.Register(kvpress.Method{Name: "qfilter", Scorer: filters})
//
// Shapes and units: those of the authors' files, which each function names; layers first, then heads, then channels.
package trained

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// QFilter reads the filters of a folder with model.safetensors: "q_filters" (layers, KV heads, channels).
func QFilter(folder string) (kvpress.QFilter, error) {
	f, err := weights.OpenFolder(folder)
	if err != nil {
		return kvpress.QFilter{}, err
	}
	defer f.Close()
	filters, err := matrices(f, "q_filters", 3)
	return kvpress.QFilter{Filters: filters}, at(folder, err)
}

// ExpectedAttentionStats reads the statistics of a folder with model.safetensors: "query_mean" (layers, heads,
// channels) and "query_cov" (layers, heads, channels, channels).
func ExpectedAttentionStats(folder string) (kvpress.ExpectedAttentionStats, error) {
	var s kvpress.ExpectedAttentionStats
	f, err := weights.OpenFolder(folder)
	if err != nil {
		return s, err
	}
	defer f.Close()
	if s.Mean, err = matrices(f, "query_mean", 3); err != nil {
		return s, at(folder, err)
	}
	cov, err := matrices(f, "query_cov", 4)
	if err != nil {
		return s, at(folder, err)
	}
	for _, m := range s.Mean {
		if len(cov) < m.Rows {
			return s, at(folder, fmt.Errorf("query_cov has fewer heads than query_mean"))
		}
		s.Cov, cov = append(s.Cov, cov[:m.Rows]), cov[m.Rows:]
	}
	return s, nil
}

// KVzap reads the nets of a folder with model.safetensors: for every layer one map "layers.N" or two,
// "layers.N.0" and "layers.N.2".
func KVzap(folder string) (kvpress.KVzap, error) {
	var zap kvpress.KVzap
	f, err := weights.OpenFolder(folder)
	if err != nil {
		return zap, err
	}
	defer f.Close()
	names := f.Names()
	for {
		prefix := "layers." + strconv.Itoa(len(zap.Nets))
		parts := []string{prefix}
		if slices.Contains(names, prefix+".0.weight") {
			parts = []string{prefix + ".0", prefix + ".2"}
		}
		if !slices.Contains(names, parts[0]+".weight") {
			break
		}
		var net []kvpress.Affine
		for _, part := range parts {
			a, err := affine(f, part)
			if err != nil {
				return zap, at(folder, err)
			}
			net = append(net, a)
		}
		zap.Nets = append(zap.Nets, net)
	}
	if len(zap.Nets) == 0 {
		return zap, at(folder, fmt.Errorf("there is no tensor layers.0.weight: this is no KVzap folder"))
	}
	return zap, nil
}

// DuoAttention reads the pattern of a folder with full_attention_heads.tsv, one line of numbers for each layer, and
// config.json, which tells the sizes of sinks and recent pairs.
func DuoAttention(folder string) (kvpress.DuoAttention, error) {
	var p kvpress.DuoAttention
	path := filepath.Join(folder, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	var sizes struct {
		Sinks  *int `json:"sink_size"`
		Recent *int `json:"recent_size"`
	}
	if err := json.Unmarshal(text, &sizes); err != nil {
		return p, at(path, err)
	}
	if sizes.Sinks == nil || sizes.Recent == nil || *sizes.Sinks < 0 || *sizes.Recent < 0 {
		return p, at(path, fmt.Errorf("sink_size and recent_size are wanted, numbers from 0"))
	}
	p.Sinks, p.Recent = *sizes.Sinks, *sizes.Recent
	path = filepath.Join(folder, "full_attention_heads.tsv")
	if text, err = os.ReadFile(path); err != nil {
		return p, err
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		fields := strings.Fields(line)
		if i == 0 {
			p.Pattern.Cols = len(fields)
		}
		if len(fields) != p.Pattern.Cols {
			return p, at(path, fmt.Errorf("line %d has %d numbers, the first one %d", i+1, len(fields), p.Pattern.Cols))
		}
		for _, field := range fields {
			x, err := strconv.ParseFloat(field, 32)
			if err != nil || x != x {
				return p, at(path, fmt.Errorf("line %d: %q is no number", i+1, field))
			}
			p.Pattern.Data = append(p.Pattern.Data, float32(min(max(x, 0), 1)))
		}
		p.Pattern.Rows++
	}
	return p, nil
}

// LUKV reads a budget curve from a .npy file (99, layers, KV heads). Its scorer is the one of the published curve,
// expected_attention(epsilon=0.02); set another one for a curve measured with that.
func LUKV(path string) (kvpress.LUKV, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return kvpress.LUKV{}, err
	}
	x, shape, err := readNPY(data)
	if err == nil && (len(shape) != 3 || shape[0] != 99) {
		err = fmt.Errorf("its shape is %v: a curve is (99, layers, KV heads)", shape)
	}
	if err != nil {
		return kvpress.LUKV{}, at(path, err)
	}
	return kvpress.LUKV{Scorer: kvpress.ExpectedAttention{Epsilon: 0.02}, Curve: split(x, shape[1], shape[2])}, nil
}

// matrices reads a tensor of so many dimensions as matrices of its last two.
func matrices(f *weights.File, name string, dimensions int) ([]tensor.Mat, error) {
	t, err := f.Tensor(name)
	if err != nil {
		return nil, err
	}
	n := len(t.Shape)
	if n != dimensions {
		return nil, fmt.Errorf("tensor %s has shape %v: %d dimensions are wanted", name, t.Shape, dimensions)
	}
	x, err := t.Float32()
	if err != nil {
		return nil, err
	}
	return split(x, t.Shape[n-2], t.Shape[n-1]), nil
}

// split cuts numbers into matrices.
func split(x []float32, rows, cols int) []tensor.Mat {
	var all []tensor.Mat
	for size := rows * cols; size > 0 && len(x) >= size; x = x[size:] {
		all = append(all, tensor.Mat{Rows: rows, Cols: cols, Data: x[:size]})
	}
	return all
}

func affine(f *weights.File, name string) (kvpress.Affine, error) {
	w, err := matrices(f, name+".weight", 2)
	if err != nil {
		return kvpress.Affine{}, err
	}
	b, err := f.Tensor(name + ".bias")
	if err != nil {
		return kvpress.Affine{}, err
	}
	bias, err := b.Float32()
	if err == nil && (len(w) != 1 || len(bias) != w[0].Rows) {
		err = fmt.Errorf("tensor %s.bias has %d numbers: one for each row of the weight is wanted", name, len(bias))
	}
	if err != nil {
		return kvpress.Affine{}, err
	}
	return kvpress.Affine{Weight: w[0], Bias: bias}, nil
}

// at puts the file in front of an error.
func at(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", path, err)
}
