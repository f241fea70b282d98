package trained

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/kvnotes/kvnotes/internal/file"
	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// SaveExpectedAttentionStats writes statistics into a folder, in the form that ExpectedAttentionStats and the Python
// original read: query_mean (layers, heads, channels) and query_cov (layers, heads, channels, channels).
func SaveExpectedAttentionStats(folder string, s kvpress.ExpectedAttentionStats) error {
	if len(s.Mean) == 0 {
		return fmt.Errorf("%s: there are no statistics to save", folder)
	}
	heads, dim := s.Mean[0].Rows, s.Mean[0].Cols
	mean, cov := weights.Tensor{Name: "query_mean", DType: weights.F32, Shape: []int{len(s.Mean), heads, dim}},
		weights.Tensor{Name: "query_cov", DType: weights.F32, Shape: []int{len(s.Mean), heads, dim, dim}}
	for layer, m := range s.Mean {
		mean.Data = appendFloats(mean.Data, m.Data)
		for _, c := range s.Cov[layer] {
			cov.Data = appendFloats(cov.Data, c.Data)
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return weights.Write(filepath.Join(folder, "model.safetensors"), []weights.Tensor{mean, cov}, nil)
}

func appendFloats(data []byte, x []float32) []byte {
	for _, v := range x {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

// SaveDuoAttention writes a pattern (layers, KV heads) into a folder, in the form that DuoAttention and the original
// read, with the sizes of sinks and recent pairs.
func SaveDuoAttention(folder string, pattern tensor.Mat, sinks, recent int) error {
	var lines strings.Builder
	for i := range pattern.Rows {
		for j, v := range pattern.Row(i) {
			if j > 0 {
				lines.WriteByte('\t')
			}
			fmt.Fprint(&lines, v)
		}
		lines.WriteByte('\n')
	}
	sizes, err := json.Marshal(map[string]int{"sink_size": sinks, "recent_size": recent})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := file.Replace(filepath.Join(folder, "full_attention_heads.tsv"), 0o644, file.Bytes([]byte(lines.String()))); err != nil {
		return err
	}
	return file.Replace(filepath.Join(folder, "config.json"), 0o644, file.Bytes(sizes))
}
