package trained

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// RestoreKV reads the tokens and the adapter of a folder with restore_embeddings.safetensors ("restore_embeddings",
// tokens by channels), adapter_config.json and adapter_model.safetensors, as the PEFT library writes adapters.
func RestoreKV(folder string) (llm.RestoreKV, error) {
	var p llm.RestoreKV
	f, err := weights.OpenFile(filepath.Join(folder, "restore_embeddings.safetensors"))
	if err != nil {
		return p, err
	}
	defer f.Close()
	if p.Trained.Embeddings, err = matrix(f, "restore_embeddings"); err != nil {
		return p, at(folder, err)
	}
	scale, err := adapterScale(filepath.Join(folder, "adapter_config.json"))
	if err != nil {
		return p, err
	}
	a, err := weights.OpenFile(filepath.Join(folder, "adapter_model.safetensors"))
	if err != nil {
		return p, err
	}
	defer a.Close()
	p.Trained.Adapter = map[string]llm.LoRA{}
	for _, name := range a.Names() {
		target, isIn := strings.CutSuffix(name, ".lora_A.weight")
		if !isIn {
			continue
		}
		var lora llm.LoRA
		if lora.In, err = matrix(a, name); err == nil {
			lora.Out, err = matrix(a, target+".lora_B.weight")
		}
		if err != nil {
			return p, at(folder, err)
		}
		tensor.Scale(lora.Out.Data, scale)
		p.Trained.Adapter[strings.TrimPrefix(target, "base_model.model.model.")] = lora
	}
	if len(p.Trained.Adapter) == 0 {
		return p, at(folder, fmt.Errorf("adapter_model.safetensors has no tensor that ends with lora_A.weight"))
	}
	return p, nil
}

// adapterScale is what an adapter's products are multiplied with.
func adapterScale(path string) (float32, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var c struct {
		Rank  float32 `json:"r"`
		Alpha float32 `json:"lora_alpha"`
		RS    bool    `json:"use_rslora"`
		DoRA  bool    `json:"use_dora"`
		Bias  string  `json:"bias"`

		Ranks  map[string]float32 `json:"rank_pattern"`
		Alphas map[string]float32 `json:"alpha_pattern"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return 0, at(path, err)
	}
	if c.Rank < 1 || c.RS || c.DoRA {
		return 0, at(path, fmt.Errorf("rank %v, use_rslora %v, use_dora %v: a plain LoRA of rank 1 or more is wanted", c.Rank, c.RS, c.DoRA))
	}
	if len(c.Ranks)+len(c.Alphas) > 0 || c.Bias != "" && c.Bias != "none" {
		return 0, at(path, errors.New("rank_pattern, alpha_pattern or a bias is set: a LoRA with one rank and factor is wanted"))
	}
	return c.Alpha / c.Rank, nil
}

// matrix reads a tensor of two dimensions.
func matrix(f *weights.File, name string) (tensor.Mat, error) {
	list, err := matrices(f, name, 2)
	if err != nil {
		return tensor.Mat{}, err
	}
	return list[0], nil
}
